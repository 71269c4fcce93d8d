import { UserError, type ActionFilter } from '#domain';
import {
  ODataSyntaxError,
  parseFilter,
  parseOrderBy,
  parseSearch,
  parseSelect,
  type Filter,
  type OrderKey,
  type Selection,
} from '#odata';
import { SEARCHED, SECURITY_ACTION } from './model.js';

const DEFAULT_TOP = 100;
const MOST_TOP = 1000;

const LIST_OPTIONS = [
  'filter',
  'search',
  'orderby',
  'select',
  'top',
  'skip',
  'count',
  'skiptoken',
  'format',
] as const;
const ITEM_OPTIONS = ['select', 'format'] as const;
const COUNT_OPTIONS = ['filter', 'search'] as const;
/** Those that OData knows besides; a caller who gives one counts on it. */
const OTHER_OPTIONS = [
  'expand',
  'apply',
  'compute',
  'levels',
  'index',
  'schemaversion',
  'deltatoken',
] as const;
type OptionName = (typeof LIST_OPTIONS)[number];
/** Those that the native list has in common with Graph's. */
export const SHARED_OPTIONS = ['filter', 'search', 'orderby', 'top', 'count', 'skiptoken'] as const;
const OPTION_NAMES: readonly string[] = [...LIST_OPTIONS, ...OTHER_OPTIONS];

/** A query as Fastify gives it: what is there several times is an array. */
export type Query = Readonly<Record<string, unknown>>;

/** How a surface writes the options of its lists, and their links. */
export interface ListSurface {
  /** Binds skip tokens to it. */
  readonly name: string;
  /** What stands before the name of an option. */
  readonly sign: '$' | '';
  /** The member of an answer that leads to the next page. */
  readonly nextLink: string;
}

const GRAPH: ListSurface = { name: 'securityActions', sign: '$', nextLink: '@odata.nextLink' };

/** What a list request asks for. */
export interface ListOptions {
  readonly surface: ListSurface;
  /** What the filter has no words for. */
  readonly only: ActionFilter;
  /** `$filter` and `$search` together. */
  readonly filter: Filter | null;
  readonly order: readonly OrderKey[];
  /** Null: whole entities. */
  readonly selection: Selection | null;
  readonly top: number;
  readonly skip: number;
  readonly count: boolean;
  readonly skipToken: string | null;
  /** The options as they were given, by their names without `$`, in that order. */
  readonly given: ReadonlyMap<string, string>;
}

/**
 * Reads the OData options of a list. The `$` is optional, as on Graph's beta, and names are taken in any case.
 * @throws UserError `invalidRequest` for an option that is not supported (ignoring a filter would return what was not
 * asked for), given twice, or not valid
 */
export function parseListOptions(query: Query): ListOptions {
  const given = optionsOf(query, LIST_OPTIONS);
  const options = {
    ...sharedOptions(given, GRAPH),
    only: {},
    selection: selectionOf(given),
    skip: parseSkip(given.get('skip')),
  };
  if (options.skipToken !== null && given.has('skip'))
    throw new UserError(
      'invalidRequest',
      '$skip cannot be given with $skiptoken: the token says where to go on.',
    );
  return options;
}

/**
 * Reads the options that a list has on either surface.
 * @param given by their names without a sign
 * @throws UserError `invalidRequest` for one that is not valid
 */
export function sharedOptions(
  given: ReadonlyMap<string, string>,
  surface: ListSurface,
): Omit<ListOptions, 'only' | 'selection' | 'skip'> {
  const { sign } = surface;
  return {
    surface,
    filter: filterOf(given, sign),
    order: orderOf(given, sign),
    top: parseTop(`${sign}top`, given.get('top')),
    count: parseCount(`${sign}count`, given.get('count')),
    skipToken: given.get('skiptoken') ?? null,
    given,
  };
}

/**
 * Reads the OData options of one action.
 * @throws UserError `invalidRequest` as {@link parseListOptions}
 */
export function parseItemOptions(query: Query): { readonly selection: Selection | null } {
  return { selection: selectionOf(optionsOf(query, ITEM_OPTIONS)) };
}

/**
 * Reads the OData options of a count.
 * @throws UserError `invalidRequest` as {@link parseListOptions}
 */
export function parseCountOptions(query: Query): { readonly filter: Filter | null } {
  return { filter: filterOf(optionsOf(query, COUNT_OPTIONS), '$') };
}

/**
 * How many actions a page may have: 100 where nothing is said, never more than 1,000.
 * @throws UserError `invalidRequest` that calls the option `name`
 */
function parseTop(name: string, text: string | undefined): number {
  if (text === undefined) return DEFAULT_TOP;
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new UserError(
      'invalidRequest',
      `${name} has to be a whole number from 1; it is "${printable(text)}".`,
    );
  return Math.min(Number(text), MOST_TOP);
}

function optionsOf(query: Query, supported: readonly OptionName[]): ReadonlyMap<OptionName, string> {
  const options = new Map<OptionName, string>();
  for (const [key, value] of Object.entries(query)) {
    const name = key.replace(/^\$/, '').toLowerCase();
    const option = supported.find((one) => one === name);
    if (typeof value !== 'string' || (option !== undefined && options.has(option)))
      throw new UserError('invalidRequest', `The query option "${printable(key)}" is given twice.`);
    if (option !== undefined) options.set(option, value);
    // What else there is may be a caller's own, as OData allows. `amp;$filter`, or one that was encoded twice, is not.
    else if (/^(?:@|(?:amp;|\W)*(?:\$|%24))/.test(key) || OPTION_NAMES.includes(/^\w*/.exec(name)?.[0] ?? ''))
      throw new UserError('invalidRequest', notSupported(key, supported));
  }
  const format = options.get('format');
  if (format !== undefined && !/^(?:application\/)?json$/i.test(format))
    throw new UserError('invalidRequest', `$format can only be json; it is "${printable(format)}".`);
  return options;
}

function notSupported(key: string, supported: readonly OptionName[]): string {
  const why = /^\$?expand$/i.test(key) ? ': a securityAction has nothing to expand' : '';
  const names = supported.map((name) => `$${name}`).join(', ');
  return `The query option "${printable(key)}" is not supported here${why}; supported: ${names}.`;
}

/**
 * `filter` and `search` together.
 * @throws UserError `invalidRequest` for one that is not valid
 */
export function filterOf(given: ReadonlyMap<string, string>, sign: ListSurface['sign']): Filter | null {
  const filter = parsed(`${sign}filter`, given.get('filter'), (text) => parseFilter(text, SECURITY_ACTION));
  const search = parsed(`${sign}search`, given.get('search'), (text) =>
    parseSearch(text, SECURITY_ACTION, SEARCHED),
  );
  return filter === null || search === null
    ? (filter ?? search)
    : { kind: 'and', operands: [filter, search] };
}

/** @throws UserError `invalidRequest` for an order that is not valid */
export function orderOf(given: ReadonlyMap<string, string>, sign: ListSurface['sign']): readonly OrderKey[] {
  return parsed(`${sign}orderby`, given.get('orderby'), (text) => parseOrderBy(text, SECURITY_ACTION)) ?? [];
}

function selectionOf(given: ReadonlyMap<OptionName, string>): Selection | null {
  return parsed('$select', given.get('select'), (text) => parseSelect(text, SECURITY_ACTION));
}

function parsed<T>(name: string, text: string | undefined, parse: (text: string) => T): T | null {
  if (text === undefined) return null;
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof ODataSyntaxError)) throw error;
    throw new UserError('invalidRequest', `${name} is not valid ${error.message}.`, { cause: error });
  }
}

function parseSkip(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^\d{1,9}$/.test(text))
    throw new UserError(
      'invalidRequest',
      `$skip has to be a whole number from 0; it is "${printable(text)}".`,
    );
  return Number(text);
}

function parseCount(name: string, text: string | undefined): boolean {
  if (text === undefined || text === 'false') return false;
  if (text === 'true') return true;
  throw new UserError('invalidRequest', `${name} has to be true or false; it is "${printable(text)}".`);
}

/** A caller's text as it may stand in a message. */
export function printable(text: string): string {
  return text.slice(0, 64).replaceAll(/[^\w$@.,;:/[\]-]/g, '?');
}
