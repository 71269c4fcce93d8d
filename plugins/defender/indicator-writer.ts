import { ProviderError, type EntryLedger, type HeldList, type LedgerEntry } from '#provider-sdk';
import type { Context } from './defender-api.js';
import { isOver, restorable, type Indicator, type IndicatorBody, type IndicatorState } from './indicator.js';
import { bodyOf, doesFor, essenceOf, lastsUntil, wantedOf, type WantedIndicator } from './indicator-form.js';
import { INDICATOR_TYPES, type IndicatorTarget } from './indicator-value.js';
import type { Indicators } from './indicators.js';
import { hasMarker, isMarkedFor, markerIn } from './marker.js';

/** Milliseconds after which one that was set and is not shown is taken for gone: lists may be behind. */
export const SHOWN_WITHIN_MS = 120_000;
/** Milliseconds that an indicator may end before it should, before that is taken for somebody's change. */
export const ENDS_EARLY_MS = 60_000;

/** What is known of the indicator that Riposte wrote, besides who wants it. Kept as the entry's handle. */
interface Kept {
  /** What somebody else had there, to be put back when the last owner leaves. */
  readonly before: IndicatorBody | null;
  /** What we wrote, or were about to write, the newest last: one that bears such a marker is ours. */
  readonly ours: readonly {
    readonly marker: string;
    readonly essence: string;
    readonly until: string | null;
    readonly at: string;
  }[];
}
const NOTHING_KEPT: Kept = { before: null, ours: [] };

/** How far a target may be changed to what is wanted. */
export interface Licence {
  /** What somebody else has there may be written over. */
  readonly replaces?: boolean;
  /** What somebody else has there may be removed, or not be put back. */
  readonly removes?: (action: string) => boolean;
  /** Counts as ours, though nothing is on record: it bears this action's marker. */
  readonly bearing?: { readonly actionId: string; readonly before: IndicatorBody | null };
}

/** How a target stands after it was brought to what its owners want. */
export interface Brought {
  readonly found: IndicatorState;
  readonly wanted: WantedIndicator | null;
  /**
   * `set`, `restored`, `removed`: changed so now. `held`: it was as wanted, and ours. `foreign`: somebody else's was.
   * `leftAlone`: somebody else has another in its place. `gone`: nobody wants it, and nothing is there.
   */
  readonly did: 'set' | 'restored' | 'removed' | 'held' | 'foreign' | 'leftAlone' | 'gone';
  readonly now: Indicator | null;
  /** What somebody else had there before us. */
  readonly before: IndicatorBody | null;
}

/** Brings targets to what the ledger says, one writer at a time. */
export class IndicatorWriter {
  constructor(readonly indicators: Indicators) {}

  /**
   * Brings a target to what its owners want, as the only writer of it.
   * @param seen what stands there, where that was asked for as the only writer already
   */
  async bring(
    context: Context,
    target: IndicatorTarget,
    held: HeldList,
    { replaces = false, removes = () => false, bearing }: Licence,
    seen?: Indicator | null,
  ): Promise<Brought> {
    const ledger = ledgerOf(context);
    const list = listOf(target);
    const entry = (await held.entries()).find(({ value }) => value === target.value);
    const kept = keptIn((await ledger.handles(list)).get(target.value));
    const found =
      seen === undefined ? await this.indicators.stateOf(context, target) : { current: seen, defeatedBy: [] };
    const { current } = found;
    const wanted = wantedOf(entry?.forms ?? []);
    const written = kept.ours.find(({ marker }) => hasMarker(current?.description, marker));
    const isBearing = bearing !== undefined && isMarkedFor(current?.description, bearing.actionId);
    const isOurs = written !== undefined || isBearing;
    const lapsed = kept.ours.some(({ until }) => until !== null && Date.parse(until) <= Date.now());
    const before = kept.ours.length === 0 && isBearing ? bearing.before : kept.before;

    const note = async (noted: LedgerEntry['written']): Promise<void> => {
      if (entry !== undefined)
        await held.note([{ value: target.value, revision: entry.revision, written: noted }]);
    };
    const forget = async (): Promise<void> => {
      if (kept !== NOTHING_KEPT) await ledger.keepHandle(list, target.value, null);
      await note('no');
    };
    const brought = (
      did: Brought['did'],
      now: Indicator | null,
      prior: IndicatorBody | null = null,
    ): Brought => ({
      found,
      wanted,
      did,
      now,
      before: prior,
    });

    if (wanted !== null) {
      const essence = essenceOf(wanted);
      if (current !== null && !isOurs && doesFor(current, wanted)) {
        await note('foreign');
        return brought('foreign', current);
      }
      if (current !== null && !isOurs && !replaces) return brought('leftAlone', current);
      if (
        current !== null &&
        written?.essence === essence &&
        current.action === wanted.form.action &&
        lastsUntil(current, wanted.until, ENDS_EARLY_MS)
      ) {
        await note('yes');
        return brought('held', current, before);
      }
      const prior = current === null || isOurs ? before : restorable(current);
      const next = {
        marker: markerIn(wanted.form.description),
        essence,
        until: wanted.until?.toISOString() ?? null,
        at: new Date().toISOString(),
      };
      const ours = [...(written === undefined ? [] : [written]), next];
      // On record before it is written over: if we die now, what is there is known to be ours.
      await ledger.keepHandle(list, target.value, JSON.stringify({ before: prior, ours } satisfies Kept));
      await note('intended');
      held.signal.throwIfAborted();
      const made = await this.indicators.post(context, bodyOf(target, wanted));
      if (made.action !== wanted.form.action)
        throw new ProviderError(
          'permanent',
          `Defender made indicator ${made.id} of ${target.value} as ${made.action} where ${wanted.form.action} was asked for. Look at it in Settings > Endpoints > Indicators.`,
        );
      await ledger.keepHandle(
        list,
        target.value,
        JSON.stringify({ before: prior, ours: [next] } satisfies Kept),
      );
      await note('yes');
      return brought('set', made, prior);
    }

    held.signal.throwIfAborted();
    const comesBack = before !== null && !isOver(before) && !removes(actionOf(before));
    if (isOurs || (current === null && lapsed)) {
      if (comesBack) {
        const made = await this.indicators.post(context, before);
        await forget();
        return brought('restored', made);
      }
      if (current !== null) await this.indicators.delete(context, current);
      await forget();
      return brought(current === null ? 'gone' : 'removed', null);
    }
    if (current !== null) {
      const goes = removes(current.action);
      if (goes) await this.indicators.delete(context, current);
      await forget();
      return goes ? brought('removed', null) : brought('leftAlone', current);
    }
    // A list may be behind: what was set just now may show itself yet, and is looked for again then.
    if (kept.ours.some(({ at }) => Date.now() - Date.parse(at) < SHOWN_WITHIN_MS)) await note('intended');
    else await forget();
    return brought('gone', null);
  }
}

/** By target, so that one does not wait for another. */
export const listOf = ({ type, value }: IndicatorTarget): string => `${type} ${value}`;

export function targetOf(list: string): IndicatorTarget | null {
  const [name = '', ...rest] = list.split(' ');
  const type = INDICATOR_TYPES.find((one) => one === name);
  return type === undefined ? null : { type, value: rest.join(' ') };
}

function keptIn(handle: string | undefined): Kept {
  return handle === undefined ? NOTHING_KEPT : (JSON.parse(handle) as Kept);
}

function actionOf({ action }: IndicatorBody): string {
  return typeof action === 'string' ? action : '';
}

/** @throws TypeError where the plugin runs without one, as outside of the worker */
export function ledgerOf({ ledger }: Pick<Context, 'ledger'>): EntryLedger {
  if (ledger === undefined) throw new TypeError('Defender needs the ledger of its indicators');
  return ledger;
}
