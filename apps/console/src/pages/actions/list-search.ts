import { withQuery } from '../../api/client.ts';
import type { ActionPhase, ActionStatus } from '../../api/types.ts';

/** What the list of actions can be narrowed to, as its address has it. */
export interface ListSearch {
  readonly status?: readonly ActionStatus[];
  readonly phase?: ActionPhase;
  /** `vendor/provider`, and `/subProvider` where there is one. */
  readonly provider?: string;
  /** Of the action. */
  readonly name?: string;
  /** Created within the last so long. */
  readonly within?: Period;
  /** Created from and before then, ISO 8601. */
  readonly from?: string;
  readonly to?: string;
  /** A person's or an application's name or id. */
  readonly who?: string;
  /** As `$search` has it. */
  readonly q?: string;
  /** A `$filter` of one's own. */
  readonly filter?: string;
  readonly sort?: Sort;
}

const PERIODS = { '1h': 3_600_000, '24h': 86_400_000, '7d': 7 * 86_400_000, '30d': 30 * 86_400_000 };
export type Period = keyof typeof PERIODS;

/** Orders of the list. The first two are read along an index, however many actions there are. */
const SORTS = {
  newest: 'createdDateTime desc',
  changed: 'lastActionDateTime desc',
  oldest: 'createdDateTime asc',
  name: 'name asc',
  status: 'status asc',
} as const;
export type Sort = keyof typeof SORTS;

export const STATUSES: readonly ActionStatus[] = ['NotStarted', 'Running', 'Completed', 'Failed'];
export const PHASE_NAMES: readonly ActionPhase[] = [
  'queued',
  'throttled',
  'executing',
  'waitingOnVendor',
  'retrying',
  'cancelling',
  'done',
  'failed',
  'cancelled',
  'cancelledAtProvider',
  'timedOut',
  'expired',
  'outcomeUnknown',
  'poisoned',
];

/** Reads an address. What it cannot mean is left out, for anybody may have typed it; so letters may be of any case. */
export function parseListSearch(search: Readonly<Record<string, unknown>>): ListSearch {
  const { status, phase, within, sort } = search;
  const asked = [status].flat();
  const statuses = STATUSES.filter((one) => asked.some((typed) => isSameWord(one, typed)));
  const knownPhase = PHASE_NAMES.find((one) => isSameWord(one, phase));
  return {
    ...(statuses.length === 0 ? {} : { status: statuses }),
    ...(knownPhase === undefined ? {} : { phase: knownPhase }),
    ...textsOf(search, ['provider', 'name', 'who', 'q', 'filter']),
    ...timesOf(search),
    ...(isKey(PERIODS, within) ? { within } : {}),
    ...(isKey(SORTS, sort) && sort !== 'newest' ? { sort } : {}),
  };
}

/**
 * The `$filter` that the choices mean, all of which have to hold; undefined: there is none.
 * @param now milliseconds since 1970, from which `within` counts
 */
export function filterOf(search: ListSearch, now: number): string | undefined {
  const { status = [], name, provider, within, from, to, who, filter } = search;
  const [vendor, ofVendor, subProvider] = provider?.split('/') ?? [];
  const since = within === undefined ? from : new Date(now - PERIODS[within]).toISOString();
  const conditions = [
    ...(status.length === 0 ? [] : [oneOf('status', status)]),
    ...(name === undefined ? [] : [inAnyCase('name', name)]),
    ...(vendor === undefined ? [] : [inAnyCase('vendorInformation/vendor', vendor)]),
    ...(ofVendor === undefined ? [] : [inAnyCase('vendorInformation/provider', ofVendor)]),
    ...(subProvider === undefined ? [] : [inAnyCase('vendorInformation/subProvider', subProvider)]),
    ...(since === undefined ? [] : [`createdDateTime ge ${since}`]),
    ...(to === undefined || within !== undefined ? [] : [`createdDateTime lt ${to}`]),
    ...(who === undefined ? [] : [byWhom(who)]),
    ...(filter === undefined ? [] : [`(${filter})`]),
  ];
  return conditions.length === 0 ? undefined : conditions.join(' and ');
}

/** The path of the list's first page. */
export function listPath(search: ListSearch, now: number, top: number): string {
  return withQuery('/api/v1/actions', { ...parametersOf(search, now), top });
}

/** The path that counts what the list has in all. */
export function countPath(search: ListSearch, now: number): string {
  return withQuery('/api/v1/actions', { ...parametersOf(search, now), top: 1, count: true });
}

/** The path of the same list as a file. */
export function exportPath(search: ListSearch, now: number, format: 'csv' | 'ndjson'): string {
  return withQuery('/api/v1/actions/export', { format, ...parametersOf(search, now) });
}

function parametersOf(search: ListSearch, now: number) {
  const { phase, q, sort = 'newest' } = search;
  return {
    filter: filterOf(search, now),
    phase,
    search: q,
    orderby: sort === 'newest' ? undefined : SORTS[sort],
  };
}

/** How many of the choices narrow the list. */
export function countChoices(search: ListSearch): number {
  return Object.keys(search).filter((key) => key !== 'sort').length;
}

/** A text as a literal of `$filter`. */
function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Names are kept as they were sent, which may be in any case. */
function inAnyCase(property: string, value: string): string {
  return `tolower(${property}) eq ${literal(value.toLowerCase())}`;
}

function oneOf(property: string, values: readonly string[]): string {
  const [only] = values;
  return values.length === 1 && only !== undefined
    ? `${property} eq ${literal(only)}`
    : `${property} in (${values.map(literal).join(',')})`;
}

/** An application is known by its id, a person by a name of which one knows a part. */
function byWhom(who: string): string {
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(who))
    return `appId eq ${literal(who.toLowerCase())}`;
  return `contains(tolower(user),${literal(who.toLowerCase())})`;
}

function textsOf<Key extends string>(
  search: Readonly<Record<string, unknown>>,
  keys: readonly Key[],
): { readonly [K in Key]?: string } {
  const texts: { [K in Key]?: string } = {};
  for (const key of keys) {
    const value = search[key];
    // The router reads what looks like a number as one.
    const text = typeof value === 'number' ? String(value) : value;
    if (typeof text === 'string' && text.trim() !== '') texts[key] = text.trim();
  }
  return texts;
}

function timesOf(search: Readonly<Record<string, unknown>>): {
  readonly from?: string;
  readonly to?: string;
} {
  const { from, to } = search;
  return { ...(isTime(from) ? { from } : {}), ...(isTime(to) ? { to } : {}) };
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT.*Z$/.test(value) && !Number.isNaN(Date.parse(value));
}

function isSameWord(known: string, typed: unknown): boolean {
  return typeof typed === 'string' && typed.toLowerCase() === known.toLowerCase();
}

function isKey<T extends object>(of: T, key: unknown): key is keyof T {
  return typeof key === 'string' && Object.hasOwn(of, key);
}
