import type { CancelOutcome, EffectRecord, Json, VendorOperation } from '#domain';
import { ProviderError } from '../errors.js';
import type { ExecutionContext, ReconcileOutcome, StepOutcome } from '../provider.js';
import { plain, type CallOptions, type Came, type Rig, type Trial, type Worker } from './rig.js';

/** Attempts that may fail transiently, as in the engine; the vendor's 429 does not count. */
const MAX_ATTEMPTS = 8;
const RETRY_MS = 1000;
/** Looks at a request whose answer was lost, as long as the engine goes on looking. */
const MAX_RECONCILES = 4;

export type Ended =
  | { readonly kind: 'completed'; readonly result: Json; readonly effect: EffectRecord | null }
  | { readonly kind: 'failed'; readonly error: ProviderError }
  /** The plugin threw something else than a ProviderError, or answered with no outcome. */
  | { readonly kind: 'defect'; readonly error: unknown }
  | { readonly kind: 'cancelled' }
  /** Stopped by somebody else. */
  | { readonly kind: 'stopped' }
  /** Nobody knows, and it is never issued again. */
  | { readonly kind: 'unknown' };

type CallName = 'execute' | 'poll' | 'reconcile' | 'cancel';

/**
 * One action as the engine takes it through a plugin, in small: intent before the call, the operation kept before
 * anybody waits, recovery by the declared idempotency. libs/engine is the real one; its rules are these.
 */
export class ModelAction {
  /** Calls of the plugin so far. */
  readonly calls: CallName[] = [];
  operation: VendorOperation | null = null;
  ended: Ended | null = null;
  cancelOutcome: CancelOutcome | null = null;
  /** On the rig's clock: when it may be looked at again. */
  dueAt = 0;
  /** What the last failed call threw or returned; null where it did not. */
  lastError: unknown = null;
  readonly #id: string;
  #intent = false;
  #doubtful = false;
  #failures = 0;
  #attempt = 0;
  #reconciles = 0;
  #wanted = true;
  #checkpoint: Json = null;
  #issuedAt: Date | null = null;

  constructor(
    readonly rig: Rig,
    readonly trial: Trial,
    private worker: Worker,
    readonly instance: 0 | 1 = 0,
  ) {
    this.#id = rig.subject().actionId;
  }

  get id(): string {
    return this.#id;
  }

  get isPending(): boolean {
    return this.ended === null && this.operation !== null;
  }

  /** It is done, and says that it was so before. */
  get changedNothing(): boolean {
    return this.ended?.kind === 'completed' && this.ended.effect?.changed === false;
  }

  /** How it ended, in words. */
  get ending(): string {
    if (this.ended === null) return this.operation === null ? 'has not ended' : 'is pending';
    return `ended as ${this.ended.kind}${'error' in this.ended ? ` (${String(this.ended.error)})` : ''}`;
  }

  /** Somebody wants it cancelled. */
  cancel(): void {
    this.#wanted = false;
  }

  /** Another worker takes it over. */
  async takeOver(): Promise<void> {
    this.worker = await this.rig.anotherWorker();
  }

  /** One claim: one call of the plugin, or what follows from it at once. */
  async look(options: CallOptions = {}): Promise<void> {
    if (this.ended !== null) return;
    this.rig.now = Math.max(this.rig.now, this.dueAt);
    if (!this.#intent && !this.#wanted) {
      this.ended = { kind: 'cancelled' };
      return;
    }
    if (!this.#intent) {
      this.#intent = true;
      this.#attempt += 1;
      this.#issuedAt = new Date();
      return this.#execute(options);
    }
    if (!this.#wanted && this.cancelOutcome === null && this.trial.manifest.cancellable)
      return this.#tellCancel(options);
    if (this.operation !== null) return this.#poll(this.operation, options);
    return this.#recover(options);
  }

  /** Looks until it has ended or its work goes on at the vendor; `most` looks at most. */
  async settle(most = 20): Promise<void> {
    for (let looks = 0; looks < most && this.ended === null; looks += 1) {
      await this.look();
      if (this.isPending && this.calls.at(-1) === 'poll') return;
    }
  }

  async #execute(options: CallOptions): Promise<void> {
    const came = await this.#call(
      'execute',
      (context) => this.worker.provider.calls.execute(context, this.trial.request),
      options,
    );
    this.#settleExecute(came);
  }

  #settleExecute(came: Came<StepOutcome>): void {
    switch (came.kind) {
      case 'killed':
        this.#doubtful = true;
        return;
      case 'returned':
        return this.#outcome(came.value);
      case 'threw':
        return this.#failed(came.error);
      case 'stopped':
      case 'hung':
        return this.#unknown();
    }
  }

  #outcome(outcome: StepOutcome): void {
    switch (outcome?.kind) {
      case 'completed':
        this.ended = {
          kind: 'completed',
          result: plain(outcome.result ?? null),
          effect: plain(outcome.effect ?? null),
        };
        return;
      case 'pending':
        this.operation = plain(outcome.operation);
        this.dueAt = this.rig.now + (outcome.nextPollMs ?? RETRY_MS);
        return;
      case 'failed':
        return this.#failed(outcome.error);
      case 'stopped':
        this.ended = { kind: this.#wanted ? 'stopped' : 'cancelled' };
        return;
      default:
        this.#failed(new TypeError(`the answer is no outcome: ${JSON.stringify(outcome)}`));
    }
  }

  #failed(error: unknown): void {
    this.lastError = error;
    if (!(error instanceof ProviderError)) {
      this.#unknownOr({ kind: 'defect', error });
      return;
    }
    switch (error.next) {
      case 'fail':
        this.ended = this.#doubtful ? { kind: 'unknown' } : { kind: 'failed', error };
        return;
      case 'unknown':
        return this.#unknown();
      case 'retry':
        if (this.operation !== null) return this.#unknown();
        if (error.errorClass !== 'rateLimited' && error.errorClass !== 'targetBusy') this.#failures += 1;
        if (this.#failures >= MAX_ATTEMPTS) {
          this.ended = this.#doubtful ? { kind: 'unknown' } : { kind: 'failed', error };
          return;
        }
        this.dueAt = this.rig.now + Math.max(RETRY_MS, error.retryAfterMs ?? 0);
        // "Nothing was applied" settles nothing while an earlier call is in doubt.
        if (!this.#doubtful) this.#intent = false;
    }
  }

  /** It may have reached the vendor: the next look recovers. */
  #unknown(): void {
    this.#unknownOr({ kind: 'unknown' });
  }

  #unknownOr(end: Ended): void {
    this.#doubtful = true;
    this.dueAt = this.rig.now + RETRY_MS;
    if (this.operation !== null) return;
    const idempotency = this.rig.idempotencyOf(this.trial, this.instance);
    if (idempotency === 'none') this.ended = { kind: 'unknown' };
    else if (end.kind === 'defect' && idempotency !== 'lookup') this.ended = end;
  }

  async #recover(options: CallOptions): Promise<void> {
    switch (this.rig.idempotencyOf(this.trial, this.instance)) {
      case 'key':
      case 'natural':
        return this.#execute(options);
      case 'lookup':
        return this.#reconcile(options);
      case 'none':
        this.ended = { kind: 'unknown' };
    }
  }

  async #reconcile(options: CallOptions): Promise<void> {
    const { reconcile } = this.worker.provider.calls;
    const came: Came<ReconcileOutcome> =
      reconcile === undefined
        ? { kind: 'returned', value: { kind: 'cannotTell' } }
        : await this.#call('reconcile', (context) => reconcile(context, this.trial.request), options);
    if (came.kind === 'killed') return;
    this.#reconciles += 1;
    if (came.kind === 'returned') {
      const { value } = came;
      const tells =
        value.kind === 'failed'
          ? value.error.next === 'fail'
          : value.kind !== 'notFound' && value.kind !== 'cannotTell';
      if (value.kind === 'neverSent') return this.#goOnUnsent();
      if (tells) return this.#outcome(value as StepOutcome);
    }
    this.dueAt = this.rig.now + RETRY_MS;
    if (this.#reconciles >= MAX_RECONCILES) this.ended = { kind: 'unknown' };
  }

  /** As if there had been no intent. */
  #goOnUnsent(): void {
    this.#intent = false;
    this.#doubtful = false;
    this.#reconciles = 0;
    this.dueAt = this.rig.now + RETRY_MS;
    if (!this.#wanted) this.ended = { kind: 'cancelled' };
  }

  async #poll(operation: VendorOperation, options: CallOptions): Promise<void> {
    const { poll } = this.worker.provider.calls;
    const { pollMany } = this.worker.provider.calls;
    const { request } = this.trial;
    const came =
      pollMany !== undefined
        ? await this.#call(
            'poll',
            async (context) =>
              (await pollMany(context, [{ actionId: this.#id, operation, request }])).get(this.#id) ?? {
                kind: 'pending' as const,
                operation,
              },
            options,
          )
        : poll === undefined
          ? null
          : await this.#call('poll', (context) => poll(context, operation, request), options);
    if (came === null) {
      this.ended = { kind: 'unknown' };
      return;
    }
    this.dueAt = this.rig.now + RETRY_MS;
    if (came.kind === 'threw') {
      this.lastError = came.error;
      // The question failed, not the operation, unless the vendor says that there is no such thing.
      const { error } = came;
      const asker = error instanceof ProviderError && ['auth', 'permission'].includes(error.errorClass);
      if (error instanceof ProviderError && error.next === 'fail' && !asker)
        this.ended = { kind: 'failed', error };
      return;
    }
    if (came.kind !== 'returned') return;
    if (came.value.kind === 'failed' && came.value.error.next !== 'fail') {
      this.lastError = came.value.error;
      return;
    }
    this.#outcome(came.value);
  }

  async #tellCancel(options: CallOptions): Promise<void> {
    const { operation } = this;
    const came = await this.#call(
      'cancel',
      (context) => this.worker.provider.calls.cancel(context, operation, this.trial.request),
      options,
    );
    if (came.kind === 'killed') return;
    this.dueAt = this.rig.now + RETRY_MS;
    if (came.kind === 'returned') {
      if (came.value === 'neverSent') return this.#goOnUnsent();
      this.cancelOutcome = came.value;
      if (came.value === 'cancelled') this.ended = { kind: 'cancelled' };
      return;
    }
    if (came.kind !== 'threw') return;
    this.lastError = came.error;
    const { error } = came;
    const asker = error instanceof ProviderError && ['auth', 'permission'].includes(error.errorClass);
    if (error instanceof ProviderError && error.next === 'fail' && !asker) this.cancelOutcome = 'unknown';
    // It may have ended meanwhile; to ask does not have to wait until the vendor takes a cancel.
    else if (operation !== null) await this.#poll(operation, {});
  }

  #call<T>(
    what: CallName,
    run: (context: ExecutionContext) => Promise<T>,
    options: CallOptions,
  ): Promise<Came<T>> {
    this.calls.push(what);
    return this.rig.call(
      what,
      this.trial.name,
      {
        actionId: this.#id,
        instance: this.instance,
        attempt: this.#attempt,
        issuedAt: this.#issuedAt,
        checkpoint: this.#checkpoint,
      },
      run,
      {
        ...options,
        saved: (operation) => {
          this.operation = operation;
          options.saved?.(operation);
        },
        noted: (report) => {
          if (report.checkpoint !== undefined) this.#checkpoint = report.checkpoint;
          options.noted?.(report);
        },
      },
    );
  }
}
