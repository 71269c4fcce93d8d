import { UserError, type ListPosition } from '#domain';
import { isGuid } from '#persistence';

const DEFAULT_TOP = 100;
const MOST_TOP = 1000;
const NOT_OFFERED = ['filter', 'orderby', 'select', 'skip', 'count', 'search', 'expand', 'apply', 'format'];

/** What a list request asks for. */
export interface ListOptions {
  readonly top: number;
  readonly after: ListPosition | null;
}

/**
 * Reads the OData options of a list. The `$` is optional, as on Graph's beta.
 * @throws UserError for an option that is not supported (ignoring a filter would return what was not asked for),
 * given twice, or not valid
 */
export function parseListOptions(query: Readonly<Record<string, unknown>>): ListOptions {
  const options = new Map<string, string>();
  for (const [key, value] of Object.entries(query)) {
    const name = key.startsWith('$') ? key.slice(1) : key;
    if (NOT_OFFERED.includes(name) || (key.startsWith('$') && !['top', 'skiptoken'].includes(name))) {
      throw new UserError('invalidRequest', `The query option "${key}" is not supported; supported: $top.`);
    }
    if (typeof value !== 'string' || options.has(name))
      throw new UserError('invalidRequest', `The query option "${key}" is given twice.`);
    options.set(name, value);
  }
  return {
    top: parseTop('$top', options.get('top')),
    after: parseSkipToken('$skiptoken', '@odata.nextLink', options.get('skiptoken')),
  };
}

/** The opaque position behind the last action of a page. It carries no tenancy: every read adds the caller's own. */
export function skipTokenOf(position: ListPosition): string {
  return Buffer.from(`${position.at.getTime()} ${position.id}`).toString('base64url');
}

/**
 * How many actions a page may have: 100 where nothing is said, never more than 1,000.
 * @throws UserError `invalidRequest` that calls the option `name`
 */
export function parseTop(name: string, text: string | undefined): number {
  if (text === undefined) return DEFAULT_TOP;
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new UserError('invalidRequest', `${name} has to be a whole number from 1; it is "${text}".`);
  return Math.min(Number(text), MOST_TOP);
}

/**
 * Reads what {@link skipTokenOf} made; null for none.
 * @throws UserError `invalidRequest` that calls the option `name`, and the link it comes from `link`
 */
export function parseSkipToken(name: string, link: string, text: string | undefined): ListPosition | null {
  if (text === undefined) return null;
  const [time, id, more] = Buffer.from(text, 'base64url').toString('utf8').split(' ');
  if (
    time === undefined ||
    id === undefined ||
    more !== undefined ||
    !/^\d{1,15}$/.test(time) ||
    !isGuid(id)
  ) {
    throw new UserError('invalidRequest', `${name} is not one of ours: follow ${link} as it is.`);
  }
  return { at: new Date(Number(time)), id };
}
