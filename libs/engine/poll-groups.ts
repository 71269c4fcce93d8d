import { setMaxListeners } from 'node:events';
import type { PendingOperation, StepOutcome } from '#provider-sdk';
import { activeTraceparent } from '#telemetry';
import type { InstanceCallResult, InstanceCalls } from './instance-calls.js';
import { checkedShare } from './plugin-answer.js';
import type { ProviderInstance } from './registry.js';

/** Milliseconds the first of a group waits for others: hints that are due together come within a few. */
const GATHER_MS = 75;
const MOST_IN_GROUP = 500;
const CALL_TIMEOUT_MS = 30_000;
/** Milliseconds a group waits for the quota: its members hold their places in the worker meanwhile. */
const PERMIT_WITHIN_MS = 1000;

/** An operation to be asked about, of one run. */
export interface GroupMember extends PendingOperation<{
  readonly action: string;
  readonly parameters: unknown;
}> {
  readonly secrets: readonly string[];
}

interface Waiting {
  readonly member: GroupMember;
  /** The span that asks; null: it is not traced. */
  readonly traceparent: string | null;
  readonly signal: AbortSignal;
  /** Ends its wait with what this returns or throws. */
  readonly answer: (share: () => Share) => void;
}

/** What a group's call says of one of its members. */
type Share = StepOutcome | { readonly kind: 'leftOut' };

/**
 * Polls of one instance that are due together in this worker go in one call of the plugin's `pollMany`. Each run keeps
 * its own lease meanwhile, and may leave at any time; a call that nobody waits for any more is stopped.
 */
export class PollGroups {
  readonly #calls: InstanceCalls;
  readonly #gathering = new Map<string, Waiting[]>();
  readonly #underWay = new Set<string>();

  constructor(calls: InstanceCalls) {
    this.#calls = calls;
  }

  /**
   * What the vendor says of one pending operation; `leftOut` where the answer does not name it, or the vendor was not
   * to be called now.
   *
   * @param signal its abort means that this one waits no longer
   * @throws the signal's reason; what the call threw, which all members of the group are told
   */
  ask(instance: ProviderInstance, member: GroupMember, signal: AbortSignal): Promise<Share> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise<Share>((resolve, reject) => {
      const leave = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', leave, { once: true });
      const answer = (share: () => Share): void => {
        signal.removeEventListener('abort', leave);
        try {
          resolve(share());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      const one = { member, traceparent: activeTraceparent(), signal, answer };
      const waiting = this.#gathering.get(instance.id);
      if (waiting === undefined) this.#gathering.set(instance.id, [one]);
      else waiting.push(one);
      // While one call is under way, the next group gathers behind it.
      if (waiting === undefined && !this.#underWay.has(instance.id))
        setTimeout(() => void this.#askTogether(instance), GATHER_MS);
    });
  }

  async #askTogether(instance: ProviderInstance): Promise<void> {
    const gathered = this.#gathering.get(instance.id) ?? [];
    const group = gathered.splice(0, MOST_IN_GROUP).filter(({ signal }) => !signal.aborted);
    if (gathered.length === 0) this.#gathering.delete(instance.id);
    if (group.length > 0) {
      this.#underWay.add(instance.id);
      await this.#call(instance, group);
      this.#underWay.delete(instance.id);
    }
    if (this.#gathering.has(instance.id)) void this.#askTogether(instance);
  }

  async #call(instance: ProviderInstance, group: readonly Waiting[]): Promise<void> {
    const [first] = group;
    const { pollMany } = instance.provider.calls;
    const abandoned = new AbortController();
    setMaxListeners(0, abandoned.signal);
    let present = group.length;
    const leave = (): void => {
      present -= 1;
      if (present === 0) abandoned.abort();
    };
    for (const { signal } of group) signal.addEventListener('abort', leave, { once: true });
    const result = await this.#calls.run(
      {
        name: 'pollMany',
        instance,
        actionName: first?.member.request.action ?? '',
        timeoutMs: CALL_TIMEOUT_MS,
        permitWithinMs: PERMIT_WITHIN_MS,
        secrets: group.flatMap(({ member }) => member.secrets),
        shutdown: abandoned.signal,
        facts: { polled: group.length },
        asking: group.flatMap(({ traceparent }) => traceparent ?? []),
      },
      (context) => {
        if (pollMany === undefined) throw new TypeError('the plugin has no pollMany');
        return pollMany(
          context,
          group.map(({ member: { actionId, operation, request } }) => ({ actionId, operation, request })),
        );
      },
    );
    for (const { member, signal, answer } of group) {
      signal.removeEventListener('abort', leave);
      answer(() => shareOf(result, member.actionId));
    }
  }
}

function shareOf(result: InstanceCallResult<ReadonlyMap<string, StepOutcome>>, actionId: string): Share {
  switch (result.kind) {
    case 'threw':
      throw result.error;
    case 'returned':
      return checkedShare(result.value, actionId) ?? LEFT_OUT;
    // No answer in time, or no call at all.
    case 'stopped':
    case 'denied':
      return LEFT_OUT;
  }
}

const LEFT_OUT = { kind: 'leftOut' } as const;
