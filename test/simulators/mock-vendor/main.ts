import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { Random } from '../../support/random.js';
import { SimulatorServer, answerJson as answer, type Incoming } from '../simulator-server.js';
import { openLedger } from './ledger.js';
import { Vendor, shown, type Mode, type Submission, type Undoing } from './vendor.js';

const MISBEHAVIOURS = [
  'rateLimit',
  'serverError',
  'unavailable',
  'redirect',
  'executeAndHang',
  'executeAndReset',
  'garbage',
  'huge',
  'drip',
] as const;
/** Of submissions, first one first; then of polls and look-ups, and of cancels. */
type Misbehaviour =
  (typeof MISBEHAVIOURS)[number] | 'pollError' | 'pollGarbage' | 'cancelError' | 'cancelReset';

const options = new Command()
  .addOption(new Option('--mode <mode>').choices(['key', 'natural', 'lookup', 'none']).makeOptionMandatory())
  .requiredOption('--ledger <file>')
  .option('--port <n>', 'port on 127.0.0.1; 0 takes a free one', '0')
  .option('--seed <n>', 'makes the misbehaviour repeatable', '1')
  .parse()
  .opts<{ mode: Mode; ledger: string; port: string; seed: string }>();

const ledger = openLedger(options.ledger);
let vendor = new Vendor(options.mode, ledger);
const random = new Random(Number(options.seed));
let shares: Partial<Record<Misbehaviour, number>> = {};
let latencyMs = 0;
/** Shown instead of every operation's own status. */
let saidStatus: string | undefined;

const server = await SimulatorServer.start(
  (incoming, response) =>
    handle(incoming, response).catch(() => answer(response, 400, { error: 'bad request' })),
  Number(options.port),
);
process.send?.({ type: 'ready', port: server.port });
process.on('disconnect', () => process.exit(0));

async function handle({ method, url, body }: Incoming, response: ServerResponse): Promise<void> {
  const route = `${method} ${url.pathname.replace(/^(\/operations)\/.+/, '$1/:id')}`;
  switch (route) {
    case 'POST /operations':
      return submit(response, JSON.parse(body) as Submission);
    case 'GET /operations/:id':
      return show(response, vendor.find(decodeURIComponent(url.pathname.split('/')[2] ?? '')));
    case 'POST /operations/:id':
      return answer(response, 200, {
        finished: vendor.finish(decodeURIComponent(url.pathname.split('/')[2] ?? '')),
      });
    case 'POST /reset':
      vendor = new Vendor(options.mode, ledger);
      saidStatus = undefined;
      return answer(response, 200, {});
    case 'PUT /status':
      ({ status: saidStatus } = JSON.parse(body) as { status?: string });
      return answer(response, 200, {});
    case 'PUT /effects':
      vendor.putInPlace(JSON.parse(body) as Pick<Submission, 'action' | 'target'>);
      return answer(response, 200, {});
    case 'GET /operations':
      return show(response, vendor.findByTag(url.searchParams.get('tag') ?? ''));
    case 'POST /cancel':
      return cancel(response, JSON.parse(body) as { operationId?: string; key?: string });
    case 'POST /undo':
      return undo(response, JSON.parse(body) as Undoing);
    case 'GET /effects':
      if (isHit('pollError')) return answer(response, 500, { error: 'internal' });
      return answer(response, 200, {
        inPlace: vendor.isInPlace({
          action: url.searchParams.get('action') ?? '',
          target: url.searchParams.get('target') ?? '',
        }),
      });
    case 'GET /health':
      return isHit('pollError')
        ? answer(response, 500, { error: 'internal' })
        : answer(response, 200, { ok: true });
    case 'PUT /behaviour':
      ({ latencyMs = 0, ...shares } = JSON.parse(body) as typeof shares & { latencyMs?: number });
      return answer(response, 200, { latencyMs, ...shares });
    default:
      return answer(response, 404, { error: 'no such route' });
  }
}

async function submit(response: ServerResponse, submission: Submission): Promise<void> {
  await takeTime();
  const misbehaviour = MISBEHAVIOURS.find((one) => isHit(one));
  const note = (operationId?: string): void => {
    if (misbehaviour === undefined) return;
    const { key, action, target } = submission;
    const operation = operationId === undefined ? {} : { operationId };
    ledger.write({ event: 'misbehaved', how: misbehaviour, key, ...operation, action, target });
  };
  switch (misbehaviour) {
    case 'rateLimit':
      note();
      return answer(response, 429, { error: 'slow down' }, { 'retry-after': '1' });
    case 'unavailable':
      note();
      return answer(response, 503, { error: 'away' }, { 'retry-after': '1' });
    case 'serverError':
      note();
      return answer(response, 500, { error: 'internal' });
    case 'redirect':
      note();
      return answer(response, 302, {}, { location: '/operations' });
    default:
  }
  const operation = vendor.submit(submission);
  if (operation === null) return answer(response, 410, { error: 'this key was cancelled' });
  note(operation.operationId);
  await takeTime();
  switch (misbehaviour) {
    case 'executeAndHang':
      return;
    case 'executeAndReset':
      response.socket?.resetAndDestroy();
      return;
    case 'garbage':
      return garbage(response, 201);
    case 'huge':
      response
        .writeHead(201, { 'content-type': 'application/json' })
        .end(`"${'x'.repeat(10 * 1024 * 1024)}"`);
      return;
    case 'drip':
      return drip(response);
    default:
      return answer(response, 201, asShown(operation));
  }
}

function show(response: ServerResponse, operation: Parameters<typeof shown>[0] | null): void {
  if (isHit('pollError')) return answer(response, 500, { error: 'internal' });
  if (isHit('pollGarbage')) return garbage(response, 200);
  return operation === null
    ? answer(response, 404, { error: 'unknown' })
    : answer(response, 200, asShown(operation));
}

function cancel(
  response: ServerResponse,
  by: { readonly operationId?: string; readonly key?: string },
): void {
  if (isHit('cancelError')) return answer(response, 500, { error: 'internal' });
  const outcome = vendor.cancel(by);
  if (isHit('cancelReset')) {
    response.socket?.resetAndDestroy();
    return;
  }
  return answer(response, { cancelled: 200, tooLate: 409, notFound: 404 }[outcome], { outcome });
}

function undo(response: ServerResponse, undoing: Undoing): void {
  if (isHit('cancelError')) return answer(response, 500, { error: 'internal' });
  const changed = vendor.undo(undoing);
  if (isHit('cancelReset')) {
    response.socket?.resetAndDestroy();
    return;
  }
  return answer(response, 200, { changed });
}

function asShown(operation: Parameters<typeof shown>[0]): object {
  return saidStatus === undefined ? shown(operation) : { ...shown(operation), status: saidStatus };
}

function isHit(misbehaviour: Misbehaviour): boolean {
  return random.chance(shares[misbehaviour] ?? 0);
}

/** Up to half of `latencyMs`: vendors do not answer at once, neither before they act nor after. */
async function takeTime(): Promise<void> {
  if (latencyMs > 0) await sleep(random.between(0, latencyMs / 2));
}

function garbage(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end('<html>');
}

function drip(response: ServerResponse): void {
  response.writeHead(201, { 'content-type': 'application/json' });
  const timer = setInterval(() => response.write(' '), 1000);
  response.on('close', () => clearInterval(timer));
}
