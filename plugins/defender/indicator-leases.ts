import {
  ProviderError,
  type CallContext,
  type EntryLedger,
  type ExecutionContext,
  type HeldList,
  type Json,
  type LedgerEntry,
  type Maintained,
  type StepOutcome,
} from '#provider-sdk';
import type { Context } from './defender-api.js';
import {
  defeatWarnings,
  isOver,
  previousIn,
  restorable,
  shown,
  type Indicator,
  type IndicatorBody,
  type IndicatorState,
} from './indicator.js';
import {
  bodyOf,
  doesFor,
  essenceOf,
  lastsUntil,
  wantedOf,
  type IndicatorForm,
  type WantedIndicator,
} from './indicator-form.js';
import { INDICATOR_TYPES, type IndicatorTarget } from './indicator-value.js';
import { NETWORK, type Indicators } from './indicators.js';
import { hasMarker, isMarked, isMarkedFor, markerIn, markerOf, remarked } from './marker.js';
import type { DefenderSettings } from './settings.js';

/**
 * Milliseconds an action under way owns an indicator before that is known to be there: longer than an attempt and the
 * pause before the next, so that only what failed for good loses it.
 */
const CLAIM_MS = 120_000;
/** Milliseconds after which one that was set and is not shown is taken for gone: lists may be behind. */
const SHOWN_WITHIN_MS = 120_000;
/** Milliseconds that an indicator may end before it should, before that is taken for somebody's change. */
const ENDS_EARLY_MS = 60_000;
/** Indicators repaired in one comparison: each takes two calls of the vendor's quota. */
const MOST_REPAIRS = 50;

const ENFORCED =
  'Defender has accepted it. Machines follow within 2 hours as a rule, of addresses, domains and URLs within 48; network protection has to be in block mode and "Custom network indicators" on.';
const FILES_ENFORCED =
  'Defender has accepted it. Machines follow within 2 hours as a rule; Defender Antivirus has to be the active one there.';

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
interface Licence {
  /** What somebody else has there may be written over. */
  readonly replaces?: boolean;
  /** What somebody else has there may be removed, or not be put back. */
  readonly removes?: (action: string) => boolean;
  /** Counts as ours, though nothing is on record: it bears this action's marker. */
  readonly bearing?: { readonly actionId: string; readonly before: IndicatorBody | null };
}

/** How a target stands after it was brought to what its owners want. */
interface Brought {
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

/**
 * Indicators as leases: several actions may want one, each what it asked for, until they are undone or their time is over.
 * The ledger has who wants what; a target is brought to that by one writer at a time. What was there before us comes back
 * when the last of them has left, and what somebody wrote over ours since is left alone.
 */
export class IndicatorLeases {
  constructor(readonly indicators: Indicators) {}

  /**
   * Makes the action an owner, and brings the target to what its owners want: of several wishes, the last one.
   * @throws ProviderError `conflict` where the action was undone before
   */
  async set(
    context: ExecutionContext<DefenderSettings>,
    target: IndicatorTarget,
    wish: Omit<IndicatorForm, 'description'> & { readonly words: string },
    until: Date | undefined,
  ): Promise<StepOutcome> {
    const { words, ...rest } = wish;
    const description = marked(context, words);
    return this.#set(context, target, { ...rest, description }, until ?? null);
  }

  /**
   * Takes away what the tenant's actions want of it, and what somebody else has there; where `only` is given, only what
   * has one of these actions. What other tenants want stays. What was there is in the effect, to be put back.
   */
  async remove(
    context: ExecutionContext<DefenderSettings>,
    target: IndicatorTarget,
    only: readonly string[] | null,
  ): Promise<StepOutcome> {
    const ledger = ledgerOf(context);
    const list = listOf(target);
    const isMeant = (action: string): boolean => only === null || only.includes(action);
    return ledger.asOnlyWriter(list, context.signal, async (held) => {
      const { current } = await this.indicators.stateOf(context, target);
      const noted = previousIn(context.lastCheckpoint);
      if (current !== null && isMeant(current.action))
        await context.heartbeat({ checkpoint: { previous: restorable(current) } });
      const entry = await ledger.entry(list, target.value);
      for (const { actionId, tenantId, form } of entry?.forms ?? [])
        if (tenantId === context.tenantId && isMeant((JSON.parse(form) as IndicatorForm).action))
          await ledger.release(list, target.value, { actionId });
      const { did, now, wanted } = await this.#bring(context, target, held, { removes: isMeant }, current);
      const changed = did === 'removed' || did === 'restored' || did === 'set';
      // Gone by our own hand, in an attempt whose answer was lost.
      const previous = changed && current !== null ? restorable(current) : (noted ?? null);
      if (did === 'gone' && previous === null)
        return nothingChanged(target, 'Nothing to do: Defender has no such indicator.');
      if (did === 'gone' || did === 'removed')
        return {
          kind: 'completed',
          result: { ...named(target), message: 'The indicator is removed.' },
          effect: { changed: true, previous },
        };
      const stays = now === null ? named(target) : shown(now);
      if (changed)
        return {
          kind: 'completed',
          result: {
            ...stays,
            message:
              did === 'restored'
                ? 'It is removed, and the indicator from before is back in its place.'
                : `It is removed, and ${inWords(wanted)} is back in its place.`,
          },
          effect: { changed: true, previous },
        };
      return {
        kind: 'completed',
        result: {
          ...stays,
          message:
            now !== null && isMeant(now.action)
              ? `It stays: ${inWords(wanted)}.`
              : `Left alone: it is ${now?.action ?? 'not there'}, and no block. RemoveIndicator removes it whatever it is.`,
        },
        effect: { changed: false },
      };
    });
  }

  /** Undoes what an action set: it is an owner no longer, and what the others want, or was there before, comes back. */
  async letGo(
    context: CallContext<DefenderSettings>,
    target: IndicatorTarget,
    actionId: string,
    before: IndicatorBody | null,
  ): Promise<StepOutcome> {
    const ledger = ledgerOf(context);
    const list = listOf(target);
    await ledger.release(list, target.value, { actionId });
    const { did, now, wanted, found } = await ledger.asOnlyWriter(list, context.signal, (held) =>
      this.#bring(context, target, held, { bearing: { actionId, before } }),
    );
    const effect = { changed: false, ...(now === null ? {} : { ids: [String(now.id)] }) };
    switch (did) {
      case 'set':
        return {
          kind: 'completed',
          result: {
            ...(now === null ? named(target) : shown(now)),
            message: `${inWords(wanted)}: it is so now.`,
          },
          effect: { ...effect, changed: true },
        };
      case 'restored':
        return {
          kind: 'completed',
          result: {
            ...(now === null ? named(target) : shown(now)),
            message: 'The indicator from before is back in its place.',
          },
          effect: { ...effect, changed: true },
        };
      case 'removed':
        return {
          kind: 'completed',
          result: { ...named(target), message: `Indicator ${found.current?.id ?? ''} is removed.` },
          effect: { changed: true },
        };
      case 'held':
        return nothingChanged(target, `It stays: ${inWords(wanted)}.`);
      case 'foreign':
      case 'leftAlone':
        return nothingChanged(
          target,
          `Left alone: indicator ${now?.id ?? ''} is not as the action left it (${now?.action ?? ''}, by ${now?.createdByDisplayName ?? 'somebody'}).`,
        );
      case 'gone':
        return nothingChanged(target, 'Nothing to do: the indicator is gone.');
    }
  }

  /** Undoes a removal: what was there comes back, unless somebody has put another in its place since. */
  async putBack(
    context: ExecutionContext<DefenderSettings>,
    target: IndicatorTarget,
    previous: IndicatorBody | null,
  ): Promise<StepOutcome> {
    if (previous === null || isOver(previous))
      return nothingChanged(target, 'Nothing to do: nothing was removed, or it would be over by now.');
    const { description } = previous;
    if (typeof description === 'string' && isMarked(description))
      return this.#set(
        context,
        target,
        {
          ...formOf(previous),
          description: remarked(description, markerOf(context.actionId, context.idempotencyKey)),
        },
        typeof previous['expirationTime'] === 'string' ? new Date(previous['expirationTime']) : null,
        {},
      );
    // It was somebody else's, and is theirs again.
    return ledgerOf(context).asOnlyWriter(listOf(target), context.signal, async () => {
      const { current } = await this.indicators.stateOf(context, target);
      const isBack = current?.action === previous['action'] && current?.description === description;
      if (current !== null && !isBack)
        return nothingChanged(
          target,
          `Left alone: indicator ${current.id} is there now (${current.action}, by ${current.createdByDisplayName ?? 'somebody'}).`,
        );
      const made = current ?? (await this.indicators.post(context, previous));
      return {
        kind: 'completed',
        result: { ...shown(made), message: 'The indicator from before is back in its place.' },
        effect: { changed: true, ids: [String(made.id)] },
      };
    });
  }

  /**
   * Compares Defender with what is wanted: one list, and none where nothing is. What is missing or changed is set again, what
   * nobody wants any more is taken away; what somebody put in the place of ours is reported and left alone.
   */
  async maintain(context: Context): Promise<Maintained> {
    const ledger = ledgerOf(context);
    const entries = await ledger.all();
    if (entries.length === 0) return { checked: 0, added: 0, removed: 0, problems: [] };
    const rows = new Map(
      (await this.indicators.all(context)).map((row) => [
        `${row.indicatorType} ${row.indicatorValue}`.toLowerCase(),
        row,
      ]),
    );
    const problems: string[] = [];
    const suspects: (typeof entries)[number][] = [];
    for (const entry of entries) {
      const verdict = judged(entry, rows.get(entry.list.toLowerCase()) ?? null);
      if (verdict === 'differs') suspects.push(entry);
      else if (verdict !== 'fine') problems.push(`${entry.list}: ${verdict}`);
    }
    let added = 0;
    let removed = 0;
    for (const { list } of suspects.slice(0, MOST_REPAIRS)) {
      const target = targetOf(list);
      if (target === null) continue;
      try {
        const { did } = await ledger.asOnlyWriter(list, context.signal, (held) =>
          this.#bring(context, target, held, {}),
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

  async #set(
    context: ExecutionContext<DefenderSettings>,
    target: IndicatorTarget,
    form: IndicatorForm,
    until: Date | null,
    licence: Licence = { replaces: true },
  ): Promise<StepOutcome> {
    // Defender refuses an end that is past, and what is to be over needs no beginning.
    if (until !== null && until.getTime() <= Date.now())
      return {
        kind: 'completed',
        result: { message: 'Nothing was done: its effect was to be over before it could begin.' },
        effect: { changed: false },
      };
    const ledger = ledgerOf(context);
    const list = listOf(target);
    const { actionId, tenantId } = context;
    const owner = { actionId, tenantId, until, claimMs: CLAIM_MS, form: JSON.stringify(form) };
    if ((await ledger.hold(list, target.value, owner)) === null)
      throw new ProviderError(
        'conflict',
        'It was undone before it could take effect, and is not set any more.',
      );
    let brought: Brought;
    try {
      brought = await ledger.asOnlyWriter(list, context.signal, (held) =>
        this.#bring(context, target, held, licence),
      );
    } catch (error) {
      if (error instanceof ProviderError && error.next === 'fail')
        await ledger.release(list, target.value, { actionId });
      throw error;
    }
    const { did, now, wanted, before, found } = brought;
    if (now === null || did === 'leftAlone') {
      await ledger.release(list, target.value, { actionId });
      return nothingChanged(target, 'Left alone: somebody has put another in its place.');
    }
    await ledger.settle(list, target.value, actionId);
    const isMine = hasMarker(now.description, markerIn(form.description));
    const replaced = isMine ? before : null;
    return {
      kind: 'completed',
      result: {
        ...shown(now),
        message:
          did === 'foreign'
            ? `Nothing to do: indicator ${now.id} of ${now.createdByDisplayName ?? 'somebody'} has it in place.`
            : isMine
              ? NETWORK.has(target.type)
                ? ENFORCED
                : FILES_ENFORCED
              : `Indicator ${now.id} has it in place for another action of Riposte's. It stays until all that want it have ended.`,
        warnings: [
          ...defeatWarnings(form.action, found.defeatedBy),
          ...(replaced === null
            ? []
            : [
                `It took the place of an indicator ${JSON.stringify(replaced['title'])} (${JSON.stringify(replaced['action'])}); to revert this puts that one back.`,
              ]),
          ...(wanted === null || wanted.inPlaceOf.length === 0
            ? []
            : [
                `Other actions of Riposte's want it to be ${wanted.inPlaceOf.join(', ')}: the last one that was asked for counts, and theirs comes back when this one has ended.`,
              ]),
        ],
      },
      effect: {
        changed: isMine,
        ids: [String(now.id)],
        ...(replaced === null ? {} : { previous: replaced }),
        ...(until === null ? {} : { expiresAt: until.toISOString() }),
      },
    };
  }

  /** Brings a target to what its owners want, as the only writer of it. */
  async #bring(
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
    const comesBack = before !== null && !isOver(before) && !removes(String(before['action']));
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

/** Whether a target has to be looked at again, by what the list shows; otherwise what is wrong with it in words. */
function judged(entry: LedgerEntry, row: Indicator | null): 'fine' | 'differs' | string {
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
    : `Somebody has put ${row.action} (indicator ${row.id}) in the place of ${wanted.form.action}. Remove that one to have Riposte's back, or revert the actions that want it.`;
}

function marked({ actionId, idempotencyKey }: CallContext, words: string): string {
  return `${words} ${markerOf(actionId, idempotencyKey)}`;
}

/** By target, so that one does not wait for another. */
const listOf = ({ type, value }: IndicatorTarget): string => `${type} ${value}`;

function targetOf(list: string): IndicatorTarget | null {
  const [name = '', ...rest] = list.split(' ');
  const type = INDICATOR_TYPES.find((one) => one === name);
  return type === undefined ? null : { type, value: rest.join(' ') };
}

function keptIn(handle: string | undefined): Kept {
  return handle === undefined ? NOTHING_KEPT : (JSON.parse(handle) as Kept);
}

/** What was removed, as a wish. Bodies are those that were sent, or that Defender gave. */
function formOf(body: IndicatorBody): Omit<IndicatorForm, 'description'> {
  const { action, title, severity, generateAlert, recommendedActions, educateUrl, rbacGroupNames } = body;
  const text = (value: Json | undefined): string | undefined =>
    typeof value === 'string' ? value : undefined;
  return {
    action: action as IndicatorForm['action'],
    title: text(title) ?? '',
    severity: text(severity) ?? 'Medium',
    generateAlert: generateAlert === true,
    recommendedActions: text(recommendedActions),
    educateUrl: text(educateUrl),
    rbacGroupNames: Array.isArray(rbacGroupNames) ? rbacGroupNames.map(String) : undefined,
  };
}

function inWords(wanted: WantedIndicator | null): string {
  if (wanted === null) return 'no action of Riposte’s wants it';
  const { owners, form } = wanted;
  return `${owners} other ${owners === 1 ? 'action wants' : 'actions want'} it (${form.action})`;
}

const named = ({ type, value }: IndicatorTarget): IndicatorBody => ({
  indicatorType: type,
  indicatorValue: value,
});

function nothingChanged(target: IndicatorTarget, message: string): StepOutcome {
  return { kind: 'completed', result: { ...named(target), message }, effect: { changed: false } };
}

function ledgerOf({ ledger }: Pick<Context, 'ledger'>): EntryLedger {
  if (ledger === undefined) throw new TypeError('Defender needs the ledger of its indicators');
  return ledger;
}
