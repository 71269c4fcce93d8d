import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { PartyPopper, Stamp } from 'lucide-react';
import { useState } from 'react';
import { pathOf, request } from '../../api/client.ts';
import type { NativeAction, Page as PageOf } from '../../api/types.ts';
import { useActionChanges } from '../../live/live.tsx';
import { useMay } from '../../session/session.tsx';
import { StatusBadge } from '../../ui/badge.tsx';
import { Banner } from '../../ui/banner.tsx';
import { Button } from '../../ui/button.tsx';
import { Card } from '../../ui/card.tsx';
import { KeyValue } from '../../ui/key-value.tsx';
import { Page } from '../../ui/page.tsx';
import { EmptyState, ErrorState, SkeletonLines } from '../../ui/states.tsx';
import { AbsoluteTime, RelativeTime } from '../../ui/time.tsx';
import { ResolveDialog } from '../actions/resolve-dialog.tsx';
import { Who } from '../actions/who.tsx';
import { parametersInShort } from '../actions/words.ts';
import styles from './inbox.module.css';

const FIRST = '/api/v1/actions?unresolved=true&top=25';
const INBOX = ['inbox'];

/** The actions of which nobody can say whether they were applied, until somebody has looked at their targets. */
export function InboxPage() {
  const queries = useQueryClient();
  const mayAct = useMay('Operator');
  const [resolving, setResolving] = useState<NativeAction | null>(null);
  const list = useInfiniteQuery({
    queryKey: INBOX,
    queryFn: ({ pageParam, signal }) => request<PageOf<NativeAction>>(pageParam, { signal }),
    initialPageParam: FIRST,
    getNextPageParam: ({ nextLink }) => (nextLink === undefined ? undefined : pathOf(nextLink)),
  });
  const actions = list.data?.pages.flatMap(({ value }) => value) ?? [];
  useActionChanges((changes) => {
    const shown = new Set(actions.map(({ id }) => id));
    if (changes.some(({ id, unresolved }) => unresolved !== shown.has(id)))
      void queries.invalidateQueries({ queryKey: INBOX });
  });
  return (
    <Page
      title="Inbox"
      note="It is not known whether these were applied, and Riposte does not guess. Check each target and record what you found."
    >
      {list.data === undefined ? (
        <Card>
          {list.isError ? (
            <ErrorState error={list.error} onRetry={() => void list.refetch()} />
          ) : (
            <SkeletonLines lines={6} />
          )}
        </Card>
      ) : actions.length === 0 ? (
        <Card>
          <EmptyState icon={PartyPopper} title="Nothing to check">
            The outcome of every action is known. An action whose outcome is unknown stays here until someone
            has checked it.
          </EmptyState>
        </Card>
      ) : (
        <>
          {list.isError && (
            <Banner tone="warning" title="This may be out of date">
              {list.error.message}
            </Banner>
          )}
          <ul className={styles['list']}>
            {actions.map((action) => (
              <li key={action.id}>
                <Unresolved action={action} {...(mayAct ? { onResolve: () => setResolving(action) } : {})} />
              </li>
            ))}
          </ul>
          {list.hasNextPage && (
            <div className={styles['more']}>
              <Button isPending={list.isFetchingNextPage} onPress={() => void list.fetchNextPage()}>
                Show more
              </Button>
            </div>
          )}
        </>
      )}
      {resolving !== null && (
        <ResolveDialog key={resolving.id} action={resolving} onClose={() => setResolving(null)} />
      )}
    </Page>
  );
}

function Unresolved({
  action,
  onResolve,
}: {
  readonly action: NativeAction;
  readonly onResolve?: () => void;
}) {
  const { id, name, providerInstance, errorInfo, attempts, completedDateTime, effectUntil } = action;
  const issued = attempts.at(-1)?.startedAt;
  return (
    <Card>
      <div className={styles['head']}>
        <div className={styles['names']}>
          <h2>
            <Link to="/actions/$id" params={{ id }}>
              {name}
            </Link>
          </h2>
          <StatusBadge status={action.status} phase={action.phase} />
          {completedDateTime !== null && (
            <span className={styles['note']}>
              <RelativeTime at={completedDateTime} isPast />
            </span>
          )}
        </div>
        {onResolve !== undefined && (
          <Button
            variant="primary"
            onPress={onResolve}
            aria-label={`Resolve ${name} ${parametersInShort(action)}`}
          >
            <Stamp size={15} aria-hidden />
            Resolve …
          </Button>
        )}
      </div>
      <p className={styles['message']}>{errorInfo?.message ?? 'No message was given.'}</p>
      <div className={styles['check']}>
        <h3>What to check at {providerInstance}</h3>
        <ol className={styles['steps'] ?? ''}>
          <li>
            Is the effect of {name} in place{' '}
            {action.parameters.length === 0 ? (
              'there'
            ) : (
              <>
                for <strong>{parametersInShort(action)}</strong>
              </>
            )}
            ?
          </li>
          <li>
            If the vendor keeps a log, search it for <code>{id}</code>: requests are tagged with it where the
            vendor allows.
          </li>
        </ol>
        <KeyValue
          facts={[
            ['Sent', issued === undefined ? null : <AbsoluteTime key="issued" at={issued} />],
            ['Requested by', <Who key="who" {...action} />],
            ['Reason', action.actionReason],
            ['Effect until', effectUntil === null ? null : <AbsoluteTime key="until" at={effectUntil} />],
          ]}
        />
      </div>
    </Card>
  );
}
