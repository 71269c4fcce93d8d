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
    return { label: 'Paused', tone: 'warning', words: `Nothing is started there: ${paused.reason}` };
  if (breaker === 'open')
    return {
      label: 'Left alone',
      tone: 'danger',
      words: `The vendor does not answer, and is left alone${waiting === null ? '' : ` for ${duration(waiting.waitMs)}`}.`,
    };
  if (breaker === 'halfOpen')
    return {
      label: 'Being tried',
      tone: 'warning',
      words: 'The vendor did not answer; one call is trying it now.',
    };
  if (waiting?.reason === 'quota')
    return {
      label: 'Waits for quota',
      tone: 'warning',
      words: `The next action can start in ${duration(waiting.waitMs)}.${isReserved ? ' What is left is kept for cancels, and for what undoes or releases.' : ''}`,
    };
  if (waiting?.reason === 'vendorBusy')
    return {
      label: 'Vendor busy',
      tone: 'warning',
      words: `The vendor asked to wait, for ${duration(waiting.waitMs)} from now.`,
    };
  if (health === null) return { label: 'Not asked yet', tone: 'neutral', words: null };
  return health.ok
    ? { label: 'Well', tone: 'success', words: health.message }
    : { label: 'Not well', tone: 'danger', words: health.message };
}

/** A name for people; the id of an instance stands beside it. */
export function nameOf({ title, vendor, provider, subProvider }: Provider): string {
  const name = title ?? (vendor === provider ? vendor : `${vendor} ${provider}`);
  return subProvider === null ? name : `${name} · ${subProvider}`;
}
