import {
  Ban,
  CircleCheck,
  CircleHelp,
  CircleX,
  Clock,
  Hourglass,
  LoaderCircle,
  OctagonAlert,
  Pause,
  RefreshCw,
  TimerOff,
  type LucideIcon,
} from 'lucide-react';
import type { ReactNode } from 'react';
import type { ActionPhase, ActionStatus } from '../api/types.ts';
import styles from './badge.module.css';
import tones from './tones.module.css';
import { classNames } from './class-names.ts';

/** What a colour says; a word and an icon say it besides. */
export type Tone = 'neutral' | 'info' | 'success' | 'warning' | 'danger' | 'unknown';

/** A word about a thing, with an icon. */
export function Badge({
  tone = 'neutral',
  icon: Icon,
  isTurning = false,
  children,
}: {
  readonly tone?: Tone;
  readonly icon?: LucideIcon;
  readonly isTurning?: boolean;
  readonly children: ReactNode;
}) {
  return (
    <span className={classNames(styles['badge'], tones[tone])}>
      {Icon !== undefined && (
        <Icon
          size={13}
          strokeWidth={2.25}
          aria-hidden
          className={isTurning ? (styles['turning'] ?? '') : ''}
        />
      )}
      {children}
    </span>
  );
}

/** How each phase is told: its word, its colour, its icon. */
export const PHASES: Readonly<
  Record<ActionPhase, { readonly label: string; readonly tone: Tone; readonly icon: LucideIcon }>
> = {
  queued: { label: 'Queued', tone: 'neutral', icon: Clock },
  throttled: { label: 'Held back', tone: 'warning', icon: Pause },
  executing: { label: 'Running', tone: 'info', icon: LoaderCircle },
  waitingOnVendor: { label: 'At the vendor', tone: 'info', icon: Hourglass },
  retrying: { label: 'Retrying', tone: 'warning', icon: RefreshCw },
  cancelling: { label: 'Cancelling', tone: 'warning', icon: Ban },
  done: { label: 'Completed', tone: 'success', icon: CircleCheck },
  failed: { label: 'Failed', tone: 'danger', icon: CircleX },
  cancelled: { label: 'Cancelled', tone: 'neutral', icon: Ban },
  cancelledAtProvider: { label: 'Cancelled at the vendor', tone: 'neutral', icon: Ban },
  timedOut: { label: 'Timed out', tone: 'danger', icon: TimerOff },
  expired: { label: 'Expired', tone: 'neutral', icon: TimerOff },
  outcomeUnknown: { label: 'Outcome unknown', tone: 'unknown', icon: CircleHelp },
  poisoned: { label: 'Crashed workers', tone: 'danger', icon: OctagonAlert },
};

const OF_STATUS: Readonly<Record<ActionStatus, ActionPhase>> = {
  NotStarted: 'queued',
  Running: 'executing',
  Completed: 'done',
  Failed: 'failed',
};

/** Where an action is, in a word: by its phase, or by its status where the phase is not known. */
export function StatusBadge({
  status,
  phase = OF_STATUS[status],
}: {
  readonly status: ActionStatus;
  readonly phase?: ActionPhase;
}) {
  const { label, tone, icon } = PHASES[phase];
  return (
    <Badge tone={tone} icon={icon} isTurning={phase === 'executing'}>
      {label}
    </Badge>
  );
}
