import { setMaxListeners } from 'node:events';
import { DelayedError, WaitingError, Worker, type Job } from 'bullmq';
import type { Redis } from 'ioredis';
import type { HintAnswer } from '#domain';
import { CANCEL_CHANNEL, type HintJob } from './bull-action-queue.js';
import {
  PREFIX,
  URGENT_SUFFIX,
  patientConnection,
  type OnConnectionError,
  type RedisAddress,
} from './redis-connection.js';

/** A hint as it comes out of an instance's queue. */
export interface TakenHint {
  readonly actionId: string;
  readonly instance: string;
  /** The manifest's name of its action. */
  readonly actionName: string;
  /** `start`: it was not begun. `follow`: it was. `cancel`: somebody wants it stopped. */
  readonly why: 'start' | 'follow' | 'cancel';
  /** It lets something go: it goes before other starts. */
  readonly isRelease: boolean;
  /** The vendor is to be asked how far it is. */
  readonly polls: boolean;
  /** From when on the vendor is to be told to stop it; null: never, as far as the hint knows. */
  readonly stopAt: Date | null;
}

/**
 * Looks at one action. `signal` is aborted when this process stops.
 * Throwing is a defect: the hint is dropped and the sweep comes back to the action.
 */
export type HintHandler = (hint: TakenHint, signal: AbortSignal) => Promise<HintAnswer>;

export interface ConsumerOptions {
  readonly redis: RedisAddress;
  /**
   * Provider instances with the number of starts each may have in hand, and that of what goes before them: cancels,
   * releases, and what has begun.
   */
  readonly instances: readonly {
    readonly id: string;
    readonly concurrency: number;
    /** Default as many. */
    readonly urgentConcurrency?: number;
  }[];
  readonly handle: HintHandler;
  /** A running action may have been cancelled. */
  readonly onCancel: (actionId: string) => void;
  readonly onError: OnConnectionError;
  readonly onHintFailed: (actionId: string | undefined, error: Error) => void;
}

/** Milliseconds of a job's lock, and between checks for jobs whose lock ran out. BullMQ's own 30 s each would leave a killed worker's job alone for a minute. */
const LOCK_MS = 10_000;
const STALLED_CHECK_MS = 5000;

/** Takes hints from the queues of all provider instances. */
export class HintConsumer {
  readonly #connection: Redis;
  readonly #subscriber: Redis;
  readonly #options: ConsumerOptions;
  readonly #workers = new Map<string, Worker<HintJob>>();
  /** Workers that were replaced and still have something in hand. */
  readonly #retired = new Set<Promise<unknown>>();
  /**
   * Our own signal: the one BullMQ hands over is dropped without a word by some shapes of a function, is not
   * aborted when a lock is lost, and is forgotten early in a close.
   */
  readonly #shutdown = new AbortController();
  /** Queues of which nothing is taken for now. */
  readonly #held = new Map<string, NodeJS.Timeout>();
  #stopping = false;

  constructor(options: ConsumerOptions) {
    const { redis, onError } = options;
    this.#options = options;
    // Every action in hand listens to it.
    setMaxListeners(0, this.#shutdown.signal);
    this.#connection = patientConnection(redis, onError);
    this.#subscriber = patientConnection(redis, onError);
    this.#subscriber.on('message', (_channel, actionId: string) => options.onCancel(actionId));
    this.#subscriber.subscribe(CANCEL_CHANNEL).catch(onError);
    for (const { id, concurrency, urgentConcurrency = concurrency } of options.instances) {
      this.#workers.set(id, this.#worker(id, concurrency));
      const urgent = `${id}${URGENT_SUFFIX}`;
      this.#workers.set(urgent, this.#worker(urgent, urgentConcurrency));
    }
  }

  /** Resolves when Redis has been reached and hints are being taken. */
  async ready(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.waitUntilReady()));
  }

  /**
   * Takes the hints of an instance with a new worker and a new connection, for one that seems to hang. What the old
   * one has in hand it still finishes. Does nothing for an instance that is not known, or once this stops.
   */
  renew(instance: string): void {
    for (const name of [instance, `${instance}${URGENT_SUFFIX}`]) {
      const old = this.#workers.get(name);
      if (old === undefined || this.#stopping) continue;
      // The hold was the old one's: the new one takes a hint, and asks for a hold of its own.
      clearTimeout(this.#held.get(name));
      this.#held.delete(name);
      this.#workers.set(name, this.#worker(name, old.concurrency));
      const retired = old
        .close()
        .catch(this.#options.onError)
        .finally(() => this.#retired.delete(retired));
      this.#retired.add(retired);
    }
  }

  /**
   * Takes no more hints and waits up to `graceMs` for those in hand, then aborts their signals and waits up to
   * `abortMs` for them to hand their actions over.
   */
  async stop(graceMs: number, abortMs: number): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#held.values()) clearTimeout(timer);
    const closed = Promise.all([
      ...[...this.#workers.values()].map((worker) => worker.close()),
      ...this.#retired,
    ]).catch(() => undefined);
    await Promise.race([closed, after(graceMs)]);
    this.#shutdown.abort();
    await Promise.race([closed, after(abortMs)]);
    this.#subscriber.disconnect();
    this.#connection.disconnect();
  }

  #worker(instance: string, concurrency: number): Worker<HintJob> {
    const { handle, onError, onHintFailed } = this.#options;
    const worker = new Worker<HintJob>(instance, (job, token) => this.#process(job, token, handle), {
      connection: this.#connection,
      prefix: PREFIX,
      concurrency,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_CHECK_MS,
      // The sweep hints again what is due; a stalled job is only removed.
      maxStalledCount: 0,
      skipVersionCheck: true,
    });
    worker.on('error', onError);
    worker.on('failed', (job, error) => {
      if (!this.#shutdown.signal.aborted) onHintFailed(job?.data.actionId, error);
    });
    return worker;
  }

  async #process(job: Job<HintJob>, token: string | undefined, handle: HintHandler): Promise<void> {
    const isUrgent = job.queueName.endsWith(URGENT_SUFFIX);
    const isCancel = job.id?.endsWith('-c') === true;
    const isFirst = /-e0s?$/.test(job.id ?? '');
    const hint = {
      actionId: job.data.actionId,
      actionName: job.name,
      instance: isUrgent ? job.queueName.slice(0, -URGENT_SUFFIX.length) : job.queueName,
      why: isCancel ? ('cancel' as const) : isFirst ? ('start' as const) : ('follow' as const),
      isRelease: isUrgent && isFirst,
      polls: job.data.polls === true,
      stopAt: job.data.stopAt === undefined ? null : new Date(job.data.stopAt),
    };
    const answer = await handle(hint, this.#shutdown.signal);
    if (answer === undefined) return;
    if ('holdMs' in answer) {
      this.#hold(job.queueName, answer.holdMs);
      await job.moveToWait(token);
      throw new WaitingError();
    }
    await job.moveToDelayed(Date.now() + answer.lookAgainMs, token);
    throw new DelayedError();
  }

  /** Takes nothing of this queue for so long. Its jobs keep their order meanwhile. */
  #hold(name: string, ms: number): void {
    const worker = this.#workers.get(name);
    if (worker === undefined || this.#held.has(name) || this.#stopping) return;
    void worker.pause(true).catch(this.#options.onError);
    const timer = setTimeout(() => {
      this.#held.delete(name);
      if (!this.#stopping) void this.#takeAgain(name, worker).catch(this.#options.onError);
    }, ms);
    timer.unref();
    this.#held.set(name, timer);
  }

  /**
   * BullMQ puts no marker for a job with a priority that goes back to its place, and a worker that had found nothing more
   * listens for markers alone: without one it would sleep for five seconds beside a job that may start.
   */
  async #takeAgain(name: string, worker: Worker<HintJob>): Promise<void> {
    await this.#connection.zadd(`${PREFIX}:${name}:marker`, 0, '0').catch(this.#options.onError);
    await worker.resume();
  }
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
