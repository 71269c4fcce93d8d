import {
  ProviderError,
  Type,
  type CallContext,
  type EffectRecord,
  type ExecutionContext,
  type Json,
  type Static,
  type StepOutcome,
} from '#provider-sdk';
import {
  DefenderError,
  INDICATORS,
  maybeText,
  quoted,
  type Context,
  type DefenderApi,
} from './defender-api.js';
import { coveredBy, type IndicatorTarget } from './indicator-value.js';
import { hasMarker, isMarkedFor, marked, markerOf } from './marker.js';
import type { DefenderSettings } from './settings.js';

/** What an indicator does. */
export type IndicatorAction = 'Allowed' | 'Audit' | 'Warn' | 'Block' | 'BlockAndRemediate';

const maybe = <const Known extends ReturnType<typeof Type.Boolean | typeof Type.Array>>(known: Known) =>
  Type.Optional(Type.Union([known, Type.Null()]));

const indicatorSchema = Type.Object({
  // A number in some of the documentation's samples, a text in others.
  id: Type.Union([Type.String(), Type.Number()]),
  indicatorValue: Type.String(),
  indicatorType: Type.String(),
  action: Type.String(),
  application: maybeText,
  title: maybeText,
  description: maybeText,
  severity: maybeText,
  recommendedActions: maybeText,
  educateUrl: maybeText,
  expirationTime: maybeText,
  generateAlert: maybe(Type.Boolean()),
  rbacGroupNames: maybe(Type.Array(Type.String())),
  createdBy: maybeText,
  createdByDisplayName: maybeText,
});
type Indicator = Static<typeof indicatorSchema>;

const indicatorList = Type.Object({ value: Type.Array(indicatorSchema) });

const MOST_LIST_BYTES = 16_777_216;
/** What a caller may say of an indicator besides its target and action. */
export interface IndicatorWishes {
  readonly words: string;
  readonly title: string;
  readonly severity: string;
  readonly generateAlert: boolean;
  readonly recommendedActions?: string | undefined;
  readonly educateUrl?: string | undefined;
  readonly rbacGroupNames?: readonly string[] | undefined;
  /** When Defender is to lift it; absent: never. */
  readonly until?: Date | undefined;
}

/** What stands at Defender for a target. */
export interface IndicatorState {
  /** Of this very type and value. */
  readonly current: Indicator | null;
  /** Allows of others that go before a Block or Warn of it. */
  readonly defeatedBy: readonly Indicator[];
}

const ENFORCED =
  'Defender has accepted it. Machines follow within 2 hours as a rule, of addresses, domains and URLs within 48; network protection has to be in block mode and "Custom network indicators" on.';
const FILES_ENFORCED =
  'Defender has accepted it. Machines follow within 2 hours as a rule; Defender Antivirus has to be the active one there.';

/** Indicators: by type and value there is one per tenant, and setting it again writes over it. */
export class Indicators {
  constructor(readonly api: DefenderApi) {}

  /** What stands for it now. */
  async stateOf(context: Context, target: IndicatorTarget): Promise<IndicatorState> {
    const values = coveredBy(target);
    const filter = values.map((value) => `indicatorValue eq ${quoted(value)}`).join(' or ');
    const { body } = await this.api.request(context, {
      method: 'GET',
      path: '/indicators',
      query: { $filter: filter },
      answer: indicatorList,
      maxBytes: MOST_LIST_BYTES,
      needs: INDICATORS,
    });
    // What a filter lets through is looked at again: what is not of the target must not be written over.
    const known = body.value.filter(({ indicatorValue }) =>
      values.some((value) => value.toLowerCase() === indicatorValue.toLowerCase()),
    );
    const current = known.find((indicator) => isOf(indicator, target)) ?? null;
    const defeatedBy = known.filter(
      (indicator) =>
        indicator !== current && indicator.action === 'Allowed' && NETWORK.has(indicator.indicatorType),
    );
    return { current, defeatedBy };
  }

  /**
   * Puts it in place, unless it is already. What stood there before is kept for `putBack`, on record before it is
   * written over.
   */
  async set(
    context: ExecutionContext<DefenderSettings>,
    target: IndicatorTarget,
    action: IndicatorAction,
    wishes: IndicatorWishes,
  ): Promise<StepOutcome> {
    const marker = markerOf(context.actionId, context.idempotencyKey);
    const { current, defeatedBy } = await this.stateOf(context, target);
    const mine = current !== null && hasMarker(current.description, marker);
    const noted = previousIn(context.lastCheckpoint);
    if (mine) return this.#settled(target, current, action, noted ?? null, wishes.until, defeatedBy);
    if (current !== null && current.action === action && lastsUntil(current, wishes.until))
      return {
        kind: 'completed',
        result: {
          ...shown(current),
          message: `Nothing to do: indicator ${current.id} of ${current.createdByDisplayName ?? 'somebody'} has it in place.`,
          warnings: warningsOf(action, null, defeatedBy),
        },
        effect: { changed: false, ids: [String(current.id)] },
      };
    // Defender refuses an end that is past, and what is to be over needs no beginning.
    if (wishes.until !== undefined && wishes.until.getTime() <= Date.now())
      return {
        kind: 'completed',
        result: { message: 'Nothing was done: its effect was to be over before it could begin.' },
        effect: { changed: false },
      };
    const previous = current === null ? null : restorable(current);
    await context.heartbeat({ checkpoint: { previous } });
    const body = {
      indicatorValue: target.value,
      indicatorType: target.type,
      action,
      application: 'riposte',
      title: wishes.title,
      description: marked(wishes.words, marker),
      severity: wishes.severity,
      // Defender refuses an Audit without.
      generateAlert: action === 'Audit' || wishes.generateAlert,
      ...(wishes.recommendedActions === undefined ? {} : { recommendedActions: wishes.recommendedActions }),
      ...(wishes.educateUrl === undefined ? {} : { educateUrl: wishes.educateUrl }),
      ...(wishes.rbacGroupNames === undefined ? {} : { rbacGroupNames: wishes.rbacGroupNames }),
      ...(wishes.until === undefined ? {} : { expirationTime: wishes.until.toISOString() }),
    };
    const made = await this.#post(context, body);
    return this.#settled(target, made, action, previous, wishes.until, defeatedBy);
  }

  /**
   * Removes what stands there; where `only` is given, only what has one of these actions.
   * What was there is in the effect, to be put back.
   */
  async remove(
    context: ExecutionContext<DefenderSettings>,
    target: IndicatorTarget,
    only: readonly string[] | null,
  ): Promise<StepOutcome> {
    const { current } = await this.stateOf(context, target);
    const noted = previousIn(context.lastCheckpoint);
    if (current === null) {
      // Gone by our own hand, in an attempt whose answer was lost.
      if (noted !== undefined && noted !== null) return removed(target, noted);
      return {
        kind: 'completed',
        result: {
          indicatorType: target.type,
          indicatorValue: target.value,
          message: 'Nothing to do: Defender has no such indicator.',
        },
        effect: { changed: false },
      };
    }
    if (only !== null && !only.includes(current.action))
      return {
        kind: 'completed',
        result: {
          ...shown(current),
          message: `Left alone: it is ${current.action}, and no block. RemoveIndicator removes it whatever it is.`,
        },
        effect: { changed: false },
      };
    const previous = restorable(current);
    await context.heartbeat({ checkpoint: { previous } });
    await this.#delete(context, String(current.id));
    return removed(target, previous);
  }

  /**
   * Undoes what an action changed: the indicator from before is put back, or ours is removed. What somebody has written
   * over or removed since is left as it is.
   */
  async putBack(
    context: CallContext<DefenderSettings>,
    target: IndicatorTarget,
    actionId: string,
    effect: EffectRecord,
    removes: boolean,
  ): Promise<StepOutcome> {
    const { current } = await this.stateOf(context, target);
    const previous = previousIn({ previous: effect.previous ?? null }) ?? null;
    const ours = current !== null && isMarkedFor(current.description, actionId);
    // One that Defender lifted at its end is as the action left it, too: what it had replaced comes back.
    const lapsed = current === null && effect.expiresAt !== undefined && isPast(effect.expiresAt);
    const isAsLeft = removes ? current === null : ours || lapsed;
    if (!isAsLeft)
      return {
        kind: 'completed',
        result: {
          indicatorType: target.type,
          indicatorValue: target.value,
          message:
            current === null
              ? 'Nothing to do: the indicator is gone.'
              : `Left alone: indicator ${current.id} is not as the action left it (${current.action}, by ${current.createdByDisplayName ?? 'somebody'}).`,
        },
        effect: { changed: false },
      };
    if (previous !== null && !isOver(previous)) {
      const made = await this.#post(context, previous);
      return {
        kind: 'completed',
        result: { ...shown(made), message: 'The indicator from before is back in its place.' },
        effect: { changed: true, ids: [String(made.id)] },
      };
    }
    if (current !== null) await this.#delete(context, String(current.id));
    return {
      kind: 'completed',
      result: {
        indicatorType: target.type,
        indicatorValue: target.value,
        message:
          current === null
            ? 'Nothing to do: it is over, and there is nothing to put back.'
            : `Indicator ${current.id} is removed.`,
      },
      effect: { changed: current !== null },
    };
  }

  #settled(
    target: IndicatorTarget,
    made: Indicator,
    action: IndicatorAction,
    previous: Json,
    until: Date | undefined,
    defeatedBy: readonly Indicator[],
  ): StepOutcome {
    if (made.action !== action)
      throw new ProviderError(
        'permanent',
        `Defender made indicator ${made.id} of ${target.value} as ${made.action} where ${action} was asked for. Look at it in Settings > Endpoints > Indicators.`,
      );
    return {
      kind: 'completed',
      result: {
        ...shown(made),
        message: NETWORK.has(target.type) ? ENFORCED : FILES_ENFORCED,
        warnings: warningsOf(action, previous, defeatedBy),
      },
      effect: {
        changed: true,
        ids: [String(made.id)],
        ...(previous === null ? {} : { previous }),
        ...(until === undefined ? {} : { expiresAt: until.toISOString() }),
      },
    };
  }

  async #post(context: Context, body: Json): Promise<Indicator> {
    try {
      const answer = await this.api.request(context, {
        method: 'POST',
        path: '/indicators',
        json: body,
        answer: indicatorSchema,
        needs: INDICATORS,
      });
      return answer.body;
    } catch (error) {
      // The code for it is not documented, so that here alone the words decide, between two failures that are final.
      if (
        error instanceof DefenderError &&
        error.httpStatus === 400 &&
        /limit|quota|maximum/i.test(error.message)
      )
        throw new DefenderError(
          'capacity',
          `Defender takes no more indicators: a tenant can have 15,000. Remove some in Settings > Endpoints > Indicators. ${error.message}`,
          error.vendorCode,
          error,
        );
      throw error;
    }
  }

  async #delete(context: Context, id: string): Promise<void> {
    await this.api.request(context, {
      method: 'DELETE',
      path: `/indicators/${encodeURIComponent(id)}`,
      // Somebody was faster.
      accept: [404],
      needs: INDICATORS,
    });
  }
}

const NETWORK: ReadonlySet<string> = new Set(['IpAddress', 'DomainName', 'Url']);

function isOf({ indicatorType, indicatorValue }: Indicator, { type, value }: IndicatorTarget): boolean {
  return indicatorType === type && indicatorValue.toLowerCase() === value.toLowerCase();
}

function lastsUntil({ expirationTime }: Indicator, until: Date | undefined): boolean {
  if (expirationTime == null) return true;
  return until !== undefined && Date.parse(expirationTime) >= until.getTime();
}

/** What has to be sent to have it again; ids and authors are Defender's to give. */
function restorable(indicator: Indicator): { readonly [name: string]: Json } {
  const { indicatorValue, indicatorType, action, generateAlert, rbacGroupNames } = indicator;
  const texts = ['application', 'severity', 'recommendedActions', 'educateUrl', 'expirationTime'] as const;
  return {
    indicatorValue,
    indicatorType,
    action,
    // Required, and empty in some that were made in the portal.
    title: indicator.title ?? indicatorValue,
    description: indicator.description ?? indicatorValue,
    generateAlert: generateAlert ?? false,
    ...Object.fromEntries(
      texts.flatMap((name) => {
        const text = indicator[name];
        return typeof text === 'string' && text !== '' ? [[name, text]] : [];
      }),
    ),
    ...(rbacGroupNames == null || rbacGroupNames.length === 0 ? {} : { rbacGroupNames }),
  };
}

/** Undefined: no attempt came so far as to note it. */
function previousIn(checkpoint: Json): { readonly [name: string]: Json } | null | undefined {
  if (typeof checkpoint !== 'object' || checkpoint === null || !('previous' in checkpoint)) return undefined;
  const { previous } = checkpoint;
  return typeof previous === 'object' && previous !== null && !Array.isArray(previous)
    ? (previous as { readonly [name: string]: Json })
    : null;
}

function isOver({ expirationTime }: { readonly [name: string]: Json }): boolean {
  return typeof expirationTime === 'string' && isPast(expirationTime);
}

const isPast = (time: string): boolean => Date.parse(time) <= Date.now();

function removed({ type, value }: IndicatorTarget, previous: Json): StepOutcome {
  return {
    kind: 'completed',
    result: { indicatorType: type, indicatorValue: value, message: 'The indicator is removed.' },
    effect: { changed: true, previous },
  };
}

function shown({ id, indicatorType, indicatorValue, action, expirationTime }: Indicator): {
  readonly [name: string]: Json;
} {
  return {
    indicatorId: String(id),
    indicatorType,
    indicatorValue,
    action,
    expirationTime: expirationTime ?? null,
  };
}

/** What a caller has to know who thinks that it works now. */
export function warningsOf(
  action: string,
  previous: Json,
  defeatedBy: readonly Indicator[],
): readonly string[] {
  const before = previousIn({ previous }) ?? null;
  return [
    ...(action === 'Allowed'
      ? []
      : defeatedBy.map(
          ({ id, indicatorType, indicatorValue, createdByDisplayName }) =>
            `Indicator ${id} of ${createdByDisplayName ?? 'somebody'} allows ${indicatorType} ${indicatorValue}, and an allow goes before a block: this has no effect until that one is removed.`,
        )),
    ...(before === null
      ? []
      : [
          `It took the place of an indicator ${JSON.stringify(before['title'])} (${JSON.stringify(before['action'])}); to revert this puts that one back.`,
        ]),
  ];
}
