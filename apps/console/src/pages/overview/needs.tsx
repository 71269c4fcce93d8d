import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { CircleCheck, CircleHelp, Pause, TriangleAlert, Unplug, type LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { providersQuery } from '../../api/queries.ts';
import type { Overview, Provider } from '../../api/types.ts';
import { Badge, type Tone } from '../../ui/badge.tsx';
import { Card } from '../../ui/card.tsx';
import { plural } from '../../ui/format.ts';
import { RelativeTime } from '../../ui/time.tsx';
import { nameOf } from '../providers/provider-state.ts';
import styles from './overview.module.css';

interface Need {
  readonly id: string;
  readonly tone: Tone;
  readonly icon: LucideIcon;
  readonly label: string;
  readonly words: ReactNode;
  readonly note?: ReactNode;
  /** A page of the console. */
  readonly to: string;
}

/** What a person has to look at, the worst first; or that there is nothing. */
export function Needs({ now }: { readonly now: Overview['now'] }) {
  const { data: providers = [] } = useQuery({ ...providersQuery, refetchInterval: 60_000 });
  const needs = [...unknownOutcomes(now), ...providers.flatMap(needsOf)];
  if (needs.length === 0) {
    return (
      <p className={styles['calm']}>
        <CircleCheck size={16} aria-hidden />
        Nothing needs attention: every provider is reachable, and no outcome is unknown.
      </p>
    );
  }
  return (
    <Card title="Needs attention" isFlush>
      <ul className={styles['needs']}>
        {needs.map(({ id, tone, icon, label, words, note, to }) => (
          <li key={id} className={styles['need']}>
            <span>
              <Badge tone={tone} icon={icon}>
                {label}
              </Badge>
            </span>
            <span className={styles['needWords']}>
              <Link to={to}>{words}</Link>
              {note !== undefined && <span className={styles['needNote']}> {note}</span>}
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function unknownOutcomes({ unresolved }: Overview['now']): readonly Need[] {
  if (unresolved === 0) return [];
  return [
    {
      id: 'unresolved',
      tone: 'unknown',
      icon: CircleHelp,
      label: 'Unknown',
      words: `${plural(unresolved, 'action')} may or may not have been applied`,
      note: 'Check their targets and record what you find.',
      to: '/inbox',
    },
  ];
}

function needsOf(provider: Provider): readonly Need[] {
  const { id, breaker, health, paused } = provider;
  const name = nameOf(provider);
  if (paused !== null) {
    return [
      {
        id,
        tone: 'warning',
        icon: Pause,
        label: 'Paused',
        words: name,
        note: (
          <>
            <RelativeTime at={paused.at} isPast />: {paused.reason}
          </>
        ),
        to: `/providers/${encodeURIComponent(id)}`,
      },
    ];
  }
  if (breaker !== 'closed') {
    return [
      {
        id,
        tone: 'danger',
        icon: Unplug,
        label: 'Not responding',
        words: name,
        note: 'Calls are on hold. Riposte retries it automatically.',
        to: `/providers/${encodeURIComponent(id)}`,
      },
    ];
  }
  if (health?.ok === false) {
    return [
      {
        id,
        tone: 'danger',
        icon: TriangleAlert,
        label: 'Unhealthy',
        words: name,
        note: health.message,
        to: `/providers/${encodeURIComponent(id)}`,
      },
    ];
  }
  return [];
}
