import { UserError, type ActionStore, type SecurityAction } from '#domain';
import type { OrderKey } from '#odata';
import type { ActionSearch, SearchPosition } from '#persistence';
import { URL_LIMIT } from '../http/limits.js';
import { KEPT_IN_ACTION, type PositionValue, type SkipTokens, type TokenPosition } from '../skip-tokens.js';
import type { ListOptions } from './list-options.js';
import { toGraph } from './security-action.dto.js';

/** Characters of a text that a skip token carries; a longer one would make its address too long to be asked for. */
const LONGEST_CARRIED = 64;

/** One page of a list. */
export interface ListPage {
  readonly actions: readonly SecurityAction[];
  /** How many there are in all; null when it was not asked for. */
  readonly count: number | null;
  /** The query of the next page, without a `?`; null on the last. */
  readonly nextQuery: string | null;
}

/** Reads the pages of a surface's lists, and remembers where they end in signed tokens. */
export class ListActions {
  constructor(
    private readonly parts: {
      readonly store: ActionStore;
      readonly search: ActionSearch;
      readonly skipTokens: SkipTokens;
    },
  ) {}

  /**
   * @throws UserError `invalidRequest` for a token that is not ours or belongs to another question, for what the
   * database cannot answer within its bound, and where the next page's address would be too long to be followed
   */
  async page(tenantId: string, options: ListOptions, path: string): Promise<ListPage> {
    const { filter, only, order, top, skip } = options;
    const after = await this.#positionOf(tenantId, options);
    const [page, count] = await Promise.all([
      this.parts.search.page(tenantId, { filter, only, order, top, skip, after }),
      options.count ? this.parts.search.count(tenantId, filter, only) : null,
    ]);
    return {
      actions: page.actions,
      count,
      nextQuery: page.next === null ? null : this.#nextQuery(options, page.next, path),
    };
  }

  async #positionOf(tenantId: string, options: ListOptions): Promise<SearchPosition | null> {
    if (options.skipToken === null) return null;
    const { sign, nextLink } = options.surface;
    const position = this.parts.skipTokens.read(options.skipToken, questionOf(options), {
      name: `${sign}skiptoken`,
      link: nextLink,
    });
    if (!position.values.includes(KEPT_IN_ACTION)) return position as SearchPosition;
    const action = await this.parts.store.find(tenantId, position.id);
    if (action === null) {
      throw new UserError(
        'invalidRequest',
        `The action that the page before ended with is gone. Begin the list again without ${sign}skiptoken.`,
      );
    }
    return completed(position, action, options.order);
  }

  #nextQuery(options: ListOptions, next: SearchPosition, path: string): string {
    const token = this.parts.skipTokens.issue(
      { id: next.id, values: next.values.map(carried) },
      questionOf(options),
    );
    // What was skipped lies before the token's position.
    const kept = [...options.given].filter(([name]) => name !== 'skip' && name !== 'skiptoken');
    const query = [...kept, ['skiptoken', token] as const]
      .map(([name, text]) => `${options.surface.sign}${name}=${encodedValue(text)}`)
      .join('&');
    if (path.length + 1 + query.length > URL_LIMIT) {
      throw new UserError(
        'invalidRequest',
        `The address of the next page would be longer than ${URL_LIMIT} characters. Shorten the query, or ask for fewer actions than there are by a larger ${options.surface.sign}top.`,
      );
    }
    return query;
  }
}

/** What the token is bound to: another page size or selection is the same list still. */
function questionOf({ surface, given }: ListOptions): readonly (string | null)[] {
  return [
    surface.name,
    ...['filter', 'search', 'orderby', 'phase', 'unresolved'].map((name) => given.get(name) ?? null),
  ];
}

function carried(value: PositionValue): PositionValue {
  return typeof value === 'string' && value.length > LONGEST_CARRIED ? KEPT_IN_ACTION : value;
}

/** Only texts are left in the action, and no text of it changes once it is there. */
function completed(
  position: TokenPosition,
  action: SecurityAction,
  order: readonly OrderKey[],
): SearchPosition {
  const shown = toGraph(action);
  return {
    id: position.id,
    values: position.values.map((value, index) => {
      if (value !== KEPT_IN_ACTION) return value;
      const path = order[index]?.property.path ?? [];
      return path.reduce<unknown>(
        (within, name) => (within as Readonly<Record<string, unknown>>)[name],
        shown,
      ) as string;
    }),
  };
}

/** Percent-encoded, but for what may stand in a query as it is and makes a filter readable. */
function encodedValue(text: string): string {
  return encodeURIComponent(text).replaceAll(/%(?:2F|3A|2C|24|40)/g, decodeURIComponent);
}
