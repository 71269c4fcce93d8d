import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { providersQuery } from '../../api/queries.ts';
import type { Overview } from '../../api/types.ts';
import { Badge } from '../../ui/badge.tsx';
import { Card } from '../../ui/card.tsx';
import { count, duration } from '../../ui/format.ts';
import { EmptyState } from '../../ui/states.tsx';
import { Table } from '../../ui/table.tsx';
import { nameOf } from '../providers/provider-state.ts';
import styles from './overview.module.css';

type Row = Overview['providers'][number];

/** How each provider fared, the one with the most failures first. */
export function ProviderTable({ overview: { providers } }: { readonly overview: Overview }) {
  const { data: known = [] } = useQuery(providersQuery);
  const names = new Map(known.map((one) => [one.id, nameOf(one)]));
  const rows = providers.toSorted((a, b) => bad(b) - bad(a) || ended(b) - ended(a));
  return (
    <Card
      title="By provider"
      note="What finished in this period, and why actions failed"
      isFlush={rows.length > 0}
    >
      {rows.length === 0 ? (
        <EmptyState title="Nothing finished in this period" />
      ) : (
        <Table
          label="By provider"
          stacks
          rows={rows}
          rowKey={({ instance }) => instance}
          columns={[
            {
              id: 'provider',
              heading: 'Provider',
              cell: ({ instance, vendor, provider }) => (
                <>
                  <Link to="/providers/$instance" params={{ instance }} className={styles['name'] ?? ''}>
                    {names.get(instance) ?? provider ?? instance}
                  </Link>
                  <span className={styles['sub']}>{vendor === null ? 'no longer configured' : instance}</span>
                </>
              ),
            },
            { id: 'share', isSecondary: true, heading: 'Share', cell: (row) => <ShareBar row={row} /> },
            {
              id: 'completed',
              heading: 'Completed',
              isFigure: true,
              cell: ({ completed }) => count(completed),
            },
            { id: 'failed', heading: 'Failed', isFigure: true, cell: ({ failed }) => count(failed) },
            {
              id: 'unknown',
              heading: 'Unknown',
              isFigure: true,
              cell: ({ outcomeUnknown }) => count(outcomeUnknown),
            },
            { id: 'codes', heading: 'Why', cell: ({ byCode }) => <Codes byCode={byCode} /> },
            {
              id: 'p50',
              isSecondary: true,
              heading: 'p50',
              isFigure: true,
              cell: ({ totalMs }) => (totalMs === null ? '–' : duration(totalMs.p50)),
            },
            {
              id: 'p95',
              heading: 'p95',
              isFigure: true,
              cell: ({ totalMs }) => (totalMs === null ? '–' : duration(totalMs.p95)),
            },
          ]}
        />
      )}
    </Card>
  );
}

function ShareBar({ row }: { readonly row: Row }) {
  const all = Math.max(1, ended(row));
  const parts = [
    ['--chart-2', row.completed],
    ['--chart-3', row.failed],
    ['--chart-5', row.outcomeUnknown],
  ] as const;
  return (
    // The figures beside it say the same.
    <span className={styles['bar']} aria-hidden>
      {parts.map(
        ([colour, value]) =>
          value > 0 && (
            <span
              key={colour}
              className={styles['part']}
              style={{ flexGrow: Math.max(value / all, 0.015), background: `var(${colour})` }}
            />
          ),
      )}
    </span>
  );
}

/** The codes of errorInfo in words, see the design's table of them. */
const CODES: Readonly<Record<string, string>> = {
  400: 'refused',
  401: 'credentials refused',
  403: 'not permitted',
  404: 'target unknown',
  408: 'timed out',
  409: 'conflict',
  410: 'expired',
  429: 'vendor’s limit',
  499: 'cancelled',
  500: 'defect',
  502: 'vendor’s error',
  503: 'vendor unreachable',
  507: 'vendor full',
  520: 'outcome unknown',
};

function Codes({ byCode }: { readonly byCode: Row['byCode'] }) {
  const codes = Object.entries(byCode).toSorted(([, a], [, b]) => b - a);
  if (codes.length === 0) return '–';
  return (
    <span className={styles['codes']}>
      {codes.slice(0, 3).map(([code, times]) => (
        <Badge key={code} tone={code === '499' ? 'neutral' : 'danger'}>
          {count(times)} × {CODES[code] ?? code}
        </Badge>
      ))}
      {codes.length > 3 && <Badge>{codes.length - 3} more</Badge>}
    </span>
  );
}

function bad({ failed, outcomeUnknown }: Row): number {
  return failed + outcomeUnknown;
}

function ended(row: Row): number {
  return row.completed + bad(row);
}
