import { PHASES, UserError, type ActionFilter, type ActionPhase } from '#domain';
import {
  SHARED_OPTIONS,
  printable,
  sharedOptions,
  type ListOptions,
  type ListSurface,
  type Query,
} from '../security-actions/list-options.js';

/** Every phase an action can be in, once each. */
export const PHASE_NAMES: readonly ActionPhase[] = [...new Set(Object.values(PHASES).flat())];

/** The native API's. */
export const NATIVE: ListSurface = { name: 'actions', sign: '', nextLink: 'nextLink' };
/** What narrows a list besides its filter. */
export const NARROWING = ['phase', 'unresolved'] as const;

/**
 * Reads the query of a native list: Graph's options without a `$`, and those of its own.
 * @throws UserError `invalidRequest` for a parameter that is not known, given twice, or not valid
 */
export function parseListQuery(query: Query): ListOptions {
  const given = knownParameters(query, [...SHARED_OPTIONS, ...NARROWING]);
  return { ...sharedOptions(given, NATIVE), only: narrowingOf(given), selection: null, skip: 0 };
}

/** What a list is narrowed to besides its filter. @throws UserError `invalidRequest` for what is not valid */
export function narrowingOf(given: ReadonlyMap<string, string>): ActionFilter {
  const phase = given.get('phase');
  const unresolved = given.get('unresolved');
  return {
    ...(phase === undefined ? {} : { phase: parsePhase(phase) }),
    ...(unresolved === undefined ? {} : { unresolved: parseUnresolved(unresolved) }),
  };
}

/**
 * The parameters of a native route by their names.
 * @throws UserError `invalidRequest` for one that is not known: ignored, it would be a promise that nobody keeps; and for
 *   one that is given twice
 */
export function knownParameters(query: Query, known: readonly string[]): ReadonlyMap<string, string> {
  const given = new Map<string, string>();
  for (const [key, value] of Object.entries(query)) {
    if (!known.includes(key)) {
      throw new UserError(
        'invalidRequest',
        `The query parameter "${printable(key)}" is not known; known: ${known.join(', ') || 'none'}.`,
      );
    }
    if (typeof value !== 'string')
      throw new UserError('invalidRequest', `The query parameter "${key}" is given twice.`);
    given.set(key, value);
  }
  return given;
}

/**
 * The parameter as one of these.
 * @throws UserError `invalidRequest` that says which there are
 */
export function oneOf<T extends string>(name: string, text: string, names: readonly T[]): T {
  const found = names.find((one) => one === text);
  if (found === undefined) {
    throw new UserError(
      'invalidRequest',
      `${name} has to be one of ${names.join(', ')}; it is "${printable(text)}".`,
    );
  }
  return found;
}

function parsePhase(text: string): ActionPhase {
  return oneOf('phase', text, PHASE_NAMES);
}

function parseUnresolved(text: string): true {
  if (text !== 'true')
    throw new UserError('invalidRequest', `unresolved can only be "true"; it is "${printable(text)}".`);
  return true;
}
