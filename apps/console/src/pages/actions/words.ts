import type { ActionStatus, NativeAction } from '../../api/types.ts';
import { duration } from '../../ui/format.ts';

/** What an action acts upon, in a line: its parameters with their values, but for secret ones. */
export function parametersInShort({ parameters }: Pick<NativeAction, 'parameters'>): string {
  return parameters.map(({ name, value }) => `${name} ${value ?? '(hidden)'}`).join(' · ');
}

/** Milliseconds that the page's clock says nothing about. */
const CLOCK_MS = 5000;

/** How long an action took, or has taken until now. */
export function took(
  action: Pick<NativeAction, 'createdDateTime' | 'completedDateTime'>,
  now: number,
): string {
  const { createdDateTime, completedDateTime } = action;
  if (completedDateTime !== null)
    return duration(Math.max(0, Date.parse(completedDateTime) - Date.parse(createdDateTime)));
  const ms = now - Date.parse(createdDateTime);
  // The page looks at its clock every few seconds, and that may be behind the server's.
  return ms < CLOCK_MS ? 'a moment' : duration(ms);
}

/** A provider of an action, as people say it. */
export function providerOf({ vendorInformation: { vendor, provider, subProvider } }: NativeAction): string {
  return [vendor === provider ? vendor : `${vendor} ${provider}`, subProvider]
    .filter((part) => part !== null && part !== '')
    .join(' · ');
}

/** What is to be known of an action at a glance: why it waits, or how it failed. Empty: nothing. */
export function noteOf({ waiting, errorInfo, phase }: NativeAction): string {
  if (waiting !== null) return waiting.message;
  if (errorInfo === null) return '';
  const { code, message } = errorInfo;
  if (phase === 'cancelled') return '';
  return message === null ? `Error ${code}` : `${code} · ${message}`;
}

/** The statuses, which are Graph's, as people say them. */
export const STATUS_WORDS: Readonly<Record<ActionStatus, string>> = {
  NotStarted: 'Not started',
  Running: 'Running',
  Completed: 'Completed',
  Failed: 'Failed',
};
