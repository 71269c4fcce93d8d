import { createColumnHelper, flexRender, tableFeatures, useTable } from '@tanstack/react-table';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { Link } from '@tanstack/react-router';
import { ArrowDown, ArrowUp } from 'lucide-react';
import { useEffect, useEffectEvent, useLayoutEffect, useRef, useState } from 'react';
import { Button as AriaButton } from 'react-aria-components/Button';
import type { NativeAction } from '../../api/types.ts';
import { usePreferences } from '../../shell/preferences.ts';
import { isElsewhere } from '../../shell/shortcuts.tsx';
import { StatusBadge } from '../../ui/badge.tsx';
import { Button } from '../../ui/button.tsx';
import { classNames } from '../../ui/class-names.ts';
import { Skeleton } from '../../ui/states.tsx';
import { RelativeTime, useNow } from '../../ui/time.tsx';
import { Checkbox } from '../../ui/toggle.tsx';
import styles from './actions-table.module.css';
import type { ListSearch, Sort } from './list-search.ts';
import { isFinal } from './live-rows.ts';
import { Who } from './who.tsx';
import { noteOf, parametersInShort, providerOf, took } from './words.ts';

/** Pixels of a row before it is measured. */
const ROW_HEIGHT = 54;
/** Rows before the end at which the next page is asked for. */
const AHEAD = 25;

export interface ActionsTableProps {
  readonly rows: readonly NativeAction[];
  readonly search: ListSearch;
  readonly onSort: (sort: Sort | undefined) => void;
  readonly isDimmed: boolean;
  /** Where more of them come from. */
  readonly more: {
    readonly hasNextPage: boolean;
    readonly isFetchingNextPage: boolean;
    readonly isFetchNextPageError: boolean;
    readonly error: Error | null;
    readonly fetchNextPage: () => Promise<unknown>;
  };
  /** Called with the ids of the rows on the screen. */
  readonly onVisible: (ids: readonly string[]) => void;
  /** Absent: none can be selected. */
  readonly selected?: ReadonlySet<string>;
  readonly onSelect?: (selected: ReadonlySet<string>) => void;
}

const features = tableFeatures({});
const column = createColumnHelper<typeof features, NativeAction>();
const columns = column.columns([
  column.display({ id: 'status', header: 'Status', cell: ({ row }) => <StatusCell action={row.original} /> }),
  column.display({ id: 'name', header: 'Action', cell: ({ row }) => <NameCell action={row.original} /> }),
  column.accessor(providerOf, { id: 'provider', header: 'Provider' }),
  column.display({ id: 'who', header: 'Requested by', cell: ({ row }) => <Who {...row.original} /> }),
  column.accessor('createdDateTime', {
    header: 'Created',
    cell: ({ getValue }) => <RelativeTime at={getValue()} isPast />,
  }),
  column.display({ id: 'took', header: 'Took', cell: ({ row }) => <TookCell action={row.original} /> }),
  column.accessor(noteOf, { id: 'note', header: 'Why' }),
]);

/** The orders that a heading leads to: first, and pressed again. */
const SORTED: Readonly<Record<string, readonly [Sort, Sort?]>> = {
  createdDateTime: ['newest', 'oldest'],
  name: ['name'],
  status: ['status'],
};

/** The actions, of which only those on the screen are in the page, however many are loaded. */
export function ActionsTable({
  rows,
  search,
  onSort,
  isDimmed,
  more,
  onVisible,
  selected,
  onSelect,
}: ActionsTableProps) {
  const table = useTable({ features, columns, data: rows, getRowId: ({ id }) => id });
  const tableRows = table.getRowModel().rows;
  const body = useRef<HTMLDivElement>(null);
  const [scrollMargin, setScrollMargin] = useState(0);
  // What stands above may grow and shrink at any time.
  useLayoutEffect(() => {
    const measure = (): void => {
      const top = body.current?.getBoundingClientRect().top;
      if (top !== undefined) setScrollMargin(Math.round(top + window.scrollY));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(document.body);
    measure();
    return () => observer.disconnect();
  }, []);
  // The rule is for React's compiler, which is not used.
  // oxlint-disable-next-line react/incompatible-library
  const virtualizer = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => ROW_HEIGHT,
    overscan: 8,
    scrollMargin,
    getItemKey: (index) => rows[index]?.id ?? index,
  });
  const items = virtualizer.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;

  useEffect(() => {
    if (!more.hasNextPage || more.isFetchingNextPage || more.isFetchNextPageError) return;
    if (last >= rows.length - AHEAD) void more.fetchNextPage();
  }, [last, rows.length, more]);
  useEffect(() => {
    onVisible(items.flatMap(({ index }) => rows[index]?.id ?? []));
  });
  const toggle = (id: string): void => {
    if (selected === undefined) return;
    const next = new Set(selected);
    if (!next.delete(id)) next.add(id);
    onSelect?.(next);
  };
  useRowKeys({ rows, scrollTo: (index) => virtualizer.scrollToIndex(index), onToggle: toggle });

  const open = rows.filter(({ status }) => !isFinal(status));
  const chosen = open.filter(({ id }) => selected?.has(id));
  const selectsAll = {
    isSelected: open.length > 0 && chosen.length === open.length,
    isIndeterminate: chosen.length > 0 && chosen.length < open.length,
    isDisabled: open.length === 0,
    onChange: (all: boolean) => onSelect?.(new Set(all ? open.map(({ id }) => id) : [])),
  };
  return (
    <>
      {selected !== undefined && open.length > 0 && (
        <div className={styles['selectAll']}>
          <Checkbox {...selectsAll}>Select all that are not finished</Checkbox>
        </div>
      )}
      <div
        className={classNames(
          styles['table'],
          selected !== undefined && styles['selectable'],
          isDimmed && styles['dimmed'],
        )}
        role="table"
        aria-label="Actions"
        aria-rowcount={more.hasNextPage ? -1 : rows.length + 1}
      >
        <div role="rowgroup" className={styles['head']}>
          <div role="row" className={styles['row']} aria-rowindex={1}>
            {selected !== undefined && (
              <div role="columnheader" className={styles['select']}>
                <Checkbox {...selectsAll} aria-label="Select all loaded actions that are not finished" />
              </div>
            )}
            {table.getHeaderGroups()[0]?.headers.map(({ id, column: { columnDef } }) => (
              <Heading key={id} id={id} title={String(columnDef.header)} search={search} onSort={onSort} />
            ))}
          </div>
        </div>
        <div
          role="rowgroup"
          className={styles['body']}
          ref={body}
          style={{ height: virtualizer.getTotalSize() }}
        >
          {items.map(({ index, start }) => {
            const row = tableRows[index];
            if (row === undefined) return null;
            const action = row.original;
            return (
              <div
                key={row.id}
                ref={virtualizer.measureElement}
                role="row"
                data-index={index}
                aria-rowindex={index + 2}
                className={classNames(styles['row'], selected?.has(action.id) && styles['chosen'])}
                style={{ transform: `translateY(${start - scrollMargin}px)` }}
              >
                {selected !== undefined && (
                  <div role="cell" className={styles['select']}>
                    {!isFinal(action.status) && (
                      <Checkbox
                        aria-label={`Select ${action.name} of ${action.createdDateTime}`}
                        isSelected={selected.has(action.id)}
                        onChange={() => toggle(action.id)}
                      />
                    )}
                  </div>
                )}
                {row.getAllCells().map((cell) => (
                  <div
                    key={cell.id}
                    role="cell"
                    className={classNames(styles['cell'], styles[cell.column.id])}
                    title={titleOf(cell.column.id, action)}
                  >
                    {flexRender(cell.column.columnDef.cell, cell.getContext())}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
        {more.hasNextPage && (
          <div className={styles['more']}>
            {more.isFetchNextPageError ? (
              <>
                <span role="alert">{more.error?.message}</span>
                <Button size="small" onPress={() => void more.fetchNextPage()}>
                  Try again
                </Button>
              </>
            ) : (
              <Skeleton height="1.25rem" width="100%" />
            )}
          </div>
        )}
      </div>
    </>
  );
}

function Heading({
  id,
  title,
  search,
  onSort,
}: {
  readonly id: string;
  readonly title: string;
  readonly search: ListSearch;
  readonly onSort: (sort: Sort | undefined) => void;
}) {
  const [first, second] = SORTED[id] ?? [];
  const sort = search.sort ?? 'newest';
  const isSorted = sort === first || sort === second;
  const isDescending = sort === 'newest';
  const next = sort === first ? (second ?? 'newest') : first;
  return (
    <div
      role="columnheader"
      className={classNames(styles['cell'], styles[id])}
      aria-sort={isSorted ? (isDescending ? 'descending' : 'ascending') : undefined}
    >
      {first === undefined ? (
        title
      ) : (
        <AriaButton className={styles['sort'] ?? ''} onPress={() => onSort(next)}>
          {title}
          {isSorted &&
            (isDescending ? <ArrowDown size={12} aria-hidden /> : <ArrowUp size={12} aria-hidden />)}
        </AriaButton>
      )}
    </div>
  );
}

function StatusCell({ action: { status, phase } }: { readonly action: NativeAction }) {
  return <StatusBadge status={status} phase={phase} />;
}

function NameCell({ action }: { readonly action: NativeAction }) {
  return (
    <>
      <Link to="/actions/$id" params={{ id: action.id }} className={styles['link'] ?? ''} preload={false}>
        {action.name}
      </Link>
      <span className={styles['parameters']}>{parametersInShort(action)}</span>
    </>
  );
}

function TookCell({ action }: { readonly action: NativeAction }) {
  const now = useNow();
  return <span className="figures">{took(action, now)}</span>;
}

/** What may not fit into the cell. */
function titleOf(id: string, action: NativeAction): string | undefined {
  if (id === 'name') return parametersInShort(action);
  if (id === 'note') return noteOf(action);
  if (id === 'who') return action.user ?? undefined;
  return undefined;
}

/** `j` and `k` move the focus from row to row, `x` selects the one that has it. Its link has the focus, so Enter opens it. */
function useRowKeys({
  rows,
  scrollTo,
  onToggle,
}: {
  readonly rows: readonly NativeAction[];
  readonly scrollTo: (index: number) => void;
  readonly onToggle: (id: string) => void;
}): void {
  const [{ shortcuts }] = usePreferences();
  /** The row that had the focus last: it may be out of the page by now. */
  const current = useRef(-1);
  const wanted = useRef(-1);
  const focus = (index: number): boolean => {
    const link = document.querySelector<HTMLElement>(`[role=row][data-index="${index}"] a`);
    link?.focus({ preventScroll: true });
    return link !== null;
  };
  // A row that was far away is in the page after it was scrolled to.
  useEffect(() => {
    if (wanted.current >= 0 && focus(wanted.current)) wanted.current = -1;
  });
  const onKey = useEffectEvent((event: KeyboardEvent) => {
    if (!shortcuts || isElsewhere(event) || !['j', 'k', 'x'].includes(event.key)) return;
    const row = document.activeElement?.closest<HTMLElement>('[role=row][data-index]');
    const index = row === null || row === undefined ? current.current : Number(row.dataset['index']);
    if (event.key === 'x') {
      const action = rows[index];
      if (row !== null && action !== undefined && !isFinal(action.status)) onToggle(action.id);
      return;
    }
    event.preventDefault();
    const next = Math.max(0, Math.min(rows.length - 1, index + (event.key === 'j' ? 1 : -1)));
    current.current = next;
    scrollTo(next);
    if (!focus(next)) wanted.current = next;
  });
  useEffect(() => {
    const listener = (event: KeyboardEvent): void => onKey(event);
    document.addEventListener('keydown', listener);
    return () => document.removeEventListener('keydown', listener);
  }, []);
}
