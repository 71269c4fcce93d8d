import { Type, type Json, type Static } from '#provider-sdk';
import { maybeText } from './defender-api.js';
import type { IndicatorTarget } from './indicator-value.js';

/** What an indicator does. */
export type IndicatorAction = 'Allowed' | 'Audit' | 'Warn' | 'Block' | 'BlockAndRemediate';

const maybe = <const Known extends ReturnType<typeof Type.Boolean | typeof Type.Array>>(known: Known) =>
  Type.Optional(Type.Union([known, Type.Null()]));

/** Defender's record of an indicator, as far as it is read. */
export const indicatorSchema = Type.Object({
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
export type Indicator = Static<typeof indicatorSchema>;

export const indicatorList = Type.Object({ value: Type.Array(indicatorSchema) });

/** What is sent to have an indicator. */
export type IndicatorBody = { readonly [name: string]: Json };

/** What stands at Defender for a target. */
export interface IndicatorState {
  /** Of this very type and value. */
  readonly current: Indicator | null;
  /** Allows of others that go before a Block or Warn of it. */
  readonly defeatedBy: readonly Indicator[];
}

export function isOf(
  { indicatorType, indicatorValue }: Indicator,
  { type, value }: IndicatorTarget,
): boolean {
  return indicatorType === type && indicatorValue.toLowerCase() === value.toLowerCase();
}

/** What has to be sent to have it again; ids and authors are Defender's to give. */
export function restorable(indicator: Indicator): IndicatorBody {
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

/** True for what would be over as soon as it is set. */
export function isOver({ expirationTime }: IndicatorBody): boolean {
  return typeof expirationTime === 'string' && Date.parse(expirationTime) <= Date.now();
}

/** The body in a record that has one as `previous`; null where there was nothing, undefined where it does not say. */
export function previousIn(record: Json): IndicatorBody | null | undefined {
  if (typeof record !== 'object' || record === null || !('previous' in record)) return undefined;
  const { previous } = record;
  return typeof previous === 'object' && previous !== null && !Array.isArray(previous)
    ? (previous as IndicatorBody)
    : null;
}

/** What a result shows of an indicator. */
export function shown({
  id,
  indicatorType,
  indicatorValue,
  action,
  expirationTime,
}: Indicator): IndicatorBody {
  return {
    indicatorId: String(id),
    indicatorType,
    indicatorValue,
    action,
    expirationTime: expirationTime ?? null,
  };
}

/** What a caller has to know who thinks that it works now. */
export function defeatWarnings(action: string, defeatedBy: readonly Indicator[]): readonly string[] {
  if (action === 'Allowed') return [];
  return defeatedBy.map(
    ({ id, indicatorType, indicatorValue, createdByDisplayName }) =>
      `Indicator ${id} of ${createdByDisplayName ?? 'somebody'} allows ${indicatorType} ${indicatorValue}, and an allow goes before a block: this has no effect until that one is removed.`,
  );
}
