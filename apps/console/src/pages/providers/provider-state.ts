import type { Provider } from '../../api/types.ts';
import type { Tone } from '../../ui/badge.tsx';
import { duration } from '../../ui/format.ts';

/** How an instance fares, in a word, and what that means for actions. */
export interface ProviderState {
  readonly label: string;
  readonly tone: Tone;
  /** Null: there is nothing to add. */
  readonly words: string | null;
}

/** What is to be known of an instance first: that it stands still, else why it waits, else how it says it fares. */
export function stateOf({ paused, breaker, waiting, health, quota }: Provider): ProviderState {
  const isReserved = quota?.every(({ left }) => left > 0) === true;
  if (paused !== null)
    return {
      label: 'Paused',
      tone: 'warning',
      words: `Nothing starts until it is resumed: ${paused.reason}`,
    };
  if (breaker === 'open')
    return {
      label: 'Not responding',
      tone: 'danger',
      words: `The vendor is not responding, so calls are on hold.${waiting === null ? '' : ` Next attempt in ${duration(waiting.waitMs)}.`}`,
    };
  if (breaker === 'halfOpen')
    return {
      label: 'Reconnecting',
      tone: 'warning',
      words: 'The vendor was not responding. One call is checking whether it is back.',
    };
  if (waiting?.reason === 'quota')
    return {
      label: 'Quota used up',
      tone: 'warning',
      words: `The next action can start in ${duration(waiting.waitMs)}.${isReserved ? ' The rest is reserved for cancelling, undoing and releasing.' : ''}`,
    };
  if (waiting?.reason === 'vendorBusy')
    return {
      label: 'Vendor busy',
      tone: 'warning',
      words: `The vendor asked Riposte to wait ${duration(waiting.waitMs)}.`,
    };
  if (health === null) return { label: 'Not checked yet', tone: 'neutral', words: null };
  return health.ok
    ? { label: 'Healthy', tone: 'success', words: health.message }
    : { label: 'Unhealthy', tone: 'danger', words: health.message };
}

/** A name for people; the id of an instance stands beside it. */
export function nameOf({ title, vendor, provider, subProvider }: Provider): string {
  const name = title ?? (vendor === provider ? vendor : `${vendor} ${provider}`);
  return subProvider === null ? name : `${name} · ${subProvider}`;
}
