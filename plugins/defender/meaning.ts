import { indicatorRequestOf, type IndicatorRequest } from './indicator-requests.js';
import { jobOf, type MachineJob } from './machine-jobs.js';
import type { actions } from './manifest.js';

/** What the engine hands over. */
export interface Request {
  readonly action: keyof typeof actions;
  readonly parameters: object;
  readonly effectUntil?: Date;
}

/** What a request is about. */
export type Meaning =
  | { readonly of: 'machine'; readonly job: MachineJob; readonly machine: string; readonly words: string }
  | { readonly of: 'investigation'; readonly machine: string; readonly words: string }
  | { readonly of: 'indicator'; readonly request: IndicatorRequest };

/** Reads a request. Its parameters were let through by the schema of its action. */
export function meaningOf({ action, parameters }: Request): Meaning {
  const given = parameters as Readonly<Record<string, unknown>>;
  const request = indicatorRequestOf(action, given);
  if (request !== null) return { of: 'indicator', request };
  const machine = String(given['MachineId']).trim();
  const words = typeof given['Comment'] === 'string' ? given['Comment'] : `${action} by Riposte`;
  const job = jobOf(action, given);
  return job === null ? { of: 'investigation', machine, words } : { of: 'machine', job, machine, words };
}
