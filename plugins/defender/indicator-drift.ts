import { ProviderError, type LedgerEntry, type Maintained } from '#provider-sdk';
import type { Context } from './defender-api.js';
import type { Indicator } from './indicator.js';
import { lastsUntil, wantedOf } from './indicator-form.js';
import {
  ENDS_EARLY_MS,
  SHOWN_WITHIN_MS,
  ledgerOf,
  targetOf,
  type IndicatorWriter,
} from './indicator-writer.js';
import { isMarked } from './marker.js';

/** Indicators repaired in one comparison: each takes two calls of the vendor's quota. */
const MOST_REPAIRS = 50;

/**
 * Compares Defender with what is wanted: one list, and none where nothing is. What is missing or changed is set again, what
 * nobody wants any more is taken away; what somebody put in the place of ours is reported and left alone.
 */
export async function maintainIndicators(writer: IndicatorWriter, context: Context): Promise<Maintained> {
  const ledger = ledgerOf(context);
  const entries = await ledger.all();
  if (entries.length === 0) return { checked: 0, added: 0, removed: 0, problems: [] };
  const rows = new Map(
    (await writer.indicators.all(context)).map((row) => [
      `${row.indicatorType} ${row.indicatorValue}`.toLowerCase(),
      row,
    ]),
  );
  const problems: string[] = [];
  const suspects: (typeof entries)[number][] = [];
  for (const entry of entries) {
    const verdict = judged(entry, rows.get(entry.list.toLowerCase()) ?? null);
    if (verdict === 'differs') suspects.push(entry);
    else if (verdict !== 'fine') problems.push(`${entry.list}: ${verdict.inTheWay}`);
  }
  let added = 0;
  let removed = 0;
  // Of too many any: those that cannot be repaired must not keep the others from it.
  const first = Math.floor(Math.random() * suspects.length);
  const inTurn = [...suspects.slice(first), ...suspects.slice(0, first)];
  for (const { list } of inTurn.slice(0, MOST_REPAIRS)) {
    const target = targetOf(list);
    if (target === null) continue;
    try {
      const { did } = await ledger.asOnlyWriter(list, context.signal, (held) =>
        writer.bring(context, target, held, {}),
      );
      if (did === 'set') added += 1;
      if (did === 'removed' || did === 'restored') removed += 1;
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof ProviderError)) throw error;
      problems.push(`${list}: ${error.message}`);
    }
  }
  if (suspects.length > MOST_REPAIRS)
    problems.push(
      `${suspects.length - MOST_REPAIRS} more differ, and are repaired in the next comparisons: the vendor's quota is spared.`,
    );
  return { checked: entries.length, added, removed, problems };
}

/** Whether a target has to be looked at again, by what the list shows; otherwise what is wrong with it in words. */
function judged(
  entry: LedgerEntry,
  row: Indicator | null,
): 'fine' | 'differs' | { readonly inTheWay: string } {
  // Actions under way write for themselves.
  if (entry.forms.some(({ isSettled }) => !isSettled)) return 'fine';
  const wanted = wantedOf(entry.forms);
  if (wanted === null) return 'differs';
  if (row === null) {
    const sinceMs = entry.writtenAt == null ? Infinity : Date.now() - entry.writtenAt.getTime();
    return sinceMs < SHOWN_WITHIN_MS ? 'fine' : 'differs';
  }
  const isSo = row.action === wanted.form.action && lastsUntil(row, wanted.until, ENDS_EARLY_MS);
  if (isSo) return 'fine';
  return isMarked(row.description)
    ? 'differs'
    : {
        inTheWay: `Somebody has put ${row.action} (indicator ${row.id}) in the place of ${wanted.form.action}. Remove that one to have Riposte's back, or revert the actions that want it.`,
      };
}
