import {
  ERROR_INFO_CODES,
  UnsealError,
  errorInfo,
  type ActionQueue,
  type ActionStore,
  type Claim,
  type ClaimedAction,
  type EffectRecord,
  type EntryLedger,
  type ErrorInfo,
  type FailedPhase,
  type Intent,
  type Json,
  type KeyValuePair,
  type Permit,
  type SecretSeal,
  type SecurityAction,
  type VendorOperation,
  type VendorPermits,
} from '#domain';
import {
  PluginDied,
  ProviderError,
  StopRequested,
  parseParameters,
  vendorHttp,
  type ActionManifest,
  type CancelAnswer,
  type CallContext,
  type ExecutionContext,
  type PluginLog,
  type ProviderErrorClass,
  type StepOutcome,
} from '#provider-sdk';
import { NO_METRICS, clientSpans, withoutSecrets, type Logger, type Metrics } from '#telemetry';
import { withCallSpan, type CallName } from './action-spans.js';
import { MAX_ATTEMPTS, retryDelayMs } from './backoff.js';
import { noteCall, resultOf } from './call-notes.js';
import { KeptSecrets } from './kept-secrets.js';
import { LeaseKeeper } from './lease-keeper.js';
import { noteEnd } from './note-end.js';
import { checkedCancelOutcome, checkedOperation, checkedOutcome, checkedReport } from './plugin-answer.js';
import type { PollGroups } from './poll-groups.js';
import { wakeNext } from './wake-next.js';
import { ProviderCall, type CallResult } from './provider-call.js';
import type { ProviderInstance, ProviderRegistry } from './registry.js';
import { cannotBeOpened, openParameters, placeOfAction, secretsToHide } from './secret-parameters.js';

/** Workers that may die on one action before it is taken for the cause. */
const POISON_AFTER_CRASHES = 5;
const SHORT_CALL_TIMEOUT_MS = 30_000;
const DEFAULT_POLL_MS = 1000;
const POLL_LEAST_MS = 50;
const POLL_MOST_MS = 3_600_000;
/** Milliseconds past the deadline during which a vendor that was told to stop is still listened to. */
const LISTEN_AFTER_DEADLINE_MS = 30_000;

/** Milliseconds before the deadline in which nothing is begun any more. */
const NO_TIME_MS = 250;
/** Milliseconds of these that a question has in any case. */
const LISTEN_LEAST_MS = 1000;

/** Failures that use up no attempt: it is waited for, until the deadline. */
const UNCOUNTED: ReadonlySet<ProviderErrorClass> = new Set(['rateLimited', 'targetBusy']);
/** Failures of a poll or a cancel that are about who asks. */
const ASKERS_FAULT: ReadonlySet<ProviderErrorClass> = new Set(['auth', 'permission']);

export interface ActionRunParts {
  readonly store: ActionStore;
  readonly queue: ActionQueue;
  readonly registry: ProviderRegistry;
  /** Where polls of plugins with `pollMany` meet. */
  readonly polls: PollGroups;
  /** Opens the values of secret parameters. */
  readonly seal: SecretSeal;
  readonly log: Logger;
  readonly permits?: VendorPermits;
  readonly ledger?: (instance: string) => EntryLedger;
  /** The permit that was taken for it; null: it needs none. */
  readonly permit: Permit | null;
  readonly claim: Claim;
  readonly claimedAt: number;
  readonly leaseMs: number;
  /** Whether vendors are told of the trace that a request is part of. Default false. */
  readonly propagatesTrace?: boolean;
  /** Default: nothing is counted. */
  readonly metrics?: Metrics;
}

/** What a run needs to know of the action's provider, once it has been found to be configured. */
interface Target {
  readonly instance: ProviderInstance;
  readonly manifest: ActionManifest;
  readonly request: { readonly action: string; readonly parameters: unknown; readonly effectUntil?: Date };
  readonly secrets: readonly string[];
  /** What it undoes; null for an action that does something of its own. */
  readonly original: SecurityAction | null;
}

/**
 * One claim of one action, from the claim to the write that gives the lease back. See `README.md` beside this
 * file for the diagram. A store method that answers null means that somebody else decided first: then this run
 * is over.
 */
export class ActionRun {
  readonly #store: ActionStore;
  readonly #queue: ActionQueue;
  readonly #registry: ProviderRegistry;
  readonly #polls: PollGroups;
  readonly #seal: SecretSeal;
  readonly #permits: VendorPermits | undefined;
  readonly #permit: Permit | null;
  readonly #ledger: ((instance: string) => EntryLedger) | undefined;
  readonly #log: Logger;
  readonly #claim: Claim;
  readonly #keeper: LeaseKeeper;
  readonly #anchoredAt: number;
  readonly #serverClaimedAtMs: number;
  /** Those of its instance and of its parameters, once it is known which they are. */
  #kept = KeptSecrets.none;
  #call: ProviderCall | undefined;
  #cancellable = false;
  #lost = false;
  #lossTold = false;
  /** True once a write that ends the action, or gives the lease back, is on record. */
  #gaveBack = false;
  /** True once the vendor may have been sent something under this claim. */
  #sent = false;
  /** True once the provider could not be told of a cancel; it is told again under a later claim. */
  #toldInVain = false;
  /** What the plugin noted under this claim; undefined: nothing. */
  #checkpoint: Json | undefined;
  /** Milliseconds the vendor asked not to be called for. */
  #leaveAloneMs = 0;
  #stopping = false;
  #draining = false;
  readonly #propagatesTrace: boolean;
  readonly #metrics: Metrics;
  /** Names of the plugin's calls that were made under this claim. */
  readonly #called = new Set<CallName>();
  /** Calls of the plugin, and requests that these sent by `http`. */
  #calls = 0;
  #requests = 0;
  #action: ClaimedAction;

  constructor(parts: ActionRunParts) {
    this.#store = parts.store;
    this.#queue = parts.queue;
    this.#registry = parts.registry;
    this.#polls = parts.polls;
    this.#seal = parts.seal;
    this.#permits = parts.permits;
    this.#permit = parts.permit;
    this.#propagatesTrace = parts.propagatesTrace ?? false;
    this.#metrics = parts.metrics ?? NO_METRICS;
    this.#ledger = parts.ledger;
    this.#log = parts.log;
    this.#claim = parts.claim;
    this.#action = parts.claim.action;
    this.#anchoredAt = performance.now();
    this.#serverClaimedAtMs = (parts.claim.action.leaseUntil?.getTime() ?? Date.now()) - parts.leaseMs;
    this.#keeper = new LeaseKeeper({
      store: parts.store,
      claim: parts.claim,
      leaseMs: parts.leaseMs,
      claimedAt: parts.claimedAt,
      onLost: () => {
        this.#lost = true;
        if (this.#call === undefined) return;
        this.#tellLost();
        this.#call.stop('leaseLost');
      },
      onCancel: () => {
        this.#action = this.#keeper.latest;
        if (this.#cancellable) this.#call?.stop('cancel');
      },
    });
  }

  /** Requests that were made to the vendor; undefined: the plugin was called, and went another way than `http`. */
  get callsMade(): number | undefined {
    return this.#calls > 0 && this.#requests === 0 ? undefined : this.#requests;
  }

  /** The id of its provider instance. */
  get instance(): string {
    return this.#action.instance;
  }

  /** A call of the plugin is under way. */
  get isAtVendor(): boolean {
    return this.#call !== undefined;
  }

  /** A heartbeat now, to hear of a cancel. */
  heartbeat(): Promise<void> {
    return this.#keeper.renew();
  }

  /** This process is about to stop: what was not issued yet is handed over, what was may finish. */
  drain(): void {
    this.#draining = true;
  }

  /** This process stops: hand over what can be. */
  stop(): void {
    this.#draining = true;
    this.#stopping = true;
    this.#call?.stop('shutdown');
  }

  /** Takes the action as far as it goes under this claim. */
  async proceed(): Promise<void> {
    this.#keeper.start();
    if (
      this.#action.crashes > 0 ||
      (this.#action.intent !== null && !this.#claim.freshIntent && this.#action.intent.operation === null)
    ) {
      this.#metrics.leaseTakeovers.add(1, this.#action.instance);
      this.#log.info(
        { ...this.#facts(), epoch: this.#claim.lease.epoch, crashes: this.#action.crashes },
        'taken over',
      );
    }
    try {
      // Answered as "requested" while an attempt stood that came to nothing: whatever else is wrong with it.
      if (this.#action.intent === null && this.#action.cancel !== null)
        return await this.#cancelledBeforeIssue();
      const target = await this.#target();
      if (target === null) return;
      const { manifest } = target;
      this.#cancellable = manifest.cancellable;
      if (this.#action.crashes >= POISON_AFTER_CRASHES) return await this.#poisoned();
      const { intent } = this.#action;
      if (intent === null) return await this.#begin(target);
      if (this.#claim.freshIntent) return await this.#issue(target);
      if (intent.operation !== null) return await this.#follow(target, this.#kept.show(intent.operation));
      return await this.#recover(target, intent);
    } finally {
      this.#keeper.stop();
      // A heartbeat that crosses the write which gave the lease back is refused, too: then nobody took anything over.
      if (this.#lost && !this.#gaveBack) this.#tellLost();
    }
  }

  #tellLost(): void {
    if (this.#lossTold) return;
    this.#lossTold = true;
    this.#metrics.leasesLost.add(1, this.#action.instance);
    this.#log.warn({ ...this.#facts(), epoch: this.#claim.lease.epoch }, 'lease lost');
  }

  async #target(): Promise<Target | null> {
    const { instance: instanceId, actionName, effectUntil } = this.#action;
    const instance = this.#registry.byId(instanceId);
    const declared = instance?.findAction(actionName)?.manifest;
    if (instance === null || declared === undefined) {
      await this.#failOrUnknown(
        errorInfo(
          ERROR_INFO_CODES.defect,
          `Provider instance "${instanceId}" with action ${actionName} is not configured any more. Configure it again, and ask for the action again if it is still wanted.`,
        ),
      );
      return null;
    }
    const { reverts } = this.#action;
    const original = reverts === null ? null : await this.#store.find(this.#action.tenantId, reverts);
    if (reverts !== null && (original === null || instance.provider.calls.revert === undefined)) {
      await this.#failOrUnknown(
        errorInfo(
          ERROR_INFO_CODES.defect,
          original === null
            ? `Action ${reverts}, which it undoes, is not on record any more. Undo it at the vendor.`
            : `The plugin of "${instanceId}" cannot undo anything any more. Undo it at the vendor.`,
        ),
      );
      return null;
    }
    // What undoes can be stopped before it is issued only: a plugin's `cancel` is about what `execute` began.
    const manifest = reverts === null ? declared : { ...declared, cancellable: false };
    // What undoes has the parameters of what it undoes, and leaves the secret ones there.
    const parameters = await this.#parameters(original ?? this.#action);
    if (parameters === null) return null;
    const parsed = parseParameters(manifest, parameters);
    if (!parsed.ok) {
      await this.#failOrUnknown(
        errorInfo(ERROR_INFO_CODES.parametersRefused, `${parsed.problems.join('; ')}.`),
      );
      return null;
    }
    const secrets = [
      ...Object.entries(instance.config.secrets),
      ...secretsToHide(manifest, parameters, parsed.values),
    ];
    this.#kept = secrets.length === 0 ? KeptSecrets.none : new KeptSecrets(secrets);
    return {
      instance,
      manifest,
      request: {
        action: actionName,
        parameters: parsed.values,
        ...(effectUntil === null ? {} : { effectUntil }),
      },
      secrets: secrets.map(([, secret]) => secret),
      original: original === null ? null : this.#shown(original),
    };
  }

  /** An action's parameters as they were sent; null when they cannot be had, and the run is over. */
  async #parameters(action: ClaimedAction): Promise<readonly KeyValuePair[] | null> {
    try {
      return await openParameters(this.#seal, placeOfAction(action), action);
    } catch (error) {
      this.#log.error({ ...this.#facts(), err: error }, 'secrets could not be opened');
      if (error instanceof UnsealError) {
        await this.#failOrUnknown(errorInfo(ERROR_INFO_CODES.defect, cannotBeOpened(error)));
        return null;
      }
      // Left to the sweep, which is slow enough for a key service that is away.
      const { lease, freshIntent } = this.#claim;
      const left = await (freshIntent ? this.#store.takeBack(lease) : this.#store.handOver(lease));
      this.#gaveBack = left !== null;
      return null;
    }
  }

  /** Nothing was issued yet under this action's current attempt. */
  async #begin(target: Target): Promise<void> {
    if (this.#draining) return this.#handOver();
    const recorded = await this.#store.recordIntent(
      this.#claim.lease,
      target.instance.provider.manifest.version,
    );
    if (recorded === null) return;
    // A wish that was heard of while it was recorded came after it, and is not in its answer.
    this.#action = { ...recorded, cancel: recorded.cancel ?? this.#action.cancel };
    return this.#issue(target);
  }

  /**
   * Calls the plugin's `execute`, or `revert`, under an intent that is on record. `neverSent`: it is an earlier claim's, and
   * the plugin says that nothing was sent under it.
   */
  async #issue(target: Target, neverSent = false): Promise<void> {
    // Nothing has been sent under this intent, and only we know that.
    const unsent = !this.#sent && this.#action.intent?.epoch === this.#claim.lease.epoch;
    if (unsent) {
      if (this.#wishUntold()) return this.#cancelledBeforeIssue();
      if (this.#draining) return this.#takeBack();
      if (this.#remainingMs() <= 0) return this.#fail('timedOut', neverIssued(this.#action));
    }
    if (this.#remainingMs() <= 0) return this.#stopAtDeadline(target, null);
    const timeoutMs = Math.min(target.instance.attemptTimeoutMs(target.manifest), this.#remainingMs());
    let saved: VendorOperation | null = null;
    const doubtful = !unsent && !neverSent;
    const name = target.original === null ? 'execute' : 'revert';
    const result = await this.#run(target, name, timeoutMs, async (context) => {
      this.#sent = true;
      const execution: ExecutionContext = {
        ...context,
        saveOperation: async (given) => {
          const operation = checkedOperation(given);
          // Known from now on, also if this call is abandoned while it is written.
          saved = operation;
          const action = await this.#saveOperation(operation);
          if (action === null) throw new StopRequested('leaseLost');
        },
        heartbeat: async (given = {}) => {
          const report = this.#kept.hide(checkedReport(given));
          // Also where this call is abandoned while it is written.
          if (report.checkpoint !== undefined) this.#checkpoint = report.checkpoint;
          const isKept = await this.#keeper.report(report);
          if (this.#lost) throw new StopRequested('leaseLost');
          if (!isKept && report.checkpoint !== undefined)
            throw new ProviderError(
              'unknownOutcome',
              'How far it was could not be kept, so it went no further.',
            );
        },
      };
      return checkedOutcome(await calledTo(target, execution));
    });
    // Not called after all: an intent that stands for nothing would be taken for one that was sent.
    if (unsent && !this.#sent) {
      if (result !== null && this.#wishUntold()) return this.#cancelledBeforeIssue();
      return this.#takeBack();
    }
    if (result === null) return;
    if (result.kind === 'threw') return this.#failedCall(target, result.error, saved, doubtful);
    if (result.kind === 'returned') {
      const { value } = result;
      if (value.kind === 'failed') return this.#failedCall(target, value.error, saved, doubtful);
      return this.#settle(target, value, doubtful);
    }
    switch (result.why) {
      case 'leaseLost':
        return;
      case 'shutdown':
        return saved === null ? this.#handOver() : this.#park(saved, this.#action.progress, 0);
      case 'cancel':
        return this.#tellCancel(target, saved);
      case 'deadline':
        return this.#unknown(
          target,
          errorInfo(
            ERROR_INFO_CODES.outcomeUnknown,
            `The provider did not answer within ${Math.ceil(timeoutMs)} ms.`,
          ),
          saved,
          null,
        );
    }
  }

  /**
   * What an `execute`, `poll` or `reconcile` came to. A failure is one that the last two report of the operation.
   * `doubtful`: an earlier call may have been applied as well.
   */
  async #settle(target: Target, outcome: StepOutcome, doubtful = false): Promise<void> {
    switch (outcome.kind) {
      case 'completed':
        return this.#complete(outcome.result ?? null, this.#ownEffect(outcome.effect ?? null, doubtful));
      case 'failed':
        return this.#failedCall(target, outcome.error, null, false);
      case 'stopped':
        return this.#stoppedAtVendor();
      case 'pending': {
        const { operation } = outcome;
        if (this.#wishUntold()) {
          const saved = await this.#saveOperation(operation);
          return saved === null ? undefined : this.#tellCancel(target, operation);
        }
        const delayMs = outcome.nextPollMs ?? DEFAULT_POLL_MS;
        const isTogether = target.instance.provider.calls.pollMany !== undefined;
        return this.#park(
          operation,
          this.#kept.hide(outcome.progress ?? null),
          isTogether ? togetherMs(delayMs, this.#serverNow()) : delayMs,
        );
      }
    }
  }

  /**
   * A repeat that found nothing to change may have found what the attempt before it did: then nobody can say whether
   * the action changed anything, and its undoing must not take it for nothing.
   */
  #ownEffect(effect: EffectRecord | null, doubtful: boolean): EffectRecord | null {
    if (effect === null || effect.changed) return effect;
    return doubtful || this.#action.attempts.some(({ outcome }) => outcome === 'unknown') ? null : effect;
  }

  /** A pending operation: tell a cancel, or ask how far it is. */
  async #follow(target: Target, operation: VendorOperation): Promise<void> {
    if (this.#wishUntold()) return this.#tellCancel(target, operation);
    if (this.#remainingMs() <= 0 && this.#action.cancel === null)
      return this.#stopAtDeadline(target, operation);
    const { poll, pollMany } = target.instance.provider.calls;
    if (poll === undefined && pollMany === undefined) {
      return this.#fail(
        'outcomeUnknown',
        errorInfo(
          ERROR_INFO_CODES.outcomeUnknown,
          'The plugin left work pending and cannot poll for it. Check the target.',
        ),
      );
    }
    const result = await this.#run(
      target,
      'poll',
      this.#listening(SHORT_CALL_TIMEOUT_MS * (pollMany === undefined ? 1 : 2)),
      (context) => this.#poll(target, operation, context),
    );
    if (result === null || (await this.#interrupted(target, result, operation))) return;
    const outcome = result.kind === 'returned' ? result.value : null;
    if (outcome !== null && outcome.kind !== 'pending' && outcome.kind !== 'failed')
      return this.#settle(target, outcome);
    const error = result.kind === 'threw' ? result.error : outcome?.kind === 'failed' ? outcome.error : null;
    // Credentials that are refused say nothing of the operation, which goes on; an operator can mend them.
    const refused =
      result.kind === 'threw' && error instanceof ProviderError && ASKERS_FAULT.has(error.errorClass);
    if (error instanceof ProviderError && error.next === 'fail' && !refused)
      return this.#failedCall(target, error, operation, false);
    if (this.#listenedLongEnough()) return this.#deadlineUnknown();
    if (outcome?.kind === 'pending') return this.#settle(target, outcome);
    // The question failed, not the operation: ask again later.
    if (error !== null && !(error instanceof ProviderError)) this.#warnDefect(target, error);
    const retryAfterMs = error instanceof ProviderError ? error.retryAfterMs : null;
    return this.#park(operation, this.#action.progress, DEFAULT_POLL_MS + retryDelayMs(3, retryAfterMs));
  }

  /** Null: the vendor was asked together with others, and the answer leaves this one out. */
  async #poll(target: Target, operation: VendorOperation, context: CallContext): Promise<StepOutcome | null> {
    const { instance, request, secrets } = target;
    const { poll, pollMany } = instance.provider.calls;
    if (pollMany === undefined && poll !== undefined)
      return checkedOutcome(await poll(context, operation, request));
    const member = { actionId: this.#action.id, operation, request, secrets };
    const share = await this.#polls.ask(instance, member, context.signal);
    return share.kind === 'leftOut' ? null : share;
  }

  /** True when a poll or a reconcile was stopped for a reason that this handles: the run is over or has gone on. */
  async #interrupted(
    target: Target,
    result: CallResult<unknown>,
    operation: VendorOperation | null,
  ): Promise<boolean> {
    if (result.kind !== 'stopped') return false;
    switch (result.why) {
      case 'leaseLost':
        return true;
      case 'shutdown':
        await this.#handOver();
        return true;
      case 'cancel':
        await this.#tellCancel(target, operation);
        return true;
      case 'deadline':
        return false;
    }
  }

  /** An intent without an operation from an earlier claim: it may or may not have reached the vendor. */
  async #recover(target: Target, intent: Intent): Promise<void> {
    if (this.#wishUntold()) return this.#tellCancel(target, null);
    if (this.#remainingMs() <= 0) return this.#stopAtDeadline(target, null);
    if (this.#draining) return this.#handOver();
    switch (intent.idempotency) {
      case 'key':
      case 'natural':
        return this.#issue(target);
      case 'lookup':
        return this.#reconcile(target, intent);
      case 'none':
        return this.#fail('outcomeUnknown', OUTCOME_UNKNOWN);
    }
  }

  /**
   * Looks for what may have been issued, until it can be found no more.
   * @param why the answer that was lost; null: a worker died on it
   */
  async #reconcile(target: Target, intent: Intent, why: ErrorInfo | null = null): Promise<void> {
    const { reconcile } = target.instance.provider.calls;
    if (reconcile === undefined) return this.#fail('outcomeUnknown', unknownBecause(why));
    let said = why;
    const result = await this.#run(
      target,
      'reconcile',
      this.#listening(SHORT_CALL_TIMEOUT_MS),
      async (context) => checkedOutcome(await reconcile(context, target.request)),
    );
    if (result === null || (await this.#interrupted(target, result, null))) return;
    if (result.kind === 'returned') {
      const { value } = result;
      // A failure that may pass is one of the question, as where it is thrown: it says nothing of the request.
      const tells =
        value.kind === 'failed'
          ? value.error.next === 'fail'
          : value.kind !== 'notFound' && value.kind !== 'cannotTell';
      if (value.kind === 'neverSent') return this.#goOnUnsent(target, why);
      if (tells) return this.#settle(target, value as StepOutcome);
      if (value.kind === 'failed') said = this.#redacted(target, value.error.toErrorInfo());
    }
    if (result.kind === 'threw') {
      if (result.error instanceof ProviderError) said = this.#redacted(target, result.error.toErrorInfo());
      else this.#warnDefect(target, result.error);
    }
    // An earlier look, or the attempt itself, may have said more than this one.
    said ??= intentsLastWords(this.#action);
    // A vendor may show a request only a while after it took it.
    const lookForMs = 2 * target.instance.attemptTimeoutMs(target.manifest);
    if (this.#serverNow() - intent.at.getTime() > lookForMs)
      return this.#fail('outcomeUnknown', unknownBecause(said));
    return this.#tryAgain(
      unknownBecause(said),
      'unknown',
      Math.min(retryDelayMs(intent.attempt, null) + POLL_LEAST_MS, lookForMs / 4),
    );
  }

  /**
   * A call of `execute` or `revert` that failed. `doubtful`: an earlier one under the same intent may have been applied, which
   * "nothing was applied" of this one does not settle.
   */
  async #failedCall(
    target: Target,
    error: unknown,
    saved: VendorOperation | null,
    doubtful: boolean,
  ): Promise<void> {
    if (!(error instanceof ProviderError)) {
      this.#warnDefect(target, error);
      const info = errorInfo(
        ERROR_INFO_CODES.defect,
        "The plugin failed unexpectedly; the action may have taken effect. Check the target, and report it to the plugin's author.",
      );
      const intent = this.#action.intent;
      if (saved !== null || intent?.idempotency === 'lookup' || intent?.idempotency === 'none')
        return this.#unknown(target, info, saved, null);
      return this.#fail('failed', info, 'unknown');
    }
    const info = this.#redacted(target, error.toErrorInfo());
    if (error instanceof PluginDied && saved === null && this.#deathsBefore() + 1 >= POISON_AFTER_CRASHES)
      return this.#poisoned();
    switch (error.next) {
      case 'fail':
        return doubtful ? this.#fail('outcomeUnknown', unknownBecause(info)) : this.#fail('failed', info);
      case 'unknown':
        return this.#unknown(target, info, saved, error.retryAfterMs);
      case 'retry': {
        // The vendor has taken it, whatever failed afterwards.
        if (saved !== null) return this.#unknown(target, info, saved, error.retryAfterMs);
        if (this.#action.cancel !== null && !doubtful) return this.#cancelledBeforeIssue();
        if (this.#wishUntold()) return this.#tellCancel(target, null);
        return this.#again(info, doubtful ? 'unknown' : 'no', error.retryAfterMs, error.errorClass);
      }
    }
  }

  /** Another attempt after one that failed and may not fail again, unless there were too many, or there is no time. */
  #again(
    info: ErrorInfo,
    applied: 'no' | 'unknown',
    retryAfterMs: number | null,
    errorClass?: ProviderErrorClass,
  ): Promise<void> {
    const counted = this.#action.attempts.filter(({ error }) => !isUncounted(error)).length + 1;
    const waits = errorClass !== undefined && UNCOUNTED.has(errorClass);
    const delayMs = retryDelayMs(counted, retryAfterMs);
    if ((!waits && counted >= MAX_ATTEMPTS) || delayMs >= this.#remainingMs())
      return applied === 'unknown'
        ? this.#fail('outcomeUnknown', unknownBecause(info))
        : this.#fail('failed', info);
    return this.#tryAgain(info, applied, delayMs, waits ? 'throttled' : 'retrying');
  }

  /** Earlier attempts at it that ended with the plugin's process: of those that are tried again, the ones with this code. */
  #deathsBefore(): number {
    return this.#action.attempts.filter(({ error }) => error?.code === ERROR_INFO_CODES.defect).length;
  }

  /** The request may have reached the vendor. Never a guess: by what the plugin declared. */
  async #unknown(
    target: Target,
    info: ErrorInfo,
    saved: VendorOperation | null,
    retryAfterMs: number | null,
  ): Promise<void> {
    if (saved !== null) return this.#park(saved, null, DEFAULT_POLL_MS);
    const { intent } = this.#action;
    if (intent === null) return;
    if (this.#wishUntold()) return this.#tellCancel(target, null);
    switch (intent.idempotency) {
      case 'key':
      case 'natural':
        // Nobody would be asked any more, and it is not issued again.
        if (this.#noTimeLeft() && !target.manifest.cancellable)
          return this.#fail('outcomeUnknown', unknownBecause(info));
        return this.#tryAgain(info, 'unknown', retryDelayMs(intent.attempt, retryAfterMs));
      case 'lookup':
        return this.#reconcile(target, intent, info);
      case 'none':
        return this.#fail('outcomeUnknown', unknownBecause(info));
    }
  }

  /**
   * The plugin says that nothing was sent under the intent: the action goes on as if there had been none.
   * @param why the failure that was answered so; null: a worker died, and it is called again at once
   */
  async #goOnUnsent(target: Target, why: ErrorInfo | null): Promise<void> {
    const { cancel } = this.#action;
    if (cancel !== null && cancel.why !== 'deadline') return this.#cancelledBeforeIssue();
    if (this.#noTimeLeft()) return this.#fail('timedOut', neverIssued(this.#action, why));
    if (this.#draining) return this.#handOver();
    return why === null ? this.#issue(target, true) : this.#again(unsentBecause(why), 'no', null);
  }

  /** Tells the provider of a cancel wish, then goes on as it answers. */
  async #tellCancel(target: Target, operation: VendorOperation | null): Promise<void> {
    const outcome = await this.#cancelAtProvider(target, operation);
    if (outcome === null) return;
    if (outcome === 'cancelled') return this.#stoppedAtVendor();
    if (outcome === 'neverSent') return this.#goOnUnsent(target, null);
    const noted = await this.#store.noteCancelOutcome(this.#claim.lease, outcome);
    if (noted === null) return;
    this.#action = noted;
    this.#cancellable = false;
    if (operation !== null) return this.#follow(target, operation);
    if (noted.cancel?.why === 'deadline') return this.#deadlineUnknown();
    return noted.intent === null ? undefined : this.#recover(target, noted.intent);
  }

  /** The provider's answer, or null when this run is over: lease lost, stopping, or to be told again later. */
  async #cancelAtProvider(target: Target, operation: VendorOperation | null): Promise<CancelAnswer | null> {
    if (!target.manifest.cancellable) return 'notSupported';
    const { cancel } = target.instance.provider.calls;
    this.#cancellable = false;
    const result = await this.#run(
      target,
      'cancel',
      this.#listening(SHORT_CALL_TIMEOUT_MS),
      async (context) => checkedCancelOutcome(await cancel(context, operation, target.request)),
    );
    if (result === null || (result.kind === 'stopped' && result.why === 'leaseLost')) return null;
    if (result.kind === 'returned') return result.value;
    if (result.kind === 'stopped' && result.why === 'shutdown') {
      await this.#handOver();
      return null;
    }
    const error = result.kind === 'threw' ? result.error : null;
    if (error !== null && !(error instanceof ProviderError)) this.#warnDefect(target, error);
    if (error instanceof ProviderError && error.next === 'fail' && !ASKERS_FAULT.has(error.errorClass))
      return 'unknown';
    if (this.#remainingMs() <= -LISTEN_AFTER_DEADLINE_MS) return 'unknown';
    const delayMs =
      DEFAULT_POLL_MS + retryDelayMs(1, error instanceof ProviderError ? error.retryAfterMs : null);
    if (operation === null) {
      const said = error instanceof ProviderError ? this.#redacted(target, error.toErrorInfo()) : null;
      await this.#tryAgain(unknownBecause(said), 'unknown', delayMs);
    } else {
      // It may have ended meanwhile; asking does not have to wait until the vendor takes a cancel.
      this.#toldInVain = true;
      this.#leaveAloneMs = delayMs;
      await this.#follow(target, operation);
    }
    return null;
  }

  /** The deadline passed after issue: the engine's own wish to stop it. */
  async #stopAtDeadline(target: Target, operation: VendorOperation | null): Promise<void> {
    // It was asked already, for a caller, and could not say: asking the same again would never end.
    if (this.#action.cancel !== null && !this.#wishUntold() && operation === null)
      return this.#deadlineUnknown();
    const wished = await this.#store.wishCancelAtDeadline(this.#claim.lease);
    if (wished === null) return;
    this.#action = wished;
    return this.#tellCancel(target, operation);
  }

  async #stoppedAtVendor(): Promise<void> {
    const { cancel } = this.#action;
    if (cancel === null)
      return this.#fail(
        'failed',
        errorInfo(
          ERROR_INFO_CODES.conflict,
          'It was stopped at the provider, not by us, before it finished.',
        ),
      );
    return cancel.why === 'deadline'
      ? this.#fail(
          'timedOut',
          errorInfo(
            ERROR_INFO_CODES.timedOut,
            'The deadline passed; the provider confirmed that it was stopped.',
          ),
        )
      : this.#fail(
          'cancelledAtProvider',
          errorInfo(ERROR_INFO_CODES.cancelled, 'Cancelled; the provider confirmed that it was stopped.'),
        );
  }

  #cancelledBeforeIssue(): Promise<void> {
    return this.#fail(
      'cancelled',
      errorInfo(ERROR_INFO_CODES.cancelled, 'Cancelled before it took effect; nothing was done.'),
    );
  }

  #deadlineUnknown(): Promise<void> {
    const said = intentsLastWords(this.#action)?.message;
    return this.#fail(
      'outcomeUnknown',
      errorInfo(
        ERROR_INFO_CODES.outcomeUnknown,
        `The deadline passed and the provider could not confirm that it stopped. Check the target.${said === undefined ? '' : ` The last attempt said: ${said}`}`,
      ),
    );
  }

  #poisoned(): Promise<void> {
    const issued = this.#action.intent !== null;
    return this.#fail(
      'poisoned',
      errorInfo(
        ERROR_INFO_CODES.defect,
        `${this.#action.crashes >= POISON_AFTER_CRASHES ? `${this.#action.crashes} workers` : `The plugin's processes`} died while they ran it, so it is not tried again. ${issued ? 'It may have taken effect: check the target.' : 'It was never issued.'}`,
      ),
      issued ? 'unknown' : 'no',
    );
  }

  /** Ends what cannot be run any more: as failed when it was never issued, else as unknown. */
  #failOrUnknown(info: ErrorInfo): Promise<void> {
    return this.#action.intent === null || this.#claim.freshIntent
      ? this.#fail('failed', errorInfo(info.code, `${info.message} Nothing was done.`))
      : this.#fail(
          'outcomeUnknown',
          errorInfo(ERROR_INFO_CODES.outcomeUnknown, `${info.message} It had been issued: check the target.`),
        );
  }

  async #complete(result: Json, effect: EffectRecord | null): Promise<void> {
    const ended = await this.#store.complete(
      this.#claim.lease,
      this.#kept.hide(result),
      this.#kept.hide(effect),
    );
    this.#wakeNext();
    this.#logEnd(ended, { status: 'Completed', phase: 'done' });
  }

  async #fail(
    phase: FailedPhase,
    info: ErrorInfo,
    applied: 'no' | 'unknown' = phase === 'outcomeUnknown' ? 'unknown' : 'no',
  ): Promise<void> {
    const ended = await this.#store.fail(this.#claim.lease, { phase, errorInfo: info, applied });
    this.#wakeNext();
    this.#logEnd(ended, { status: 'Failed', phase, code: info.code, applied });
  }

  /** Its target is free: who waits for it the longest is next. */
  #wakeNext(): void {
    const { mutexKey } = this.#action;
    if (mutexKey !== null)
      void wakeNext({ store: this.#store, queue: this.#queue, log: this.#log }, mutexKey);
  }

  #logEnd(
    ended: boolean,
    how: {
      readonly status: string;
      readonly phase: FailedPhase | 'done';
      readonly code?: number;
      readonly applied?: 'no' | 'unknown';
    },
  ): void {
    if (!ended) {
      this.#log.warn(
        { ...this.#facts(), epoch: this.#claim.lease.epoch },
        'result refused: the lease was lost',
      );
      return;
    }
    this.#gaveBack = true;
    noteEnd(this.#metrics, { ...this.#action, phase: how.phase }, this.#serverNow());
    if (how.applied === 'unknown' || how.phase === 'poisoned') {
      this.#log.warn({ ...this.#facts(), ...how }, 'action ended');
    } else {
      this.#log.info({ ...this.#facts(), ...how }, 'action ended');
    }
  }

  #saveOperation(operation: VendorOperation): Promise<ClaimedAction | null> {
    return this.#store.saveOperation(this.#claim.lease, this.#kept.hide(operation));
  }

  /** What an action came to, as its plugin told it. */
  #shown(original: SecurityAction): SecurityAction {
    const { result, effect } = original;
    return { ...original, result: this.#kept.show(result), effect: this.#kept.show(effect) };
  }

  async #park(operation: VendorOperation, progress: Json, delayMs: number): Promise<void> {
    const parked = await this.#store.park(this.#claim.lease, {
      operation: this.#kept.hide(operation),
      progress,
      delayMs: this.#inTime(Math.min(POLL_MOST_MS, Math.max(POLL_LEAST_MS, this.#leaveAloneMs, delayMs))),
      phase: 'waitingOnVendor',
      sawCancel: this.#action.cancel !== null,
    });
    this.#hintAgain(parked);
  }

  async #tryAgain(
    error: ErrorInfo,
    applied: 'no' | 'unknown',
    delayMs: number,
    phase: 'retrying' | 'throttled' = 'retrying',
  ): Promise<void> {
    const action = await this.#store.retry(this.#claim.lease, {
      error,
      applied,
      delayMs: this.#inTime(delayMs),
      phase,
      sawCancel: this.#action.cancel !== null,
    });
    if (action !== null) {
      const reason = applied === 'unknown' ? 'unknown' : phase === 'throttled' ? 'throttled' : 'failed';
      this.#metrics.attemptsRepeated.add(1, this.#action.instance, reason);
      this.#log.info(
        { ...this.#facts(), applied, delayMs, code: error.code },
        'attempt ended, another follows',
      );
    }
    this.#hintAgain(action);
  }

  /** Nothing was sent under our own intent: another claim begins anew. */
  async #takeBack(): Promise<void> {
    const action = await this.#store.takeBack(this.#claim.lease);
    if (action !== null) this.#log.info(this.#facts(), 'intent taken back: nothing was sent');
    this.#hintAgain(action);
  }

  async #handOver(): Promise<void> {
    this.#hintAgain(await this.#store.handOver(this.#claim.lease));
  }

  /** A delayed hint saves the sweep's period; `nextAt` on the record is what counts. */
  #hintAgain(action: ClaimedAction | null): void {
    if (action !== null) this.#gaveBack = true;
    if (action?.nextAt == null) return;
    const { id: actionId, tenantId, instance, lane, actionName, epoch, nextAt: at } = action;
    const polls = action.intent?.operation != null;
    void this.#queue.hint(
      { actionId, tenantId, instance, lane, actionName, epoch, polls, stopAt: stopAt(action) },
      { at, inMs: Math.max(0, at.getTime() - this.#serverNow()) },
    );
  }

  /** One call of the plugin; null when it must not be made because the lease may be gone. */
  async #run<T>(
    target: Target,
    name: CallName,
    timeoutMs: number,
    call: (context: CallContext) => Promise<T>,
  ): Promise<CallResult<T> | null> {
    if (!this.#keeper.mayCall) await this.#keeper.renew();
    if (this.#lost || !this.#keeper.mayCall) return null;
    const providerCall = new ProviderCall();
    this.#call = providerCall;
    if (this.#stopping) providerCall.stop('shutdown');
    if (this.#cancellable && this.#wishUntold()) providerCall.stop('cancel');
    const isFirst = !this.#called.has(name);
    this.#called.add(name);
    const calledAt = performance.now();
    const calls = this.#calls;
    try {
      const result = await withCallSpan(name, this.#action, isFirst, () =>
        providerCall.run(timeoutMs, (signal) => {
          this.#calls += 1;
          return call(this.#context(target, signal));
        }),
      );
      if (this.#permits !== undefined) noteCall(this.#permits, target.instance.id, result);
      // Those that are asked about together are one call, which is counted where it is made.
      const isShared = name === 'poll' && target.instance.provider.calls.pollMany !== undefined;
      if (this.#calls > calls && !isShared) {
        this.#metrics.vendorCalls.add(1, target.instance.id, name, resultOf(result));
        this.#metrics.vendorCallSeconds.observe(performance.now() - calledAt, target.instance.id, name);
      }
      return result;
    } finally {
      this.#call = undefined;
    }
  }

  #context(target: Target, signal: AbortSignal): CallContext {
    const { config } = target.instance;
    const facts = this.#facts();
    const write = (level: 'info' | 'warn') => (extra: Readonly<Record<string, unknown>>, event: string) =>
      this.#log[level](
        { ...facts, plugin: withoutSecrets(extra, target.secrets) },
        String(withoutSecrets(event, target.secrets)),
      );
    const log: PluginLog = { info: write('info'), warn: write('warn') };
    return {
      actionId: this.#action.id,
      tenantId: this.#action.tenantId,
      instance: config.id,
      settings: config.settings,
      secrets: config.secrets,
      signal,
      attempt: this.#action.intent?.attempt ?? 1,
      idempotencyKey: this.#action.id,
      issuedAt: this.#action.intent?.at ?? null,
      lastCheckpoint: this.#kept.show(this.#checkpoint ?? this.#action.intent?.checkpoint ?? null),
      http: vendorHttp({
        network: target.instance.network,
        signal,
        spend: async (until) => {
          await this.#permit?.spend(until);
          this.#requests += 1;
        },
        secrets: target.secrets,
        watch: clientSpans(this.#propagatesTrace),
      }),
      ...(this.#ledger === undefined ? {} : { ledger: this.#ledger(config.id) }),
      deadlineAt: this.#action.deadlineAt,
      log,
    };
  }

  #warnDefect(target: Target, error: unknown): void {
    this.#log.error(
      { ...this.#facts(), error: withoutSecrets(error, target.secrets) },
      'plugin failed unexpectedly',
    );
  }

  #redacted(target: Target, info: ErrorInfo): ErrorInfo {
    return errorInfo(info.code, String(withoutSecrets(info.message, target.secrets)), info.subcode);
  }

  #facts() {
    return {
      actionId: this.#action.id,
      tenant: this.#action.tenantId,
      instance: this.#action.instance,
      action: this.#action.actionName,
    };
  }

  /** A cancel wish that the provider has not been told of. */
  #wishUntold(): boolean {
    return !this.#toldInVain && this.#action.cancel !== null && this.#action.cancel.outcome === null;
  }

  /** Past the deadline nothing waits longer than a vendor is listened to; before it the store sees to that. */
  #inTime(delayMs: number): number {
    const remainingMs = this.#remainingMs();
    if (remainingMs > 0) return delayMs;
    return Math.min(delayMs, Math.max(POLL_LEAST_MS, remainingMs + LISTEN_AFTER_DEADLINE_MS));
  }

  /** The database's time, reckoned from the claim's answer by the monotonic clock: behind by its way, never ahead. */
  #serverNow(): number {
    return this.#serverClaimedAtMs + (performance.now() - this.#anchoredAt);
  }

  #remainingMs(): number {
    return this.#action.deadlineAt.getTime() - this.#serverNow();
  }

  /** True also just before the deadline, as after a call that it ended: our reckoning is behind the database's time. */
  #noTimeLeft(): boolean {
    return this.#remainingMs() <= NO_TIME_MS;
  }

  /** Milliseconds a question may take: no longer than a vendor is listened to past the deadline. */
  #listening(timeoutMs: number): number {
    return Math.min(timeoutMs, Math.max(LISTEN_LEAST_MS, this.#remainingMs() + LISTEN_AFTER_DEADLINE_MS));
  }

  #listenedLongEnough(): boolean {
    return this.#remainingMs() <= -LISTEN_AFTER_DEADLINE_MS;
  }
}

/** When the vendor is to be told to stop it; null: it was told. */
function stopAt({ cancel, deadlineAt }: ClaimedAction): Date | null {
  if (cancel === null) return deadlineAt;
  return cancel.outcome === null ? cancel.at : null;
}

/**
 * A delay stretched by up to a quarter, so that it ends on a grid that all processes share by the database's clock:
 * polls that may be asked in one call come due together. The steps are powers of two, so that every grid lies on the
 * finer ones.
 */
function togetherMs(delayMs: number, now: number): number {
  const step = 2 ** Math.floor(Math.log2(Math.min(POLL_MOST_MS, Math.max(POLL_LEAST_MS, delayMs)) / 4));
  return Math.ceil((now + delayMs) / step) * step - now;
}

/** What the plugin is called for: to do it, or to undo what was done. */
function calledTo({ instance, request, original }: Target, context: ExecutionContext): Promise<StepOutcome> {
  const { execute, revert } = instance.provider.calls;
  if (original === null || revert === undefined) return execute(context, request);
  return revert(context, {
    ...request,
    actionId: original.id,
    completedAt: original.completedAt ?? original.lastActionAt,
    result: original.result,
    effect: original.effect,
  });
}

/** With what the last attempt said: a vendor that cannot be reached is what it waited for. */
function neverIssued({ attempts }: ClaimedAction, why: ErrorInfo | null = null): ErrorInfo {
  // That the last call was cut off says less than what those before it ended with.
  const said = (attempts.at(-1)?.error ?? why)?.message;
  return errorInfo(
    ERROR_INFO_CODES.timedOut,
    `The deadline passed before it could be issued to the provider; nothing was done.${said === undefined ? '' : ` The last attempt said: ${said}`}`,
  );
}

const OUTCOME_UNKNOWN = errorInfo(
  ERROR_INFO_CODES.outcomeUnknown,
  'It was issued, and neither the answer nor the provider tells whether it was applied. Check the target.',
);

/** With what the vendor said of it, as far as it said anything. */
function unknownBecause(info: ErrorInfo | null): ErrorInfo {
  if (info === null) return OUTCOME_UNKNOWN;
  // What was said so before.
  if (info.message.startsWith(OUTCOME_UNKNOWN.message)) return info;
  return errorInfo(OUTCOME_UNKNOWN.code, `${OUTCOME_UNKNOWN.message} (${info.message})`, info.subcode);
}

/** A failure after which nobody could have known, but for the plugin. */
function unsentBecause({ code, message, subcode }: ErrorInfo): ErrorInfo {
  return errorInfo(
    code === OUTCOME_UNKNOWN.code ? ERROR_INFO_CODES.vendorUnreachable : code,
    `${message} Nothing had been sent yet.`,
    subcode,
  );
}

/** What an earlier attempt under the intent that stands ended with. */
function intentsLastWords({ attempts }: ClaimedAction): ErrorInfo | null {
  const last = attempts.at(-1);
  return last?.outcome === 'unknown' ? last.error : null;
}

function isUncounted(error: ErrorInfo | null): boolean {
  return error?.code === ERROR_INFO_CODES.vendorRateLimited || error?.code === ERROR_INFO_CODES.conflict;
}
