import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker, type Job } from 'bullmq';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { loadConfig } from '#config';
import type { ActionPhase, ActionStatus, ErrorInfo, SecurityAction } from '#domain';

/**
 * The negative control: a worker as people write it by hand, in the product's place. The job is the truth; there is
 * no lease, no intent and no sweep, and a status is written whatever stands there. A campaign has to catch it.
 */

type ActionDocument = Omit<SecurityAction, 'id'> & { readonly _id: mongoose.mongo.UUID };

interface NaiveJob {
  readonly actionId: string;
  /** Tries before this one. */
  readonly tried?: number;
}

interface Operation {
  readonly operationId: string;
  readonly status: 'running' | 'completed' | 'cancelled';
  readonly remainingMs: number;
}

const PREFIX = '{riposte}';
const ATTEMPTS = 3;
const RETRY_AFTER_MS = 1000;
const VENDOR_TIMEOUT_MS = 10_000;
const LOCK_MS = 5000;
const STALLED_CHECK_MS = 2000;
const BEAT_MS = 5000;

const { MONGODB_URI: uri = '', REDIS_URL: redisUrl = '' } = process.env;
const client = new mongoose.mongo.MongoClient(uri, { writeConcern: { w: 'majority' } });
const actions = client.db().collection<ActionDocument>('actions');
const workers = client.db().collection<{ readonly _id: string }>('workers');
const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
connection.on('error', () => undefined);

const { providers } = await loadConfig(process.env, process.cwd());
const consumers = providers.map(({ id, settings, limits }) => {
  const { baseUrl } = settings;
  if (typeof baseUrl !== 'string') throw new Error(`instance ${id} has no settings.baseUrl`);
  const queue = new Queue<NaiveJob>(id, { connection, prefix: PREFIX });
  const worker = new Worker<NaiveJob>(id, (job) => processJob(job, queue, baseUrl), {
    connection,
    prefix: PREFIX,
    concurrency: limits.concurrency ?? 16,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: 1,
  });
  queue.on('error', () => undefined);
  worker.on('error', () => undefined);
  return worker;
});

// Readiness wants a worker that says it is alive.
const workerId = `naive:${process.pid}:${randomUUID()}`;
const beat = () =>
  workers
    .updateOne({ _id: workerId }, [{ $set: { seenAt: '$$NOW' } }], { upsert: true })
    .catch(() => undefined);
await beat();
setInterval(() => void beat(), BEAT_MS);

await Promise.all(consumers.map((worker) => worker.waitUntilReady()));
process.send?.({ type: 'ready' });

process.on('SIGTERM', () => {
  setTimeout(() => process.exit(0), VENDOR_TIMEOUT_MS).unref();
  void Promise.all(consumers.map((worker) => worker.close())).finally(() => process.exit(0));
});
process.on('disconnect', () => process.exit(0));

/** Runs the job's action; a failed job is tried again up to three times in all, and then its action has failed. */
async function processJob(job: Job<NaiveJob>, queue: Queue<NaiveJob>, baseUrl: string): Promise<void> {
  const { actionId, tried = 0 } = job.data;
  // Whoever polls sees the cancel on the record.
  if (job.id?.endsWith('-c') === true) return;
  const action = await actions.findOne({ _id: new mongoose.mongo.UUID(actionId) });
  if (action === null || action.status === 'Completed' || action.status === 'Failed') return;
  try {
    await run(action, baseUrl);
  } catch (error) {
    if (tried + 1 < ATTEMPTS) {
      await queue.add(
        job.name,
        { actionId, tried: tried + 1 },
        {
          jobId: `${actionId}-t${tried + 1}`,
          delay: RETRY_AFTER_MS,
          removeOnComplete: true,
          removeOnFail: true,
        },
      );
    } else {
      await end(action, 'Failed', 'failed', { code: 502, subcode: 0, message: 'The vendor failed.' });
    }
    throw error;
  }
}

async function run(action: ActionDocument, baseUrl: string): Promise<void> {
  const { _id } = action;
  await set(action, 'Running', { phase: 'executing' });
  const parameters = Object.fromEntries(action.parameters.map(({ name, value }) => [name, value]));
  const durationMs = Number(parameters['durationMs'] ?? 0);
  let operation = (await call(baseUrl, 'POST', '/operations', {
    key: _id.toString(),
    action: action.actionName,
    target: JSON.stringify(durationMs === 0 ? parameters : { durationMs }),
    durationMs,
  })) as Operation;
  for (;;) {
    switch (operation.status) {
      case 'completed':
        return end(action, 'Completed', 'done', null);
      case 'cancelled':
        return end(action, 'Failed', 'cancelledAtProvider', {
          code: 499,
          subcode: 0,
          message: 'Cancelled; the provider confirmed that it was stopped.',
        });
      case 'running':
        break;
      default:
        throw new Error('not an operation');
    }
    await sleep(Math.max(50, Math.min(operation.remainingMs, 1000)));
    const { operationId } = operation;
    const current = await actions.findOne({ _id });
    if (current?.cancel != null)
      await call(baseUrl, 'POST', '/cancel', { operationId }).catch(() => undefined);
    operation = (await call(baseUrl, 'GET', `/operations/${operationId}`)) as Operation;
  }
}

async function call(baseUrl: string, method: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(new URL(path, baseUrl), {
    method,
    signal: AbortSignal.timeout(VENDOR_TIMEOUT_MS),
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`the vendor answered HTTP ${response.status}`);
  return response.json();
}

function end(
  action: ActionDocument,
  status: 'Completed' | 'Failed',
  phase: ActionPhase,
  errorInfo: ErrorInfo | null,
): Promise<void> {
  const closed = { completedAt: new Date(), leaseUntil: null, nextAt: null, owner: null, intent: null };
  return set(action, status, { phase, errorInfo, ...closed }, { open: '' });
}

/** Writes a status, whatever stands there. */
async function set(
  { _id, appId, user }: ActionDocument,
  status: ActionStatus,
  fields: Partial<ActionDocument>,
  unset: { readonly open?: '' } = {},
): Promise<void> {
  const updatedAt = new Date();
  await actions.updateOne(
    { _id },
    {
      $set: { status, lastActionAt: updatedAt, ...fields },
      $push: { states: { status, updatedAt, appId, user } },
      ...(Object.keys(unset).length === 0 ? {} : { $unset: unset }),
    },
  );
}
