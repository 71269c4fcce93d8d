import { TaskCancelledError, TimeoutStrategy, timeout } from 'cockatiel';
import { v7 as uuidv7 } from 'uuid';
import {
  OperationalError,
  OutcomeUnknownError,
  UserError,
  asCreated,
  type ActionQueue,
  type ActionStore,
  type Admission,
  type Caller,
  type IdempotencyKeys,
  type Reservation,
  type SecretSeal,
  type SecurityAction,
} from '#domain';
import { canonicalName } from '#provider-sdk';
import { NO_METRICS, REDACTED, activeTraceparent, withSpan, type Logger, type Metrics } from '#telemetry';
import type { BlastRadius } from './blast-radius.js';
import { checkSubmission, type CheckedSubmission, type Submission } from './check-submission.js';
import { fingerprintOf, isFingerprintOf } from './fingerprint.js';
import type { ProviderRegistry } from './registry.js';
import { placeOfAction, sealParameters } from './secret-parameters.js';

/** What a request to act came to. */
export interface Submitted {
  /** As it was created, whatever became of it since. */
  readonly action: SecurityAction;
  /** True when an earlier request had the same idempotency key, and this one says the same. */
  readonly repeated: boolean;
}

/** A request under way with a key. */
interface Keyed {
  readonly caller: Caller;
  readonly submission: Submission;
  readonly key: string;
  readonly isWanted: () => boolean;
  /** Aborted once the caller has been told that it took too long: nothing more may be begun. */
  readonly signal: AbortSignal;
  /** Called before each write, with the action it is for. */
  readonly writes: (actionId: string) => void;
}

/**
 * Milliseconds until a request with a key is answered: as long as one without may take. Its steps each ride out an
 * election, and together would take three times that.
 */
const ANSWER_WITHIN_MS = 18_000;

/** Another request has the key: what was counted for this one is not. */
class ReservedBefore extends Error {
  constructor(readonly reservation: Reservation) {
    super('the key is reserved');
  }
}

/** First step of the story: check, record with a majority write, hint. */
export class SubmitAction {
  readonly #store: ActionStore;
  readonly #keys: IdempotencyKeys;
  readonly #queue: ActionQueue;
  readonly #registry: ProviderRegistry;
  readonly #admission: Admission;
  readonly #seal: SecretSeal;
  readonly #fingerprintKey: Buffer;
  readonly #blastRadius: Pick<BlastRadius, 'within'>;
  readonly #log: Logger;
  readonly #answerWithinMs: number;
  readonly #metrics: Metrics;

  constructor(parts: {
    readonly store: ActionStore;
    readonly keys: IdempotencyKeys;
    readonly queue: ActionQueue;
    readonly registry: ProviderRegistry;
    readonly admission: Admission;
    /** Seals the values of secret parameters. */
    readonly seal: SecretSeal;
    /** With it, what requests with an idempotency key said is told apart; the same in all API processes. */
    readonly fingerprintKey: Buffer;
    /** Default: nobody is limited. */
    readonly blastRadius?: Pick<BlastRadius, 'within'>;
    readonly log: Logger;
    /** Milliseconds a request with a key may take. Default 18,000. */
    readonly answerWithinMs?: number;
    /** Default: nothing is counted. */
    readonly metrics?: Metrics;
  }) {
    this.#store = parts.store;
    this.#keys = parts.keys;
    this.#queue = parts.queue;
    this.#registry = parts.registry;
    this.#admission = parts.admission;
    this.#seal = parts.seal;
    this.#fingerprintKey = parts.fingerprintKey;
    this.#blastRadius = parts.blastRadius ?? { within: (_request, record) => record() };
    this.#log = parts.log;
    this.#metrics = parts.metrics ?? NO_METRICS;
    this.#answerWithinMs = parts.answerWithinMs ?? ANSWER_WITHIN_MS;
  }

  /**
   * Records the action; from then on it will end, whatever fails. The hint that follows is best effort and
   * not part of the acknowledgement.
   *
   * With a key, all requests of a caller that say the same come to one action for 24 hours, whichever process
   * they reach and wherever an earlier one stopped. What is refused uses up no key.
   *
   * @param isWanted whether the caller still listens: what had to wait meanwhile is not recorded for nobody
   * @throws UserError for an unknown provider, action or parameter, naming what was wrong and what is known;
   *   `idempotencyKeyReused` when the key stands for a request that said something else
   * @throws UserError as the plugin's refusal, and as `BlastRadius.within`; nothing was written
   * @throws OperationalError `tooManyRequests` when too many wait for the instance, or its caller hung up while it had
   *   to wait; nothing was written
   * @throws OutcomeUnknownError, OperationalError as `ActionStore.create` and `IdempotencyKeys`
   */
  submit(
    caller: Caller,
    submission: Submission,
    key: string | null = null,
    isWanted = (): boolean => true,
  ): Promise<Submitted> {
    const attributes = { 'riposte.tenant': caller.tenantId };
    return withSpan('submit', { attributes }, async (span) => {
      const submitted = await this.#submit(caller, submission, key, isWanted);
      const { id, instance, actionName } = submitted.action;
      span.set({ 'riposte.action.id': id, 'riposte.action.name': actionName, 'riposte.instance': instance });
      return submitted;
    });
  }

  async #submit(
    caller: Caller,
    submission: Submission,
    key: string | null,
    isWanted: () => boolean,
  ): Promise<Submitted> {
    if (key === null) {
      const id = uuidv7();
      const checked = await this.#admit(caller, submission, isWanted);
      return {
        action: await this.#within(id, checked, () => this.#record(id, checked, false)),
        repeated: false,
      };
    }
    let written: string | null = null;
    const writes = (actionId: string): void => void (written = actionId);
    try {
      return await timeout(this.#answerWithinMs, TimeoutStrategy.Aggressive).execute(
        ({ signal }) => this.#submitOnce({ caller, submission, key, isWanted, signal, writes }),
        // One of its own: the library's default is shared, and Node warns of its many listeners.
        new AbortController().signal,
      );
    } catch (cause) {
      const tooLate = cause instanceof TaskCancelledError;
      if (tooLate && written === null)
        throw new OperationalError('serviceNotAvailable', 'The database does not answer. Try again.', 5, {
          cause,
        });
      const unknown = cause instanceof OutcomeUnknownError ? cause.actionId : tooLate ? written : null;
      if (unknown === null) throw cause;
      throw new OutcomeUnknownError(unknown, {
        cause,
        next: 'Send the same request with the same Idempotency-Key again: it comes to one action, and the answer names it.',
      });
    }
  }

  async #submitOnce(request: Keyed): Promise<Submitted> {
    const { caller, submission, key, isWanted, signal, writes } = request;
    // Before the checks: what was accepted once is so again, whatever is configured by now.
    const earlier = await this.#keys.find(caller, key);
    if (earlier !== null) return this.#repeat(request, earlier);
    const checked = await this.#admit(caller, submission, isWanted);
    signal.throwIfAborted();
    const fingerprint = fingerprintOf(this.#fingerprintKey, submission);
    const wanted = { actionId: uuidv7(), fingerprint };
    // Counted before the key is reserved, for what is refused uses up none.
    const made = await this.#within(wanted.actionId, checked, async () => {
      signal.throwIfAborted();
      writes(wanted.actionId);
      const reserved = await this.#keys.reserve(caller, key, wanted);
      if (reserved.actionId !== wanted.actionId) throw new ReservedBefore(reserved);
      signal.throwIfAborted();
      return this.#record(wanted.actionId, checked, true);
    }).catch((error: unknown) => {
      if (error instanceof ReservedBefore) return error;
      throw error;
    });
    if (made instanceof ReservedBefore) return this.#repeat(request, made.reservation);
    return { action: made, repeated: false };
  }

  /** Answers as the first request was, or would have been if it had not stopped between its two writes. */
  async #repeat(
    { caller, submission, isWanted, signal, writes }: Keyed,
    { actionId, fingerprint }: Reservation,
  ): Promise<Submitted> {
    if (!isFingerprintOf(fingerprint, this.#fingerprintKey, submission)) {
      throw new UserError(
        'idempotencyKeyReused',
        `This Idempotency-Key was sent before with another body, for action ${actionId}. Send a new key with a new request.`,
      );
    }
    const existing = await this.#store.find(caller.tenantId, actionId);
    if (existing === null) {
      // Retention leaves a keyed action while its key lives, so one that is not there was never made. The first
      // request may be about to make it: under one id it is one action.
      const checked = await this.#admit(caller, submission, isWanted);
      const action = await this.#within(actionId, checked, () => {
        signal.throwIfAborted();
        writes(actionId);
        return this.#record(actionId, checked, true);
      });
      return { action, repeated: true };
    }
    this.#log.info({ actionId, tenant: caller.tenantId, appId: caller.appId }, 'create repeated');
    return { action: asCreated(existing), repeated: true };
  }

  async #admit(caller: Caller, submission: Submission, isWanted: () => boolean): Promise<CheckedSubmission> {
    const checked = checkSubmission(this.#registry, caller, submission);
    await this.#admission.admit(checked.action.instance, caller.tenantId, isWanted);
    return checked;
  }

  #within<T>(actionId: string, checked: CheckedSubmission, record: () => Promise<T>): Promise<T> {
    const { action, blastClass } = checked;
    const { caller, instance } = action;
    return this.#blastRadius.within({ caller, actionId, instance, blastClass }, record);
  }

  async #record(
    id: string,
    { action: wanted, secret }: CheckedSubmission,
    keyed: boolean,
  ): Promise<SecurityAction> {
    const { caller, instance, actionName } = wanted;
    const place = placeOfAction({ tenantId: caller.tenantId, id });
    const stored = await sealParameters(this.#seal, place, secret, wanted.parameters);
    const traceparent = activeTraceparent();
    const action = await this.#store.create({ id, ...wanted, ...stored, keyed, traceparent });
    this.#metrics.actionsCreated.add(1, instance, actionName, caller.tenantId);
    this.#log.info(
      {
        actionId: action.id,
        tenant: caller.tenantId,
        appId: caller.appId,
        action: actionName,
        instance,
        parameters: wanted.parameters.map(({ name, value }) => ({
          name,
          value: secret.has(canonicalName(name)) ? REDACTED : value,
        })),
      },
      'action submitted',
    );
    void this.#queue.hint({
      actionId: action.id,
      tenantId: caller.tenantId,
      instance,
      lane: action.lane,
      actionName,
      epoch: 0,
    });
    return asCreated(action);
  }
}
