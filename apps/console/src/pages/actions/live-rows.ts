import type { ActionPhase, ActionStatus, NativeAction, Page } from '../../api/types.ts';
import type { ChangedAction } from '../../live/events.ts';
import type { ListSearch } from './list-search.ts';

/** The pages of a list that were loaded, as the infinite query keeps them. */
export interface LoadedPages {
  readonly pages: readonly Page<NativeAction>[];
  readonly pageParams: readonly unknown[];
}

/**
 * A row as it is after a change. What the change does not tell, as an error's text, is as it was before; what cannot be
 * true any more is taken away. A change that is older than the row changes nothing.
 */
export function patchRow(row: NativeAction, change: ChangedAction): NativeAction {
  if (Date.parse(change.lastActionDateTime) < Date.parse(row.lastActionDateTime)) return row;
  const status = change.status as ActionStatus;
  const phase = change.phase as ActionPhase;
  if (status === row.status && phase === row.phase && change.unresolved === row.unresolved) return row;
  const hasEnded = isFinal(status);
  return {
    ...row,
    status,
    phase,
    unresolved: change.unresolved,
    lastActionDateTime: change.lastActionDateTime,
    completedDateTime: hasEnded
      ? (row.completedDateTime ?? change.lastActionDateTime)
      : row.completedDateTime,
    // Why it waited in another phase is not why it waits in this one.
    waiting: hasEnded || phase !== row.phase ? null : row.waiting,
  };
}

/** The pages with the rows that changed, each in its place. The same pages where none of them is there. */
export function patchPages<Pages extends LoadedPages>(
  pages: Pages,
  changes: readonly ChangedAction[],
): Pages {
  const byId = new Map(changes.map((change) => [change.id, change]));
  return mapRows(pages, (row) => {
    const change = byId.get(row.id);
    return change === undefined ? row : patchRow(row, change);
  });
}

/** The pages with one row as it was loaded anew. */
export function replaceRow<Pages extends LoadedPages>(pages: Pages, fresh: NativeAction): Pages {
  return mapRows(pages, (row) => (row.id === fresh.id ? fresh : row));
}

/**
 * Ids of those among the changes that the list would show above what it shows now: they are not loaded, and were made
 * after the first of it, or changed in a list by change. What a change does not tell (who, search, a filter of one's own)
 * is taken to hold.
 */
export function newToList(
  loaded: readonly NativeAction[],
  changes: readonly ChangedAction[],
  search: ListSearch,
  instanceOf: (provider: string) => string | undefined,
): readonly string[] {
  const { sort = 'newest', status, phase, name, provider } = search;
  if (sort !== 'newest' && sort !== 'changed') return [];
  const ids = new Set(loaded.map(({ id }) => id));
  const [first] = loaded;
  return changes
    .filter((change) => {
      if (ids.has(change.id)) return false;
      if (sort === 'newest' && first !== undefined && change.createdDateTime <= first.createdDateTime)
        return false;
      return (
        (status?.includes(change.status as ActionStatus) ?? true) &&
        (phase === undefined || phase === change.phase) &&
        (name === undefined || name.toLowerCase() === change.name.toLowerCase()) &&
        (provider === undefined || instanceOf(provider) === change.providerInstance)
      );
    })
    .map(({ id }) => id);
}

/** Whether the action has ended. */
export function isFinal(status: ActionStatus): boolean {
  return status === 'Completed' || status === 'Failed';
}

function mapRows<Pages extends LoadedPages>(
  pages: Pages,
  change: (row: NativeAction) => NativeAction,
): Pages {
  let isChanged = false;
  const next = pages.pages.map((page) => {
    let isPageChanged = false;
    const value = page.value.map((row) => {
      const after = change(row);
      isPageChanged ||= after !== row;
      return after;
    });
    isChanged ||= isPageChanged;
    return isPageChanged ? { ...page, value } : page;
  });
  return isChanged ? { ...pages, pages: next } : pages;
}
