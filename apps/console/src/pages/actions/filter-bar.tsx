import { useQuery } from '@tanstack/react-query';
import { Search, X } from 'lucide-react';
import { useEffect, useEffectEvent, useMemo, useState } from 'react';
import { providersQuery } from '../../api/queries.ts';
import { PHASES } from '../../ui/badge.tsx';
import { Button } from '../../ui/button.tsx';
import { Disclosure } from '../../ui/disclosure.tsx';
import { TextField } from '../../ui/field.tsx';
import { FilterMenu } from '../../ui/filter-menu.tsx';
import { useNow } from '../../ui/time.tsx';
import styles from './filter-bar.module.css';
import {
  PHASE_NAMES,
  STATUSES,
  countChoices,
  filterOf,
  parseListSearch,
  type ListSearch,
  type Period,
  type Sort,
} from './list-search.ts';
import { localTime } from './local-time.ts';
import { STATUS_WORDS } from './words.ts';

/** Milliseconds after the last letter until it counts. */
const SETTLED_MS = 350;

const PERIOD_OPTIONS: readonly { readonly id: Period; readonly label: string }[] = [
  { id: '1h', label: 'Last hour' },
  { id: '24h', label: 'Last 24 hours' },
  { id: '7d', label: 'Last 7 days' },
  { id: '30d', label: 'Last 30 days' },
];
const SORT_OPTIONS: readonly { readonly id: Sort; readonly label: string; readonly note?: string }[] = [
  { id: 'newest', label: 'Newest first' },
  { id: 'changed', label: 'Last changed first' },
  { id: 'oldest', label: 'Oldest first' },
  { id: 'name', label: 'By name', note: 'Filter a long list first' },
  { id: 'status', label: 'By status', note: 'Filter a long list first' },
];

/** What narrows the list, which is its `$filter` in the end. Every choice counts at once. */
export function FilterBar({
  search,
  onChange,
}: {
  readonly search: ListSearch;
  readonly onChange: (search: ListSearch) => void;
}) {
  const { data: providers } = useQuery(providersQuery);
  const providerOptions = useMemo(
    () =>
      (providers ?? []).map(({ vendor, provider, subProvider, title }) => ({
        id: [vendor, provider, subProvider].filter(Boolean).join('/'),
        label: [vendor === provider ? vendor : `${vendor} ${provider}`, subProvider]
          .filter(Boolean)
          .join(' · '),
        ...(title === null ? {} : { note: title }),
      })),
    [providers],
  );
  const nameOptions = useMemo(
    () =>
      [...new Set((providers ?? []).flatMap(({ actions }) => actions.map(({ name }) => name)))]
        .toSorted()
        .map((name) => ({ id: name, label: name })),
    [providers],
  );
  // What is empty is not in the address.
  const set = (changes: { readonly [K in keyof ListSearch]?: unknown }): void =>
    onChange(parseListSearch({ ...search, ...changes }));
  const only = (ids: readonly string[]): string | undefined => ids[0];
  const more = [search.who, search.from, search.to, search.filter].filter((one) => one !== undefined).length;

  return (
    <div className={styles['bar']} role="search" aria-label="Filter the list">
      <div className={styles['row']}>
        <div className={styles['search']}>
          <Search size={15} aria-hidden />
          <Settled value={search.q ?? ''} onSettled={(q) => set({ q })}>
            {(text, onText) => (
              <TextField
                label="Search"
                hideLabel
                type="search"
                placeholder="Search names, targets, reasons, people"
                value={text}
                onChange={onText}
                shortcut="search"
              />
            )}
          </Settled>
        </div>
        <FilterMenu
          label="Status"
          isMultiple
          options={STATUSES.map((id) => ({ id, label: STATUS_WORDS[id] }))}
          selected={search.status ?? []}
          onChange={(ids) => set({ status: ids })}
        />
        <FilterMenu
          label="Phase"
          options={PHASE_NAMES.map((id) => ({ id, label: PHASES[id].label }))}
          selected={listed(search.phase)}
          onChange={(ids) => set({ phase: only(ids) })}
        />
        <FilterMenu
          label="Provider"
          options={providerOptions}
          selected={listed(search.provider)}
          onChange={(ids) => set({ provider: only(ids) })}
        />
        <FilterMenu
          label="Action"
          options={nameOptions}
          selected={listed(search.name)}
          onChange={(ids) => set({ name: only(ids) })}
        />
        <FilterMenu
          label="Created"
          options={PERIOD_OPTIONS}
          selected={listed(search.within)}
          onChange={(ids) => set({ within: only(ids), from: undefined, to: undefined })}
        />
        <FilterMenu
          label="Order"
          isNeeded
          options={SORT_OPTIONS}
          selected={[search.sort ?? 'newest']}
          onChange={(ids) => set({ sort: only(ids) })}
        />
        {countChoices(search) > 0 && (
          <Button
            variant="quiet"
            onPress={() => onChange(search.sort === undefined ? {} : { sort: search.sort })}
          >
            <X size={14} aria-hidden />
            Clear
          </Button>
        )}
      </div>
      <Disclosure
        title={more === 0 ? 'More filters' : `More filters (${more} in use)`}
        level={2}
        isOpenAtFirst={more > 0}
      >
        <div className={styles['more']}>
          <Settled value={search.who ?? ''} onSettled={(who) => set({ who })}>
            {(text, onText) => (
              <TextField
                label="Requested by"
                description="Part of a person’s name, or an application id."
                value={text}
                onChange={onText}
              />
            )}
          </Settled>
          <TimeField
            label="Created from"
            value={search.from}
            onChange={(from) => set({ from, within: undefined })}
          />
          <TimeField
            label="Created before"
            value={search.to}
            onChange={(to) => set({ to, within: undefined })}
          />
          <Advanced search={search} onApply={(filter) => set({ filter })} />
        </div>
      </Disclosure>
    </div>
  );
}

/** A `$filter` of one's own, which counts once it is applied: half of one is an error. */
function Advanced({
  search,
  onApply,
}: {
  readonly search: ListSearch;
  readonly onApply: (filter: string) => void;
}) {
  const [text, setText] = useState(search.filter ?? '');
  const [applied, setApplied] = useState(search.filter);
  if (applied !== search.filter) {
    setApplied(search.filter);
    setText(search.filter ?? '');
  }
  const whole = filterOf(search, useNow());
  return (
    <form
      className={styles['advanced']}
      onSubmit={(event) => {
        event.preventDefault();
        onApply(text);
      }}
    >
      <TextField
        label="Custom $filter"
        mono
        rows={2}
        placeholder="errorInfo/code ge 500 and parameters/any(p:p/value eq '203.0.113.7')"
        description={
          whole === undefined ? (
            <>
              In the API’s syntax; see <a href="/docs">the reference</a>.
            </>
          ) : (
            <>
              All filters combined, in the API’s syntax: <code>{whole}</code>
            </>
          )
        }
        value={text}
        onChange={setText}
      />
      <Button type="submit" size="small" isDisabled={text.trim() === (search.filter ?? '')}>
        Apply
      </Button>
    </form>
  );
}

/** A time in the reader's zone; in the address it is UTC. */
function TimeField({
  label,
  value,
  onChange,
}: {
  readonly label: string;
  readonly value: string | undefined;
  readonly onChange: (iso: string | undefined) => void;
}) {
  return (
    <TextField
      label={label}
      type="datetime-local"
      value={value === undefined ? '' : localTime(new Date(value))}
      onChange={(text) => {
        const time = new Date(text);
        onChange(Number.isNaN(time.getTime()) ? undefined : time.toISOString());
      }}
    />
  );
}

/** What is typed, told once the typing has stopped. */
function Settled({
  value,
  onSettled,
  children,
}: {
  readonly value: string;
  readonly onSettled: (text: string) => void;
  readonly children: (text: string, onText: (text: string) => void) => React.ReactNode;
}) {
  const [typed, setTyped] = useState<string | null>(null);
  const settle = useEffectEvent((text: string) => {
    if (text.trim() !== value) onSettled(text);
    setTyped(null);
  });
  useEffect(() => {
    if (typed === null) return undefined;
    const timer = setTimeout(() => settle(typed), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return children(typed ?? value, setTyped);
}

function listed(value: string | undefined): readonly string[] {
  return value === undefined ? [] : [value];
}
