import {
  ERROR_INFO_CODES,
  WAIT_REASONS,
  begunAt,
  isFinal,
  type ActionStore,
  type InstanceRecord,
  type InstanceRecords,
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

/** Actions of the tenant that are counted before one. */
const OWN_COUNTED = 1000;
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
    waiting:
      waiting === null
        ? inQueue({ ahead: null, own: null }, 0)
        : { ...waiting, message: WAITS_FOR[waiting.reason] },
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
          ? `A worker has been calling the provider${since(intent && begunAt(intent))}.`
          : `The provider has been working on it${since(intent && begunAt(intent))} (operation ${operation.id}). Next check${atTime(nextAt)}.`;
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
  readonly #store: Pick<ActionStore, 'aheadAtTarget' | 'ownAhead'>;
  readonly #registry: ProviderRegistry;
  readonly #permits: Pick<VendorPermits, 'state' | 'expectedMs'>;
  readonly #places: QueuePlaces;
  readonly #workers: Workers;
  readonly #records: Pick<InstanceRecords, 'list'>;

  constructor(parts: {
    readonly store: Pick<ActionStore, 'aheadAtTarget' | 'ownAhead'>;
    readonly registry: ProviderRegistry;
    readonly permits: Pick<VendorPermits, 'state' | 'expectedMs'>;
    readonly places: QueuePlaces;
    readonly workers: Workers;
    readonly records: Pick<InstanceRecords, 'list'>;
  }) {
    this.#store = parts.store;
    this.#registry = parts.registry;
    this.#permits = parts.permits;
    this.#places = parts.places;
    this.#workers = parts.workers;
    this.#records = parts.records;
  }

  /**
   * As it is stored where nothing better is known, as while Redis is away.
   * @param operates whether the reader operates the installation, and is told who paused an instance
   */
  async of(action: SecurityAction, operates: boolean): Promise<WaitingNow> {
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
    return this.#inTurn(action, instance, { isFreed: isAtTarget, operates });
  }

  async #inTurn(
    action: SecurityAction,
    instance: ProviderInstance,
    { isFreed, operates }: { readonly isFreed: boolean; readonly operates: boolean },
  ): Promise<WaitingNow> {
    const [{ waiting: vendor }, ahead, carriers] = await Promise.all([
      this.#permits.state(instance.id),
      this.#places.ahead(instance.id, action.id),
      this.#workers.carriers(instance.id, WORKER_ALIVE_MS),
    ]);
    // What lets go is not held back by what is kept of the quota for it.
    const isHeld = vendor !== null && (action.lane !== 'release' || vendor.reason !== 'quota');
    if (carriers.workers === 0 && !(isHeld && vendor.reason === 'paused'))
      return { phase: 'queued', waiting: workerMissing(instance.id) };
    const isReleased = action.lane === 'release' && !isHeld;
    const quotaMs = isReleased
      ? 0
      : await this.#permits.expectedMs(instance.id, ahead ?? 0, action.actionName);
    if (!isHeld && quotaMs === 0) {
      if (ahead === null && action.waiting !== null && !isFreed) return storedWaiting(action);
      const place = await this.#placeOf(action, ahead);
      return { phase: 'queued', waiting: inQueue(place, carriers.startsPerMinute) };
    }
    const waitMs = Math.max(isHeld ? vendor.waitMs : 0, quotaMs);
    const reason = isHeld ? vendor.reason : 'quota';
    return {
      phase: 'throttled',
      waiting: {
        reason,
        message:
          reason === 'paused'
            ? pausedWords(await this.#pauseOf(instance.id), operates)
            : messageOf(
                reason,
                await this.#placeOf(action, ahead ?? 0),
                instance.rateLimits,
                action.actionName,
              ),
        until: reason === 'paused' ? null : new Date(Date.now() + waitMs),
        blockedBy: null,
      },
    };
  }

  /** How many other tenants' actions are before it is not told: that is their load. */
  async #placeOf(action: SecurityAction, ahead: number | null): Promise<Place> {
    if (ahead === null || ahead === 0) return { ahead, own: ahead };
    return { ahead, own: await this.#store.ownAhead(action, OWN_COUNTED) };
  }

  /** Null: it is not paused any more, or nobody can say. */
  async #pauseOf(instance: string): Promise<InstanceRecord['paused']> {
    const records = await this.#records.list().catch(() => []);
    return records.find((record) => record.instance === instance)?.paused ?? null;
  }
}

/** Where an action stands in the queue. */
interface Place {
  /** How many are before it, of any tenant: for reckoning only. Null: nobody can say. */
  readonly ahead: number | null;
  /** How many of its own tenant's are, up to {@link OWN_COUNTED}. Null: nobody can say. */
  readonly own: number | null;
}

function pausedWords(paused: InstanceRecord['paused'], operates: boolean): string {
  if (paused === null) return WAITS_FOR.paused;
  const { by, at, reason } = paused;
  const who = operates ? `, by ${by.user ?? `application ${by.appId}`}` : '';
  return `The provider instance has been paused since ${words(at)}${who}: ${/[.!?]$/.test(reason) ? reason : `${reason}.`} The action continues when someone resumes it.`;
}

/** Of one that is not the next: what is before it. */
function behindWords({ own }: Place): string {
  if (own === null) return 'It is behind others';
  if (own === 0) return 'It is the next one of this tenant';
  const atLeast = own >= OWN_COUNTED ? 'at least ' : '';
  return `It is behind ${atLeast}${own} ${own === 1 ? 'other' : 'others'} of this tenant`;
}

function atTarget(blockedBy: string | null): WaitingNow {
  const reason = 'targetBusy';
  return { phase: 'throttled', waiting: { reason, message: WAITS_FOR[reason], until: null, blockedBy } };
}

function inQueue(place: Place, startsPerMinute: number): ToldWaiting {
  const { ahead } = place;
  const queued = { reason: 'queued', blockedBy: null } as const;
  if (ahead === null)
    return {
      ...queued,
      message: 'It is queued; the number of actions ahead of it is not known right now.',
      until: null,
    };
  if (ahead === 0)
    return { ...queued, message: 'It is next, and starts as soon as a worker is free.', until: null };
  const behind = behindWords(place);
  if (startsPerMinute === 0)
    return { ...queued, message: `${behind}; none started in the last minute.`, until: null };
  return {
    ...queued,
    message: `${behind}.`,
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

function messageOf(
  reason: WaitReason,
  place: Place,
  windows: readonly RateWindow[],
  actionName: string,
): string {
  const isNext = place.ahead === 0;
  const behind = isNext ? '' : ` ${behindWords(place)}.`;
  const bounds = windows
    .filter(({ actions }) => actions === undefined || actions.includes(actionName))
    .map(
      ({ calls, perSeconds }) =>
        `${calls} call${calls === 1 ? '' : 's'} ${UNITS[perSeconds] ?? periodOf(perSeconds)}`,
    );
  if (reason !== 'quota' || bounds.length === 0) return `${WAITS_FOR[reason]}${behind}`;
  const allows = `the provider allows ${bounds.join(' and ')}`;
  return `${isNext ? 'It is the next one to start' : behindWords(place)}: ${allows}.`;
}

/** As `in 10 minutes`, in the largest unit that it is whole in. */
function periodOf(seconds: number): string {
  if (seconds % 3600 === 0) return `in ${seconds / 3600} hours`;
  return seconds % 60 === 0 ? `in ${seconds / 60} minutes` : `in ${seconds} s`;
}

function since(time: Date | null | undefined): string {
  return time == null ? '' : ` since ${words(time)}`;
}

function atTime(time: Date | null): string {
  return time === null ? '' : ` at ${words(time)}`;
}

/** A time for people, to the second. */
export function words(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
