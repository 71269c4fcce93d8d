import type { Campaign } from './campaign.js';
import { isClean, refusals, type Finding } from './checker.js';
import type { Creation, Evidence } from './evidence.js';

/** Findings of one kind that are printed; the JSON report has all. */
const SHOWN = 8;

/** True when nothing was found, and as much was acknowledged as was asked for. */
export function hasPassed({ verdict }: Campaign, actions: number): boolean {
  return isClean(verdict) && verdict.acknowledged >= actions;
}

/** The campaign as people read it. The last line says whether it passed. */
export function reportOf(campaign: Campaign, actions: number): string {
  const { verdict, evidence, crashes, seconds, dir } = campaign;
  const counts = {
    acknowledged: verdict.acknowledged,
    lost: verdict.lost.length,
    duplicated: verdict.duplicated.length,
    stuck: verdict.stuck.length,
    'illegal histories': verdict.illegal.length,
    untrue: verdict.untrue.length,
    'unexplained outcome unknown': verdict.unexplained.length,
    'shown to another tenant': verdict.leaked.length,
    'breaks of the audit record': verdict.unaudited.length,
  };
  const lines = [
    '',
    ...Object.entries(counts).map(([name, count]) => `${name.padEnd(28)} ${count}`),
    '',
    `outcome unknown, explained    ${verdict.outcomeUnknown - verdict.unexplained.length}`,
    `ends                          ${JSON.stringify(verdict.ends)}`,
    `cancels answered              ${JSON.stringify(answers(evidence))}`,
    `creates refused               ${JSON.stringify(refusals(evidence.creations))}`,
    `creates while Redis was away  ${whileRedisWasAway(evidence)}`,
    `faults                        ${evidence.faults.length}, processes ended by one ${crashes} times`,
    `time                          ${seconds.toFixed(0)} s`,
    '',
    'recovery: milliseconds until an action that was held up went on; alone: while no other fault was at work',
    ...recoveryTable(evidence),
    '',
    ...findings('lost', verdict.lost),
    ...findings('duplicated', verdict.duplicated),
    ...findings('stuck', verdict.stuck),
    ...findings('illegal', verdict.illegal),
    ...findings('untrue', verdict.untrue),
    ...findings('unexplained', verdict.unexplained),
    ...findings('leaked', verdict.leaked),
    ...findings('unaudited', verdict.unaudited),
    `0 of ${verdict.acknowledged} bounds the true rate of each below ${(3 / Math.max(1, verdict.acknowledged)).toExponential(1)} at 95 % (rule of three); it does not say "never".`,
    `logs: ${dir}`,
    verdict.acknowledged < actions ? `only ${verdict.acknowledged} of ${actions} were acknowledged` : '',
    hasPassed(campaign, actions) ? 'PASSED' : 'FAILED',
  ];
  return lines.join('\n');
}

/** p50, p99 and the most of a list. */
function percentiles(values: readonly number[]): {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
} {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? Number.NaN };
}

/** Milliseconds until held-up actions went on, by the fault's title; `alone` of those no other fault can have delayed. */
export function recoveriesByFault({
  recoveries,
  faults,
}: Evidence): Readonly<
  Record<string, { readonly all: readonly number[]; readonly alone: readonly number[] }>
> {
  const byFault: Record<string, { all: number[]; alone: number[] }> = {};
  for (const { number, label, from, at } of recoveries) {
    const group = (byFault[label] ??= { all: [], alone: [] });
    group.all.push(at - from);
    const isDisturbed = faults.some(
      (other) => other.number !== number && other.beganAt <= at && other.healedAt >= from,
    );
    if (!isDisturbed) group.alone.push(at - from);
  }
  return byFault;
}

function recoveryTable(evidence: Evidence): readonly string[] {
  const ordinal = (label: string): number => Number(label.slice(1).split(' ')[0]);
  return Object.entries(recoveriesByFault(evidence))
    .toSorted(([one], [other]) => ordinal(one) - ordinal(other))
    .map(([label, { all, alone }]) => `  ${label.padEnd(88)} ${figures(all)}   alone: ${figures(alone)}`);
}

function figures(values: readonly number[]): string {
  if (values.length === 0) return 'n 0';
  const { p50, p99, max } = percentiles(values);
  return `n ${values.length} p50 ${p50} p99 ${p99} max ${max}`;
}

/** Creates that only a fault of Redis could have slowed down. */
function whileRedisWasAway({ creations, faults }: Evidence): string {
  const overlaps = ({ sentAt, ms }: Creation, kinds: readonly string[]): boolean =>
    faults.some(
      ({ kind, beganAt, healedAt }) => kinds.includes(kind) && beganAt <= sentAt + ms && healedAt >= sentAt,
    );
  const away = creations.filter(
    (one) => overlaps(one, ['redis']) && !overlaps(one, ['mongo', 'api', 'network', 'all']),
  );
  if (away.length === 0) return 'none';
  const { p50, p99, max } = percentiles(away.map(({ ms }) => ms));
  const refused = away.filter(({ id }) => id === null).length;
  return `${away.length}, refused ${refused}, p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, max ${max.toFixed(0)} ms`;
}

function answers({ cancels }: Evidence): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of cancels) counts[status || 'none'] = (counts[status || 'none'] ?? 0) + 1;
  return counts;
}

function findings(name: string, list: readonly Finding[]): readonly string[] {
  const shown = list.slice(0, SHOWN).map(({ id, why }) => `${name}: ${id}: ${why}`);
  return list.length > SHOWN ? [...shown, `${name}: … ${list.length - SHOWN} more`] : shown;
}
