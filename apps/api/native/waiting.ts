import {
  ERROR_INFO_CODES,
  WAIT_REASONS,
  isFinal,
  type ActionStore,
  type QueuePlaces,
  type RateWindow,
  type SecurityAction,
  type VendorPermits,
  type WaitReason,
  type Waiting,
} from '#domain';
import type { ProviderInstance, ProviderRegistry } from '#engine';
import type { Carriers } from '#persistence';

/** Why an action has not ended: what is stored of it, and what is found out when somebody asks. */
export const TOLD_REASONS = [
  ...WAIT_REASONS,
  'queued',
  'workerMissing',
  'vendorWorking',
  'retrying',
  'cancelling',
] as const;
export type ToldReason = (typeof TOLD_REASONS)[number];

/** What an action waits for, with the reason in words. */
export type ToldWaiting = Omit<Waiting, 'reason'> & { readonly reason: ToldReason; readonly message: string };

/** The part of an action that says what it waits for; null: it has ended. */
export type WaitingNow = Pick<SecurityAction, 'phase'> & { readonly waiting: ToldWaiting | null };

/** Which workers are there. */
interface Workers {
  carriers(instance: string, withinMs: number): Promise<Carriers>;
}

/** Milliseconds after which a worker that says nothing counts as gone: three of its beats. */
const WORKER_ALIVE_MS = 15_000;

const WAITS_FOR: Readonly<Record<WaitReason, string>> = {
  quota: "The provider's quota for starts is used up for now.",
  vendorBusy: 'The provider asked Riposte to wait.',
  breakerOpen: 'The provider is not responding; Riposte retries it automatically.',
  paused: 'The provider instance is paused; the action continues when someone resumes it.',
  targetBusy: 'Another action for the same target is in progress or was requested first.',
};

const UNITS: Readonly<Record<number, string>> = {
  1: 'a second',
  60: 'a minute',
  3600: 'an hour',
  86_400: 'a day',
};

/** As the record has it, which the sweep brings up to date from time to time. */
export function storedWaiting(action: SecurityAction): WaitingNow {
  const { phase, status, waiting } = action;
  if (isFinal(status)) return { phase, waiting: null };
  if (status === 'Running') return { phase, waiting: underWay(action) };
  return {
    phase,
    waiting: waiting === null ? inQueue(null, 0) : { ...waiting, message: WAITS_FOR[waiting.reason] },
  };
}

/** Of what was begun. */
function underWay(action: SecurityAction): ToldWaiting {
  const { phase, attempts, intent, nextAt, cancel } = action;
  const last = attempts.at(-1);
  switch (phase) {
    case 'throttled':
      // An attempt that the vendor did not take, and that uses up none: it waits until there is room.
      return {
        reason: last?.error?.code === ERROR_INFO_CODES.conflict ? 'targetBusy' : 'vendorBusy',
        message: last?.error?.message ?? WAITS_FOR.vendorBusy,
        until: nextAt,
        blockedBy: null,
      };
    case 'retrying':
      return {
        reason: 'retrying',
        message: retryWords(action),
        until: nextAt,
        blockedBy: null,
      };
    case 'cancelling': {
      const asked =
        cancel?.why === 'deadline'
          ? 'Its deadline has passed and it is being cancelled'
          : 'It is being cancelled';
      return {
        reason: 'cancelling',
        message: `${asked}${since(cancel?.at)}. ${cancelWords(action)}`,
        until: null,
        blockedBy: null,
      };
    }
    default: {
      const operation = intent?.operation;
      const message =
        operation == null
          ? `A worker has been calling the provider${since(intent?.at)}.`
          : `The provider has been working on it${since(intent?.at)} (operation ${operation.id}). Next check${atTime(nextAt)}.`;
      return { reason: 'vendorWorking', message, until: null, blockedBy: null };
    }
  }
}

function retryWords({ attempts, nextAt }: SecurityAction): string {
  const last = attempts.at(-1);
  if (last?.error == null) return `It will be retried${atTime(nextAt)}.`;
  return `Attempt ${last.number} failed; the next one is due${atTime(nextAt)}. The last error: ${last.error.message}`;
}

/** What the provider has said to a cancel, in words. */
export function cancelWords({ cancel, intent }: SecurityAction): string {
  switch (cancel?.outcome ?? null) {
    case null:
      return intent === null
        ? 'Nothing was sent to the provider; it ends at once.'
        : 'The provider has not answered yet; the action ends with what really happened.';
    case 'cancelled':
      return 'The provider says that it was cancelled.';
    case 'requested':
      return 'The provider accepted the request and has not confirmed it yet.';
    case 'tooLate':
      return 'The provider says it is too late: the action ends with what really happened.';
    case 'notSupported':
      return 'The provider cannot cancel it: the action ends with what really happened.';
    case 'unknown':
      return 'The provider could not be told: the action ends with what really happened.';
  }
}

/** What an action waits for, as it is now: its place in the queue, how the vendor fares, whether workers are there. */
export class LiveWaiting {
  readonly #store: Pick<ActionStore, 'aheadAtTarget'>;
  readonly #registry: ProviderRegistry;
  readonly #permits: Pick<VendorPermits, 'state' | 'expectedMs'>;
  readonly #places: QueuePlaces;
  readonly #workers: Workers;

  constructor(parts: {
    readonly store: Pick<ActionStore, 'aheadAtTarget'>;
    readonly registry: ProviderRegistry;
    readonly permits: Pick<VendorPermits, 'state' | 'expectedMs'>;
    readonly places: QueuePlaces;
    readonly workers: Workers;
  }) {
    this.#store = parts.store;
    this.#registry = parts.registry;
    this.#permits = parts.permits;
    this.#places = parts.places;
    this.#workers = parts.workers;
  }

  /** As it is stored where nothing better is known, as while Redis is away. */
  async of(action: SecurityAction): Promise<WaitingNow> {
    const { status, phase } = action;
    if (isFinal(status)) return storedWaiting(action);
    const instance = this.#registry.byId(action.instance);
    if (instance === null) return { phase, waiting: notConfigured(action) };
    if (status === 'Running') {
      const { workers } = await this.#workers.carriers(instance.id, WORKER_ALIVE_MS);
      return workers === 0 ? { phase, waiting: workerMissing(instance.id) } : storedWaiting(action);
    }
    // Of a target the record says who had it when the action last asked for its turn.
    const isAtTarget = action.waiting?.reason === 'targetBusy';
    const ahead = isAtTarget ? await this.#store.aheadAtTarget(action.id) : null;
    if (ahead !== null) return atTarget(ahead.id);
    return this.#inTurn(action, instance, isAtTarget);
  }

  async #inTurn(action: SecurityAction, instance: ProviderInstance, isFreed: boolean): Promise<WaitingNow> {
    const [{ waiting: vendor }, ahead, carriers] = await Promise.all([
      this.#permits.state(instance.id),
      this.#places.ahead(instance.id, action.id),
      this.#workers.carriers(instance.id, WORKER_ALIVE_MS),
    ]);
    // What lets go is held back neither by a pause nor by what is kept of the quota for it.
    const isHeld = vendor !== null && (action.lane !== 'release' || isOfTheVendor(vendor.reason));
    if (carriers.workers === 0 && !(isHeld && vendor.reason === 'paused'))
      return { phase: 'queued', waiting: workerMissing(instance.id) };
    const isReleased = action.lane === 'release' && !isHeld;
    const quotaMs = isReleased
      ? 0
      : await this.#permits.expectedMs(instance.id, ahead ?? 0, action.actionName);
    if (!isHeld && quotaMs === 0) {
      if (ahead === null && action.waiting !== null && !isFreed) return storedWaiting(action);
      return { phase: 'queued', waiting: inQueue(ahead, carriers.startsPerMinute) };
    }
    const waitMs = Math.max(isHeld ? vendor.waitMs : 0, quotaMs);
    const reason = isHeld ? vendor.reason : 'quota';
    return {
      phase: 'throttled',
      waiting: {
        reason,
        message: messageOf(reason, ahead ?? 0, instance.rateLimits, action.actionName),
        until: reason === 'paused' ? null : new Date(Date.now() + waitMs),
        blockedBy: null,
      },
    };
  }
}

function atTarget(blockedBy: string | null): WaitingNow {
  const reason = 'targetBusy';
  return { phase: 'throttled', waiting: { reason, message: WAITS_FOR[reason], until: null, blockedBy } };
}

/** @param ahead null: nobody can say how many are */
function inQueue(ahead: number | null, startsPerMinute: number): ToldWaiting {
  const place = { reason: 'queued', blockedBy: null } as const;
  if (ahead === null)
    return {
      ...place,
      message: 'It is queued; the number of actions ahead of it is not known right now.',
      until: null,
    };
  if (ahead === 0)
    return { ...place, message: 'It is next, and starts as soon as a worker is free.', until: null };
  const behind = `It is behind ${ahead} ${ahead === 1 ? 'other' : 'others'}`;
  if (startsPerMinute === 0)
    return { ...place, message: `${behind}; none started in the last minute.`, until: null };
  return {
    ...place,
    message: `${behind}; ${startsPerMinute} ${startsPerMinute === 1 ? 'starts' : 'start'} per minute right now.`,
    until: new Date(Date.now() + (ahead / startsPerMinute) * 60_000),
  };
}

function workerMissing(instance: string): ToldWaiting {
  return {
    reason: 'workerMissing',
    message: `No worker for provider instance "${instance}" is running. Start one, or find out why it stopped; the action then continues by itself.`,
    until: null,
    blockedBy: null,
  };
}

function notConfigured({ instance, deadlineAt }: SecurityAction): ToldWaiting {
  return {
    reason: 'workerMissing',
    message: `Provider instance "${instance}" is no longer configured, so the action cannot run. Restore the instance or cancel the action; it ends by itself${atTime(deadlineAt)}.`,
    until: null,
    blockedBy: null,
  };
}

function isOfTheVendor(reason: WaitReason): boolean {
  return reason === 'vendorBusy' || reason === 'breakerOpen';
}

function messageOf(
  reason: WaitReason,
  ahead: number,
  windows: readonly RateWindow[],
  actionName: string,
): string {
  const behind = ahead === 0 ? '' : ` It is behind ${ahead} ${ahead === 1 ? 'other' : 'others'}.`;
  const bounds = windows
    .filter(({ actions }) => actions === undefined || actions.includes(actionName))
    .map(
      ({ calls, perSeconds }) =>
        `${calls} call${calls === 1 ? '' : 's'} ${UNITS[perSeconds] ?? `in ${perSeconds} s`}`,
    );
  if (reason !== 'quota' || bounds.length === 0) return `${WAITS_FOR[reason]}${behind}`;
  const allows = `the provider allows ${bounds.join(' and ')}`;
  return ahead === 0
    ? `It is the next one to start: ${allows}.`
    : `It is behind ${ahead} ${ahead === 1 ? 'other' : 'others'}: ${allows}.`;
}

function since(time: Date | undefined): string {
  return time === undefined ? '' : ` since ${words(time)}`;
}

function atTime(time: Date | null): string {
  return time === null ? '' : ` at ${words(time)}`;
}

/** A time for people, to the second. */
export function words(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
