import {
  ERROR_INFO_CODES,
  type ActionStore,
  type QueuePlaces,
  type RateWindow,
  type SecurityAction,
  type VendorPermits,
  type WaitReason,
  type Waiting,
} from '#domain';
import type { ProviderInstance, ProviderRegistry } from '#engine';

/** What an action waits for, with the reason in words. */
export type ToldWaiting = Waiting & { readonly message: string };

/** The part of an action that says what it waits for. */
export type WaitingNow = Pick<SecurityAction, 'phase'> & { readonly waiting: ToldWaiting | null };

const WAITS_FOR: Readonly<Record<WaitReason, string>> = {
  quota: "The provider's quota for starts is used up for now.",
  vendorBusy: 'The provider asked not to be called for a while.',
  breakerOpen: 'The provider does not answer; it is tried again from time to time.',
  paused: 'The provider instance is paused; it goes on when somebody resumes it.',
  targetBusy: 'Another action is under way at the same target, or was asked for before.',
};

const UNITS: Readonly<Record<number, string>> = {
  1: 'a second',
  60: 'a minute',
  3600: 'an hour',
  86_400: 'a day',
};

/**
 * As the record has it, which the sweep brings up to date from time to time. Of what was begun, in the words that the vendor
 * sent it away with.
 */
export function storedWaiting(action: SecurityAction): WaitingNow {
  const { phase, waiting } = action;
  return {
    phase,
    waiting: waiting === null ? sentAway(action) : { ...waiting, message: WAITS_FOR[waiting.reason] },
  };
}

/** An attempt that the vendor did not take, and that uses up none: it waits until there is room. */
function sentAway({ status, phase, attempts, nextAt }: SecurityAction): ToldWaiting | null {
  const error = attempts.at(-1)?.error;
  if (status !== 'Running' || phase !== 'throttled' || error == null) return null;
  const reason = error.code === ERROR_INFO_CODES.conflict ? 'targetBusy' : 'vendorBusy';
  return { reason, message: error.message, until: nextAt, blockedBy: null };
}

/** What an action that was not started waits for, as it is now: its place in the queue and how the vendor fares. */
export class LiveWaiting {
  readonly #store: Pick<ActionStore, 'aheadAtTarget'>;
  readonly #registry: ProviderRegistry;
  readonly #permits: Pick<VendorPermits, 'state' | 'expectedMs'>;
  readonly #places: QueuePlaces;

  constructor(parts: {
    readonly store: Pick<ActionStore, 'aheadAtTarget'>;
    readonly registry: ProviderRegistry;
    readonly permits: Pick<VendorPermits, 'state' | 'expectedMs'>;
    readonly places: QueuePlaces;
  }) {
    this.#store = parts.store;
    this.#registry = parts.registry;
    this.#permits = parts.permits;
    this.#places = parts.places;
  }

  /** As it is stored where nothing better is known: of what was started, or while Redis is away. */
  async of(action: SecurityAction): Promise<WaitingNow> {
    const instance = this.#registry.byId(action.instance);
    if (action.status !== 'NotStarted' || instance === null) return storedWaiting(action);
    // Of a target the record says who had it when the action last asked for its turn.
    const isAtTarget = action.waiting?.reason === 'targetBusy';
    const ahead = isAtTarget ? await this.#store.aheadAtTarget(action.id) : null;
    if (ahead !== null) return atTarget(ahead.id);
    const stored: WaitingNow = isAtTarget ? { phase: 'queued', waiting: null } : storedWaiting(action);
    return this.#atVendor(action, instance, stored);
  }

  async #atVendor(
    action: SecurityAction,
    instance: ProviderInstance,
    stored: WaitingNow,
  ): Promise<WaitingNow> {
    const [{ waiting: vendor }, ahead] = await Promise.all([
      this.#permits.state(instance.id),
      this.#places.ahead(instance.id, action.id),
    ]);
    // What lets go is held back neither by a pause nor by what is kept of the quota for it.
    const isHeld = vendor !== null && (action.lane !== 'release' || isOfTheVendor(vendor.reason));
    if (action.lane === 'release' && !isHeld) return stored;
    const quotaMs = await this.#permits.expectedMs(instance.id, ahead ?? 0, action.actionName);
    const waitMs = Math.max(isHeld ? vendor.waitMs : 0, quotaMs);
    if (!isHeld && quotaMs === 0) return ahead === null ? stored : { phase: 'queued', waiting: null };
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
