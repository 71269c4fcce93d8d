import {
  DefectError,
  PHASES,
  UserError,
  type ActionFilter,
  type ActionPhase,
  type ListPosition,
} from '#domain';
import { parseTop } from '../security-actions/list-options.js';
import type { SkipTokens } from '../skip-tokens.js';

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
export function parseListQuery(
  query: Readonly<Record<string, unknown>>,
  skipTokens: SkipTokens,
): NativeListQuery {
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
  const filter = {
    ...(given.phase === undefined ? {} : { phase: parsePhase(given.phase) }),
    ...(given.unresolved === undefined ? {} : { unresolved: parseUnresolved(given.unresolved) }),
  };
  return {
    top: parseTop('top', given.top),
    after: given.skiptoken === undefined ? null : positionOf(given.skiptoken, filter, skipTokens),
    filter,
  };
}

/** The query of the page that begins behind `next`. */
export function queryOfPage(
  { top, filter }: NativeListQuery,
  next: ListPosition,
  skipTokens: SkipTokens,
): string {
  return new URLSearchParams({
    top: String(top),
    ...(filter.phase === undefined ? {} : { phase: filter.phase }),
    ...(filter.unresolved === true ? { unresolved: 'true' } : {}),
    skiptoken: skipTokens.issue({ values: [next.at], id: next.id }, questionOf(filter)),
  }).toString();
}

function positionOf(token: string, filter: ActionFilter, skipTokens: SkipTokens): ListPosition {
  const { values, id } = skipTokens.read(token, questionOf(filter), { name: 'skiptoken', link: 'nextLink' });
  const [at] = values;
  if (!(at instanceof Date)) throw new DefectError('a signed skiptoken of the native list has no time');
  return { at, id };
}

/** What the token is bound to. */
function questionOf({ phase, unresolved }: ActionFilter): readonly (string | null)[] {
  return ['actions', phase ?? null, unresolved === true ? 'unresolved' : null];
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
