import { useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { ArrowUpRight, Ban, CopyPlus, RotateCcw, Stamp } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { request } from '../../api/client.ts';
import { actionQuery } from '../../api/queries.ts';
import type { ActionDetails, NativeAction } from '../../api/types.ts';
import { useLiveState } from '../../live/live.tsx';
import { useMay } from '../../session/session.tsx';
import { StatusBadge } from '../../ui/badge.tsx';
import { Banner } from '../../ui/banner.tsx';
import { Button, LinkButton } from '../../ui/button.tsx';
import { Card } from '../../ui/card.tsx';
import { CodeBlock } from '../../ui/code-block.tsx';
import { Copyable } from '../../ui/copyable.tsx';
import { ConfirmDialog } from '../../ui/dialog.tsx';
import { Disclosure } from '../../ui/disclosure.tsx';
import { KeyValue } from '../../ui/key-value.tsx';
import { Meter } from '../../ui/meter.tsx';
import { Page } from '../../ui/page.tsx';
import { ErrorState, SkeletonLines } from '../../ui/states.tsx';
import { AbsoluteTime, RelativeTime, useNow } from '../../ui/time.tsx';
import { toast } from '../../ui/toast.tsx';
import styles from './action-page.module.css';
import { isFinal } from './live-rows.ts';
import { Observation } from './observation.tsx';
import { ResolveDialog } from './resolve-dialog.tsx';
import { timelineOf } from './timeline.ts';
import { Timeline } from './timeline-list.tsx';
import { WaitingCard } from './waiting-card.tsx';
import { ApplicationFact, Who, useApplicationNames } from './who.tsx';
import { providerOf, took } from './words.ts';

/** Milliseconds after which what an action waits for is asked again: its place moves without a change of its own. */
const ASKED_EVERY_MS = { live: 10_000, otherwise: 3000 };

const route = getRouteApi('/shell/actions/$id');
const BACK = { href: '/actions', label: 'Actions' };

/** One action: where it is, why, what happened, and what can be done with it. */
export function ActionPage() {
  const { id } = route.useParams();
  const isLive = useLiveState() === 'live';
  const query = useQuery({
    ...actionQuery(id),
    refetchInterval: ({ state: { data } }) =>
      data !== undefined && isFinal(data.status)
        ? false
        : isLive
          ? ASKED_EVERY_MS.live
          : ASKED_EVERY_MS.otherwise,
  });
  if (query.data === undefined) {
    return (
      <Page title="Action" back={BACK}>
        <Card>
          {query.isError ? (
            <ErrorState error={query.error} onRetry={() => void query.refetch()} />
          ) : (
            <SkeletonLines lines={8} />
          )}
        </Card>
      </Page>
    );
  }
  return <Shown key={id} action={query.data} problem={query.isError ? query.error : null} />;
}

function Shown({ action, problem }: { readonly action: ActionDetails; readonly problem: Error | null }) {
  const { waiting, errorInfo, resolution } = action;
  const nameOf = useApplicationNames();
  return (
    <Page
      title={action.name}
      back={BACK}
      beside={<StatusBadge status={action.status} phase={action.phase} />}
      note={
        <>
          {providerOf(action)} · requested <RelativeTime at={action.createdDateTime} isPast /> by{' '}
          <Who {...action} />
        </>
      }
      actions={<WhatCanBeDone action={action} />}
    >
      {problem !== null && (
        <Banner tone="warning" title="This may be out of date">
          {problem.message}
        </Banner>
      )}
      <div className={styles['columns']}>
        <div className={styles['column']}>
          {waiting !== null && <WaitingCard action={action} waiting={waiting} />}
          {errorInfo !== null && <FailureCard action={action} />}
          {resolution !== null && (
            <Banner
              tone={resolution.verdict === 'applied' ? 'success' : 'neutral'}
              title={
                resolution.verdict === 'applied' ? 'Checked: it was applied' : 'Checked: it was not applied'
              }
            >
              {resolution.note} (<Who {...resolution.by} />, <RelativeTime at={resolution.at} isPast />)
            </Banner>
          )}
          <div className={styles['story']}>
            <Card title="What happened">
              <Timeline entries={timelineOf(action, nameOf)} />
            </Card>
            <Answers action={action} />
            <Observation action={action} />
          </div>
          <div className={styles['record']}>
            <Card>
              <Disclosure title="Full record (JSON)" level={2}>
                <CodeBlock label="the record" text={JSON.stringify(action, null, 2)} />
              </Disclosure>
            </Card>
          </div>
        </div>
        <div className={styles['column']}>
          <Card title="Parameters">
            <Parameters action={action} />
          </Card>
          <div className={styles['facts']}>
            <Card title="Details">
              <Facts action={action} />
            </Card>
          </div>
        </div>
      </div>
    </Page>
  );
}

function WhatCanBeDone({ action }: { readonly action: ActionDetails }) {
  const mayAct = useMay('Operator');
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [open, setOpen] = useState<'cancel' | 'revert' | 'resolve' | null>(null);
  const close = (): void => setOpen(null);
  const { id, cancellation, reversal } = action;
  if (!mayAct) return null;
  const cancel = async (): Promise<void> => {
    const after = await request<NativeAction>(`/api/v1/actions/${id}/cancel`, { method: 'POST' });
    await queries.invalidateQueries({ queryKey: ['action', id] });
    toast(isFinal(after.status) ? 'Cancelled.' : 'Cancel requested. This page shows the outcome.');
  };
  const revert = async (): Promise<void> => {
    const undoing = await request<NativeAction>(`/api/v1/actions/${id}/revert`, { method: 'POST' });
    await queries.invalidateQueries({ queryKey: ['action', id] });
    toast('This action undoes the earlier one.');
    await navigate({ to: '/actions/$id', params: { id: undoing.id } });
  };
  return (
    <>
      <LinkButton href={`/actions/new?from=${id}`}>
        <CopyPlus size={15} aria-hidden />
        Duplicate
      </LinkButton>
      {reversal.possible && (
        <Button onPress={() => setOpen('revert')}>
          <RotateCcw size={15} aria-hidden />
          Undo …
        </Button>
      )}
      {action.unresolved && (
        <Button variant="primary" onPress={() => setOpen('resolve')}>
          <Stamp size={15} aria-hidden />
          Resolve …
        </Button>
      )}
      {cancellation.possible && (
        <Button variant="danger" onPress={() => setOpen('cancel')}>
          <Ban size={15} aria-hidden />
          Cancel …
        </Button>
      )}
      <ConfirmDialog
        title={`Cancel ${action.name}?`}
        isOpen={open === 'cancel'}
        onClose={close}
        confirm={cancellation.means === 'stopsBeforeIssue' ? 'Cancel it' : 'Request cancel'}
        isDangerous
        onConfirm={cancel}
      >
        <p>{cancellation.message}</p>
      </ConfirmDialog>
      <ConfirmDialog
        title={`Undo ${action.name}?`}
        isOpen={open === 'revert'}
        onClose={close}
        confirm="Undo it"
        onConfirm={revert}
      >
        <p>{reversal.message}</p>
        <p>A new action, linked to this one, undoes it. This one stays on record unchanged.</p>
      </ConfirmDialog>
      {open === 'resolve' && <ResolveDialog action={action} onClose={close} />}
    </>
  );
}

function FailureCard({ action }: { readonly action: ActionDetails }) {
  const { errorInfo, advice, phase } = action;
  if (errorInfo === null) return null;
  const isUnknown = action.unresolved || phase === 'outcomeUnknown';
  const isCancelled = phase === 'cancelled' || phase === 'cancelledAtProvider';
  const title = isCancelled
    ? 'It was cancelled'
    : isUnknown
      ? 'It is not known whether this was applied'
      : `It failed: ${errorInfo.code}`;
  return (
    <Banner tone={isCancelled ? 'neutral' : isUnknown ? 'unknown' : 'danger'} title={title}>
      <p className={styles['message']}>{errorInfo.message ?? 'No message was given.'}</p>
      {advice !== null && (
        <p className={styles['advice']}>
          <strong>What to do:</strong> {advice}
        </p>
      )}
      <p className={styles['codes']}>
        Code {errorInfo.code}
        {errorInfo.subcode !== 0 && `; the vendor’s HTTP status was ${errorInfo.subcode}`}
      </p>
    </Banner>
  );
}

function Parameters({ action: { parameters, actionReason } }: { readonly action: ActionDetails }) {
  const facts = [
    ...parameters.map(
      ({ name, value }, index) =>
        [
          // The API may have been sent one name twice, in two spellings.
          parameters.findIndex((one) => one.name === name) === index ? name : `${name} (${index + 1})`,
          value === null ? (
            <span key="hidden" className={styles['none']}>
              hidden (secret)
            </span>
          ) : (
            <Copyable key="value" text={value} label={`Copy ${name}`} />
          ),
        ] as const,
    ),
    ...(actionReason === null
      ? []
      : [
          [
            'Reason',
            <span key="reason" className={styles['message']}>
              {actionReason}
            </span>,
          ] as const,
        ]),
  ];
  return (
    <>
      {parameters.length === 0 && <p className={styles['none']}>No parameters.</p>}
      {facts.length > 0 && <KeyValue facts={facts} />}
    </>
  );
}

function Facts({ action }: { readonly action: ActionDetails }) {
  const now = useNow();
  const { id, user, appId, reverts, revertedBy, effectUntil, job } = action;
  return (
    <KeyValue
      facts={[
        ['Id', <Copyable key="id" text={id} label="Copy the id" isMono />],
        [
          'Provider',
          <Link key="provider" to="/providers/$instance" params={{ instance: action.providerInstance }}>
            {action.providerInstance}
          </Link>,
        ],
        ['Plugin', action.providerVersion],
        ['Requested by', <Who key="who" user={user} appId={appId} />],
        ['Application', appId === null ? null : <ApplicationFact key="app" appId={appId} />],
        ['Client context', action.clientContext],
        ['Lane', action.lane],
        ['Created', <AbsoluteTime key="created" at={action.createdDateTime} />],
        [
          'Took',
          <span key="took" className="figures">
            {took(action, now)}
            {action.completedDateTime === null && ' so far'}
          </span>,
        ],
        ['Deadline', <AbsoluteTime key="deadline" at={action.deadlineDateTime} />],
        ['Effect until', effectUntil === null ? null : <AbsoluteTime key="until" at={effectUntil} />],
        ['Undoes', reverts === null ? null : <ActionLink key="reverts" id={reverts} />],
        ['Undone by', revertedBy === null ? null : <ActionLink key="revertedBy" id={revertedBy} />],
        ['Undo', action.status === 'Completed' ? action.reversal.message : null],
        [
          'Job',
          job === null ? null : job.url === null ? (
            <code key="job">{job.id}</code>
          ) : (
            <a key="job" href={job.url}>
              {job.queue} <ArrowUpRight size={13} aria-hidden />
              <span className="visually-hidden"> in Bull Board</span>
            </a>
          ),
        ],
      ]}
    />
  );
}

/** What the provider said: how far it is, what it changed, what it answered. */
function Answers({ action: { progress, effect, result } }: { readonly action: ActionDetails }) {
  const isPercent = typeof progress === 'number' && progress >= 0 && progress <= 100;
  if (isEmpty(progress) && isEmpty(effect) && isEmpty(result)) return null;
  return (
    <Card title="Provider’s answer">
      {!isEmpty(progress) &&
        (isPercent ? (
          <div className={styles['progress']}>
            <span>Progress: {progress} %</span>
            <Meter label="Progress" value={progress} of={100} />
          </div>
        ) : (
          <Told title="Progress" value={progress} />
        ))}
      {!isEmpty(effect) && <Told title="Effect" value={effect} />}
      {!isEmpty(result) && <Told title="Result" value={result} />}
    </Card>
  );
}

/** Any JSON: facts where it is plain, else as it is. */
function Told({ title, value }: { readonly title: string; readonly value: unknown }) {
  const facts = plainFacts(value);
  return (
    <div className={styles['told']}>
      <h3>{title}</h3>
      {typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? (
        <p>{String(value)}</p>
      ) : facts === null ? (
        <CodeBlock label={title} text={JSON.stringify(value, null, 2)} />
      ) : (
        <KeyValue facts={facts} />
      )}
    </div>
  );
}

function plainFacts(value: unknown): readonly (readonly [string, ReactNode])[] | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const entries = Object.entries(value);
  if (entries.some(([, one]) => typeof one === 'object' && one !== null)) return null;
  return entries.map(([name, one]) => [name, typeof one === 'boolean' ? (one ? 'yes' : 'no') : String(one)]);
}

function isEmpty(value: unknown): boolean {
  return (
    value === null || value === undefined || (typeof value === 'object' && Object.keys(value).length === 0)
  );
}

function ActionLink({ id }: { readonly id: string }) {
  return (
    <Link to="/actions/$id" params={{ id }}>
      {id}
    </Link>
  );
}
