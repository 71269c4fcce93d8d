import { PHASES, UserError, type ActionFilter, type ActionPhase, type ListPosition } from '#domain';
import { parseSkipToken, parseTop, skipTokenOf } from '../security-actions/list-options.js';

/** Every phase an action can be in, once each. */
export const PHASE_NAMES: readonly ActionPhase[] = [...new Set(Object.values(PHASES).flat())];

const KNOWN = ['top', 'skiptoken', 'phase', 'unresolved'] as const;

/** What a native list request asks for. */
export interface NativeListQuery {
  readonly top: number;
  readonly after: ListPosition | null;
  readonly filter: ActionFilter;
}

/**
 * Reads the query of a native list.
 * @throws UserError `invalidRequest` for a parameter that is not known, given twice, or not valid
 */
export function parseListQuery(query: Readonly<Record<string, unknown>>): NativeListQuery {
  const given: Partial<Record<(typeof KNOWN)[number], string>> = {};
  for (const [key, value] of Object.entries(query)) {
    const name = KNOWN.find((known) => known === key);
    if (name === undefined) {
      throw new UserError(
        'invalidRequest',
        `The query parameter "${key}" is not known; known: ${KNOWN.join(', ')}.`,
      );
    }
    if (typeof value !== 'string')
      throw new UserError('invalidRequest', `The query parameter "${key}" is given twice.`);
    given[name] = value;
  }
  return {
    top: parseTop('top', given.top),
    after: parseSkipToken('skiptoken', 'nextLink', given.skiptoken),
    filter: {
      ...(given.phase === undefined ? {} : { phase: parsePhase(given.phase) }),
      ...(given.unresolved === undefined ? {} : { unresolved: parseUnresolved(given.unresolved) }),
    },
  };
}

/** The query of the page that begins behind `next`. */
export function queryOfPage({ top, filter }: NativeListQuery, next: ListPosition): string {
  return new URLSearchParams({
    top: String(top),
    ...(filter.phase === undefined ? {} : { phase: filter.phase }),
    ...(filter.unresolved === true ? { unresolved: 'true' } : {}),
    skiptoken: skipTokenOf(next),
  }).toString();
}

function parsePhase(text: string): ActionPhase {
  const phase = PHASE_NAMES.find((name) => name === text);
  if (phase === undefined) {
    throw new UserError(
      'invalidRequest',
      `phase has to be one of ${PHASE_NAMES.join(', ')}; it is "${text}".`,
    );
  }
  return phase;
}

function parseUnresolved(text: string): true {
  if (text !== 'true')
    throw new UserError('invalidRequest', `unresolved can only be "true"; it is "${text}".`);
  return true;
}
