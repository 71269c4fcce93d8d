import { Link } from '@tanstack/react-router';
import type { ActionDetails, WaitReason } from '../../api/types.ts';
import { Banner } from '../../ui/banner.tsx';
import type { Tone } from '../../ui/badge.tsx';
import { Countdown } from '../../ui/time.tsx';
import styles from './action-page.module.css';

const REASONS: Readonly<
  Record<WaitReason, { readonly title: string; readonly tone: Tone; readonly hint?: string }>
> = {
  queued: { title: 'It is queued', tone: 'info' },
  quota: { title: 'The provider’s quota is used up', tone: 'warning' },
  vendorBusy: { title: 'The vendor asked Riposte to wait', tone: 'warning' },
  breakerOpen: {
    title: 'The provider is not responding',
    tone: 'danger',
    hint: 'Its last calls failed. Riposte retries automatically; the provider’s page shows its state.',
  },
  paused: {
    title: 'The provider is paused',
    tone: 'warning',
    hint: 'The provider’s page shows how it fares.',
  },
  targetBusy: { title: 'Another action is using this target', tone: 'warning' },
  workerMissing: { title: 'No worker is available', tone: 'danger' },
  vendorWorking: { title: 'The provider is working on it', tone: 'info' },
  retrying: { title: 'It will be retried', tone: 'warning' },
  cancelling: { title: 'It is being cancelled', tone: 'warning' },
};

/** Why the action has not ended, in words, and when it is expected to go on. */
export function WaitingCard({
  action,
  waiting,
}: {
  readonly action: ActionDetails;
  readonly waiting: NonNullable<ActionDetails['waiting']>;
}) {
  const { title, tone, hint } = REASONS[waiting.reason];
  const { expectedStartDateTime: expected, blockedBy } = waiting;
  const isBegun = action.status === 'Running';
  return (
    <section className={styles['waiting']} aria-label="Why is this waiting?">
      <Banner tone={tone} title={title}>
        <p className={styles['message']}>{waiting.message}</p>
        {hint !== undefined && (
          <p className={styles['advice']}>
            {hint}{' '}
            <Link to="/providers/$instance" params={{ instance: action.providerInstance }}>
              To {action.providerInstance}
            </Link>
          </p>
        )}
        {blockedBy !== null && (
          <p className={styles['advice']}>
            It is behind{' '}
            <Link to="/actions/$id" params={{ id: blockedBy }}>
              action {blockedBy}
            </Link>
            .
          </p>
        )}
        <dl className={styles['expected']}>
          <dt>{isBegun ? 'Expected to continue' : 'Expected to start'}</dt>
          <dd>
            {expected === null ? (
              isBegun && waiting.reason === 'vendorWorking' ? (
                'It is in progress.'
              ) : (
                'Not known.'
              )
            ) : (
              <>
                in <Countdown to={expected} />, at the earliest
              </>
            )}
          </dd>
        </dl>
        {!isBegun && expected !== null && Date.parse(expected) > Date.parse(action.deadlineDateTime) && (
          <p className={styles['advice']}>
            That is after its deadline: unless the provider has room sooner, it ends as timed out, and nothing
            is done.
          </p>
        )}
      </Banner>
    </section>
  );
}
