import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll } from 'vitest';
import {
  UserError,
  type ActionQueue,
  type ActionStore,
  type Hint,
  type Idempotency,
  type NewAction,
  type SecurityAction,
  type VendorOperation,
  type VendorPermits,
} from '#domain';
import { CancelAction, ProviderRegistry, RunAction } from '#engine';
import { connectDatabase } from '#persistence';
import {
  Type,
  defineProvider,
  type CancelAnswer,
  type ReconcileOutcome,
  type StepOutcome,
} from '#provider-sdk';
import { createLogger, type Metrics } from '#telemetry';
import { CALLER, freshDatabaseUri, newAction } from './database.js';
import { eventually } from './eventually.js';
import { SEAL } from './secrets.js';

const log = createLogger('riposte-test', 'silent');

export type CallName = 'execute' | 'poll' | 'cancel' | 'reconcile';
type Answer = StepOutcome | ReconcileOutcome | CancelAnswer;

/** A call of the provider, held until the test answers it. */
export interface HeldCall {
  readonly operation: VendorOperation | null;
  readonly attempt: number;
  readonly signal: AbortSignal;
  answer(outcome: Answer): void;
  fail(error: unknown): void;
  /** Keeps the vendor's handle, as a plugin's `execute` may. */
  save(operation: VendorOperation): Promise<void>;
}

export interface RaceOptions extends Partial<Pick<NewAction, 'deadlineMs' | 'startBefore'>> {
  readonly idempotency?: Idempotency;
  readonly cancellable?: boolean;
  /** Whether a call throws when its signal is aborted. Default true. */
  readonly obeys?: boolean;
  /** Whether workers hear of a cancel when it is announced. Default true. */
  readonly announces?: boolean;
  /** Where workers and cancels count. Default nowhere. */
  readonly metrics?: Metrics;
  /** Who may call the provider. Default anybody. */
  readonly permits?: VendorPermits;
}

/** Connects to a database whose records a test may make older. */
export async function raceTrack(): Promise<(options?: RaceOptions) => Promise<Race>> {
  const uri = freshDatabaseUri();
  const database = await connectDatabase(uri, { appName: 'riposte-test' });
  const connection = await mongoose.createConnection(uri).asPromise();
  afterAll(async () => {
    await connection.close();
    await database.close();
  });
  return async (options = {}) => {
    const { idempotency = 'none', deadlineMs = 3_600_000, startBefore = null } = options;
    const { id } = await database.actions.create(
      newAction({
        instance: 'scripted',
        actionName: 'Do',
        name: 'Do',
        parameters: [],
        idempotency,
        deadlineMs,
        startBefore,
      }),
    );
    return new Race(id, database.actions, connection.getClient().db(connection.name), options);
  };
}

/** One action, workers in this process, and a provider whose every call the test holds and answers. */
export class Race {
  /** What the provider was called for, in order. */
  readonly seen: string[] = [];
  /** What its workers hinted, in order. */
  readonly hints: Hint[] = [];
  readonly #held: (HeldCall & { readonly name: CallName })[] = [];
  readonly #registry: ProviderRegistry;
  readonly #workers: RunAction[] = [];
  readonly #queue: ActionQueue;
  readonly #cancel: CancelAction;
  readonly #metrics: { readonly metrics?: Metrics };
  readonly #permits: { readonly permits?: VendorPermits };

  constructor(
    readonly id: string,
    readonly store: ActionStore,
    readonly db: mongoose.mongo.Db,
    options: RaceOptions,
  ) {
    this.#metrics = options.metrics === undefined ? {} : { metrics: options.metrics };
    this.#permits = options.permits === undefined ? {} : { permits: options.permits };
    this.#queue = {
      hint: (hint) => {
        this.hints.push(hint);
        return Promise.resolve(true);
      },
      hintMany: () => Promise.resolve(true),
      incarnation: () => Promise.resolve('one'),
      announceCancel: (actionId) => {
        if (options.announces !== false) for (const worker of this.#workers) worker.hearCancel(actionId);
        return Promise.resolve(true);
      },
    };
    this.#cancel = new CancelAction({ store, queue: this.#queue, log, ...this.#metrics });
    this.#registry = registryOf(options, (name, call) => this.#hold(name, call, options.obeys !== false));
  }

  /** A worker whose store behaves as the database does, but for what the test does around one of its writes. */
  worker(around: Partial<ActionStore> = {}, registry = this.#registry): RunAction {
    const store = new Proxy(this.store, {
      get: (real, name) => {
        const value: unknown = Reflect.get(around, name) ?? Reflect.get(real, name);
        return typeof value === 'function' ? (value.bind(real) as unknown) : value;
      },
    });
    const worker = new RunAction({
      store,
      queue: this.#queue,
      registry,
      seal: SEAL,
      log,
      workerId: randomUUID(),
      ...this.#metrics,
      ...this.#permits,
    });
    this.#workers.push(worker);
    return worker;
  }

  /** Makes the action due, and has a worker look at it. Resolves when the worker has let go of it. */
  async look(
    worker: RunAction = this.worker(),
    signal: AbortSignal = new AbortController().signal,
    stopAt: Date | null = null,
  ): Promise<void> {
    await this.age({ nextAt: new Date(0) });
    await worker.look(
      {
        actionId: this.id,
        instance: 'scripted',
        actionName: 'Do',
        why: 'follow',
        isRelease: false,
        polls: true,
        stopAt,
      },
      signal,
    );
  }

  /** The next call of this name; waits for it. */
  call(name: CallName): Promise<HeldCall> {
    return eventually(() => {
      const index = this.#held.findIndex((held) => held.name === name);
      return index === -1 ? null : this.#held.splice(index, 1)[0];
    });
  }

  /** Cancels as a caller would; the answer, or the code of the refusal. */
  async cancel(): Promise<string> {
    try {
      return (await this.#cancel.cancel(CALLER, this.id)).kind;
    } catch (error) {
      if (error instanceof UserError) return error.code;
      throw error;
    }
  }

  async action(): Promise<SecurityAction> {
    const action = await this.store.find(CALLER.tenantId, this.id);
    if (action === null) throw new Error('the action is gone');
    return action;
  }

  /** How it ended, and what became of the cancel. */
  async end(): Promise<string> {
    const { status, phase, errorInfo, cancel } = await this.action();
    return `${status} ${phase} ${errorInfo?.code ?? '-'} ${cancel === null ? 'no wish' : String(cancel.outcome)}`;
  }

  /** Sets times of the record, as if time had passed. */
  async age({
    intent,
    ...times
  }: {
    readonly nextAt?: Date;
    readonly leaseUntil?: Date;
    readonly deadlineAt?: Date;
    readonly startBefore?: Date;
    /** When the attempt at hand was issued. */
    readonly intent?: Date;
  }) {
    await this.db
      .collection<{ _id: mongoose.mongo.UUID; open?: true }>('actions')
      .updateOne(
        { _id: new mongoose.mongo.UUID(this.id), open: true },
        { $set: { ...times, ...(intent === undefined ? {} : { 'intent.at': intent }) } },
      );
  }

  /** The deadline passed `agoMs` ago. */
  deadlinePassed(agoMs = 1000): Promise<void> {
    return this.age({ deadlineAt: new Date(Date.now() - agoMs) });
  }

  #hold(name: CallName, call: Omit<HeldCall, 'answer' | 'fail'>, obeys: boolean): Promise<Answer> {
    this.seen.push(call.operation === null ? name : `${name} ${call.operation.id}`);
    return new Promise<Answer>((resolve, reject) => {
      if (obeys) call.signal.addEventListener('abort', () => reject(call.signal.reason as Error));
      this.#held.push({ ...call, name, answer: resolve, fail: reject });
    });
  }
}

function registryOf(
  { idempotency = 'none', cancellable = true }: RaceOptions,
  hold: (name: CallName, call: Omit<HeldCall, 'answer' | 'fail'>) => Promise<Answer>,
): ProviderRegistry {
  const unsaved = (): Promise<void> => Promise.reject(new Error('only execute saves an operation'));
  const provider = defineProvider({
    manifest: {
      vendor: 'Scripted',
      provider: 'Scripted',
      version: '1.0.0',
      settings: Type.Object({}),
      actions: { Do: { title: 'Do', parameters: Type.Object({}), idempotency, cancellable } },
    },
    execute: ({ signal, attempt, ...context }) =>
      hold('execute', {
        operation: null,
        attempt,
        signal,
        save: (operation) => context.saveOperation(operation),
      }) as Promise<StepOutcome>,
    poll: ({ signal, attempt }, operation) =>
      hold('poll', { operation, attempt, signal, save: unsaved }) as Promise<StepOutcome>,
    cancel: ({ signal, attempt }, operation) =>
      hold('cancel', { operation, attempt, signal, save: unsaved }) as Promise<CancelAnswer>,
    reconcile: ({ signal, attempt }) =>
      hold('reconcile', {
        operation: null,
        attempt,
        signal,
        save: unsaved,
      }) as Promise<ReconcileOutcome>,
  });
  return new ProviderRegistry(
    [{ id: 'scripted', plugin: 'scripted', tenants: ['*'], settings: {}, secrets: {}, concurrency: 4 }],
    { scripted: provider },
  );
}
