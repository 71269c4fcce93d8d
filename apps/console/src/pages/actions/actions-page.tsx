import { getRouteApi } from '@tanstack/react-router';
import { ArrowUp, Plus, RefreshCw } from 'lucide-react';
import { useState } from 'react';
import { ApiError } from '../../api/api-error.ts';
import { useMay } from '../../session/session.tsx';
import { Banner } from '../../ui/banner.tsx';
import { Button, IconButton, LinkButton } from '../../ui/button.tsx';
import { count, plural } from '../../ui/format.ts';
import { Page } from '../../ui/page.tsx';
import { EmptyState, ErrorState, SkeletonLines } from '../../ui/states.tsx';
import styles from './actions-page.module.css';
import { ActionsTable } from './actions-table.tsx';
import { CancelManyDialog } from './cancel-many-dialog.tsx';
import { CountButton } from './count-button.tsx';
import { ExportMenu } from './export-menu.tsx';
import { FilterBar } from './filter-bar.tsx';
import { countChoices, parseListSearch, type ListSearch } from './list-search.ts';
import { isFinal } from './live-rows.ts';
import { MOST_FRESH, useActions } from './use-actions.ts';
import { ViewsMenu } from './views-menu.tsx';

const route = getRouteApi('/shell/actions');

/** The tenant's actions, as they are now, narrowed by what the address says. */
export function ActionsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const mayAct = useMay('Operator');
  const { list, rows, freshCount, isRestarting, restart, onVisible } = useActions(search);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [isCancelling, setCancelling] = useState(false);
  const chosen = rows.filter(({ id, status }) => selected.has(id) && !isFinal(status));
  const change = (next: ListSearch): void => {
    setSelected(new Set());
    void navigate({ search: parseListSearch({ ...next }), replace: true });
  };

  return (
    <Page
      title="Actions"
      actions={
        <>
          <ViewsMenu search={search} onChoose={change} />
          <ExportMenu search={search} />
          {mayAct && (
            <LinkButton variant="primary" href="/actions/new">
              <Plus size={16} aria-hidden />
              New action
            </LinkButton>
          )}
        </>
      }
    >
      <FilterBar search={search} onChange={change} />
      <div className={styles['list']}>
        <div className={styles['status']}>
          <p role="status">
            {rows.length > 0 &&
              (list.hasNextPage ? `The first ${count(rows.length)}` : plural(rows.length, 'action'))}
          </p>
          {list.hasNextPage && <CountButton key={JSON.stringify(search)} search={search} />}
          <IconButton
            label="Reload"
            size="small"
            isPending={isRestarting}
            onPress={() => {
              void restart();
            }}
          >
            <RefreshCw size={14} aria-hidden />
          </IconButton>
        </div>
        {freshCount > 0 && (
          <div className={styles['fresh']}>
            <Button
              size="small"
              variant="primary"
              onPress={() => {
                window.scrollTo({ top: 0 });
                void restart();
              }}
            >
              <ArrowUp size={14} aria-hidden />
              {count(Math.min(freshCount, MOST_FRESH))}
              {freshCount >= MOST_FRESH && '+'} {search.sort === 'changed' ? 'changed' : 'new'}, show
            </Button>
          </div>
        )}
        {list.isError && rows.length > 0 && !list.isFetchNextPageError && (
          <Banner tone="warning" title="This may be out of date">
            {list.error.message}
          </Banner>
        )}
        <div className={styles['card']} aria-busy={list.isFetching}>
          {list.isPending ? (
            <div className={styles['loading']}>
              <SkeletonLines lines={8} height="2rem" />
            </div>
          ) : list.isError && rows.length === 0 ? (
            <ErrorState
              error={list.error}
              {...(list.error instanceof ApiError && list.error.status === 400
                ? { title: 'This combination of filters cannot be listed' }
                : {})}
              onRetry={() => void list.refetch()}
              actions={
                countChoices(search) > 0 || search.sort !== undefined ? (
                  <Button onPress={() => change({})}>Show all, newest first</Button>
                ) : undefined
              }
            />
          ) : rows.length === 0 ? (
            <Nothing search={search} onClear={() => change({})} mayAct={mayAct} />
          ) : (
            <ActionsTable
              rows={rows}
              search={search}
              onSort={(sort) => change({ ...search, ...(sort === undefined ? {} : { sort }) })}
              isDimmed={list.isPlaceholderData}
              more={list}
              onVisible={onVisible}
              {...(mayAct ? { selected, onSelect: setSelected } : {})}
            />
          )}
        </div>
        {rows.length > 0 && (
          <p className={styles['keys']}>
            <kbd>j</kbd> <kbd>k</kbd> move · <kbd>Enter</kbd> opens
            {mayAct && (
              <>
                {' '}
                · <kbd>x</kbd> selects
              </>
            )}{' '}
            · <kbd>/</kbd> searches · <kbd>?</kbd> more
          </p>
        )}
      </div>
      {chosen.length > 0 && (
        <div className={styles['selection']} role="region" aria-label="Selected actions">
          <strong>{plural(chosen.length, 'action')} selected</strong>
          <Button variant="quiet" size="small" onPress={() => setSelected(new Set())}>
            Clear
          </Button>
          <Button variant="danger" size="small" onPress={() => setCancelling(true)}>
            Cancel {chosen.length === 1 ? 'it' : 'them'} …
          </Button>
        </div>
      )}
      {isCancelling && (
        <CancelManyDialog
          actions={chosen}
          onClose={(isDone) => {
            setCancelling(false);
            if (isDone) setSelected(new Set());
          }}
        />
      )}
    </Page>
  );
}

function Nothing({
  search,
  onClear,
  mayAct,
}: {
  readonly search: ListSearch;
  readonly onClear: () => void;
  readonly mayAct: boolean;
}) {
  return countChoices(search) > 0 ? (
    <EmptyState title="No matching actions" actions={<Button onPress={onClear}>Show all</Button>}>
      No action of this tenant matches all of these filters.
    </EmptyState>
  ) : (
    <EmptyState
      title="No actions yet"
      actions={mayAct ? <LinkButton href="/actions/new">Create the first one</LinkButton> : undefined}
    >
      Actions requested here or by an application through the API appear here and stay listed after they
      finish.
    </EmptyState>
  );
}
