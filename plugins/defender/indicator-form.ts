import type { WantedForm } from '#provider-sdk';
import type { Indicator, IndicatorAction, IndicatorBody } from './indicator.js';
import type { IndicatorTarget } from './indicator-value.js';

/** What one action wants an indicator to be, besides its target and its end. */
export interface IndicatorForm {
  readonly action: IndicatorAction;
  readonly title: string;
  /** With the marker of its action at its end. */
  readonly description: string;
  readonly severity: string;
  readonly generateAlert: boolean;
  readonly recommendedActions?: string | undefined;
  readonly educateUrl?: string | undefined;
  /** Device groups it is for. Absent: all. */
  readonly rbacGroupNames?: readonly string[] | undefined;
}

/** What all owners together want: one indicator. */
export interface WantedIndicator {
  readonly form: IndicatorForm;
  /** When Defender is to lift it by itself; null: never. */
  readonly until: Date | null;
  /** Owners that want just this action of it. */
  readonly owners: number;
  /** Actions of other owners, which it stands in place of; the last of them comes back when these have left. */
  readonly inPlaceOf: readonly string[];
}

/**
 * Of several owners' forms, the action of the one that came last. Among those that want this action too, everybody gets what
 * was asked for: the latest end, all device groups, an alert where one wants it; words and severity are of the last.
 *
 * @returns null where nobody wants any
 */
export function wantedOf(forms: readonly WantedForm[]): WantedIndicator | null {
  const now = Date.now();
  const wishes = forms
    // By our clock, too: Defender refuses an end that is past.
    .filter(({ until }) => until === null || until.getTime() > now)
    .map(({ form, until }) => ({ form: JSON.parse(form) as IndicatorForm, until }));
  const last = wishes.at(-1);
  if (last === undefined) return null;
  const { action } = last.form;
  const same = wishes.filter(({ form }) => form.action === action);
  const groups = same.some(({ form }) => form.rbacGroupNames === undefined)
    ? undefined
    : [...new Set(same.flatMap(({ form }) => form.rbacGroupNames ?? []))];
  return {
    form: {
      ...last.form,
      generateAlert: same.some(({ form }) => form.generateAlert),
      rbacGroupNames: groups,
    },
    until: same.some(({ until }) => until === null)
      ? null
      : new Date(Math.max(...same.map(({ until }) => until?.getTime() ?? 0))),
    owners: same.length,
    inPlaceOf: [...new Set(wishes.map(({ form }) => form.action).filter((other) => other !== action))],
  };
}

/** What is sent to Defender to have it. */
export function bodyOf({ type, value }: IndicatorTarget, { form, until }: WantedIndicator): IndicatorBody {
  const { recommendedActions, educateUrl, rbacGroupNames, ...rest } = form;
  return {
    indicatorValue: value,
    indicatorType: type,
    application: 'riposte',
    ...rest,
    ...(recommendedActions === undefined ? {} : { recommendedActions }),
    ...(educateUrl === undefined ? {} : { educateUrl }),
    ...(rbacGroupNames === undefined ? {} : { rbacGroupNames }),
    ...(until === null ? {} : { expirationTime: until.toISOString() }),
  };
}

/** What of a wanted one decides whether one that was written has to be written again. */
export function essenceOf({ form, until }: WantedIndicator): string {
  const { action, generateAlert, rbacGroupNames } = form;
  const groups = rbacGroupNames === undefined ? null : rbacGroupNames.toSorted();
  return JSON.stringify([action, until?.toISOString() ?? null, generateAlert, groups]);
}

/** True where an indicator that somebody else made does all that is wanted. */
export function doesFor(there: Indicator, { form, until }: WantedIndicator): boolean {
  const theirs = there.rbacGroupNames ?? [];
  return (
    there.action === form.action &&
    lastsUntil(there, until) &&
    (theirs.length === 0 || form.rbacGroupNames?.every((group) => theirs.includes(group)) === true)
  );
}

/** @param graceMs milliseconds that it may end before */
export function lastsUntil({ expirationTime }: Indicator, until: Date | null, graceMs = 0): boolean {
  if (expirationTime == null) return true;
  return until !== null && Date.parse(expirationTime) >= until.getTime() - graceMs;
}
