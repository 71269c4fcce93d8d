import {
  ProviderError,
  type CallContext,
  type ExecutionContext,
  type Json,
  type StepOutcome,
} from '#provider-sdk';
import { defeatWarnings, isOver, previousIn, restorable, shown, type IndicatorBody } from './indicator.js';
import type { IndicatorForm, WantedIndicator } from './indicator-form.js';
import type { IndicatorTarget } from './indicator-value.js';
import { ledgerOf, listOf, type Brought, type IndicatorWriter, type Licence } from './indicator-writer.js';
import { NETWORK } from './indicators.js';
import { hasMarker, isMarked, markerIn, marked, markerOf, remarked } from './marker.js';
import type { DefenderSettings } from './settings.js';

/**
 * Milliseconds an action under way owns an indicator before that is known to be there: longer than an attempt and the
 * pause before the next, so that only what failed for good loses it.
 */
const CLAIM_MS = 120_000;

const ENFORCED =
  'Defender has accepted it. Machines follow within 2 hours as a rule, of addresses, domains and URLs within 48; network protection has to be in block mode and "Custom network indicators" on.';
const FILES_ENFORCED =
  'Defender has accepted it. Machines follow within 2 hours as a rule; Defender Antivirus has to be the active one there.';

/**
 * Indicators as leases: several actions may want one, each what it asked for, until they are undone or their time is over.
 * The ledger has who wants what; a target is brought to that by one writer at a time. What was there before us comes back
 * when the last of them has left, and what somebody wrote over ours since is left alone.
 */
export class IndicatorLeases {
  constructor(readonly writer: IndicatorWriter) {}

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
    const description = marked(words, ownMarker(context));
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
      const { current } = await this.writer.indicators.stateOf(context, target);
      const noted = previousIn(context.lastCheckpoint);
      if (current !== null && isMeant(current.action))
        await context.heartbeat({ checkpoint: { previous: restorable(current) } });
      const entry = await ledger.entry(list, target.value);
      for (const { actionId, tenantId, form } of entry?.forms ?? [])
        if (tenantId === context.tenantId && isMeant((JSON.parse(form) as IndicatorForm).action))
          await ledger.release(list, target.value, { actionId });
      const { did, now, wanted } = await this.writer.bring(
        context,
        target,
        held,
        { removes: isMeant },
        current,
      );
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
      this.writer.bring(context, target, held, { bearing: { actionId, before } }),
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
          description: remarked(description, ownMarker(context)),
        },
        typeof previous['expirationTime'] === 'string' ? new Date(previous['expirationTime']) : null,
        {},
      );
    // It was somebody else's, and is theirs again.
    return ledgerOf(context).asOnlyWriter(listOf(target), context.signal, async () => {
      const { current } = await this.writer.indicators.stateOf(context, target);
      const isBack = current?.action === previous['action'] && current?.description === description;
      if (current !== null && !isBack)
        return nothingChanged(
          target,
          `Left alone: indicator ${current.id} is there now (${current.action}, by ${current.createdByDisplayName ?? 'somebody'}).`,
        );
      const made = current ?? (await this.writer.indicators.post(context, previous));
      return {
        kind: 'completed',
        result: { ...shown(made), message: 'The indicator from before is back in its place.' },
        effect: { changed: true, ids: [String(made.id)] },
      };
    });
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
        this.writer.bring(context, target, held, licence),
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
}

/** The marker of the action at hand. */
const ownMarker = ({ actionId, idempotencyKey }: CallContext): string => markerOf(actionId, idempotencyKey);

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
