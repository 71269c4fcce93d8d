/** Every check, in the order in which they run. Each is explained in docs/plugins/conformance.md. */
export const CHECKS = {
  schemaRoundTrip: 'parameters survive the way from a caller to the plugin',
  manifestClaims: 'what the manifest claims, the calls do',
  readOnlyCalls: 'questions change nothing',
  executeTwice: 'one key is one effect',
  killBeforeSave: 'a worker that dies before the operation is saved loses nothing and repeats nothing',
  lostAnswer: 'an answer that is lost is told as unknownOutcome',
  killAfterSave: 'after the operation is saved it is polled only',
  cancelBeforeSubmit: 'a cancel before submission leaves the vendor alone',
  cancelWhilePending: 'a cancel stops work that is under way',
  cancelAfterDone: 'a cancel after the end says tooLate',
  cancelRace: 'a cancel that races with the end tells what really happened',
  rateLimited: 'a storm of 429 loses nothing and is not answered with more requests',
  declaredQuota: 'requests stay under the declared quota',
  unknownStatus: 'a status never heard of is not taken for an end',
  deadline: 'a call past its time comes back and claims nothing',
  shutdown: 'a stop of the worker leaves remote work alone',
  revertTwice: 'to undo twice is to undo once',
  revertPreexisting: 'what was there before is not undone',
  onlyContextHttp: 'the vendor is reached by context.http alone',
  separateTokens: 'two instances never share credentials',
  secretsStayInside: 'secrets are in nothing that the plugin says',
} as const;
export type CheckId = keyof typeof CHECKS;

export const CHECK_IDS = Object.keys(CHECKS) as readonly CheckId[];

/** One thing that is wrong. */
export interface Problem {
  /** The action that showed it; null: it is about the plugin. */
  readonly action: string | null;
  /** What was expected and what was seen. */
  readonly what: string;
  /** What the author can do. */
  readonly fix: string;
}

export type Verdict =
  | { readonly outcome: 'passed' }
  /** Each problem once. */
  | { readonly outcome: 'failed'; readonly problems: readonly Problem[] }
  | { readonly outcome: 'notApplicable'; readonly why: string };

export type CheckResult = Verdict & { readonly id: CheckId; readonly title: string };

export interface ConformanceReport {
  /** `vendor/provider version` of the manifest. */
  readonly plugin: string;
  /** True when no check failed. */
  readonly passed: boolean;
  readonly checks: readonly CheckResult[];
  /** Actions that were not tried, with why. */
  readonly leftOut: Readonly<Record<string, string>>;
}

const MARKS = { passed: 'ok  ', failed: 'FAIL', notApplicable: '-   ' } as const;

/** The report as text for a terminal, a line for each check. */
export function formatReport(report: ConformanceReport): string {
  const lines = [`Conformance of ${report.plugin}`, ''];
  for (const check of report.checks) {
    lines.push(`${MARKS[check.outcome]}  ${check.id}: ${check.title}`);
    if (check.outcome === 'notApplicable') lines.push(`        not applicable: ${check.why}`);
    if (check.outcome === 'failed') {
      for (const { action, what, fix } of check.problems)
        lines.push(`        ${action === null ? '' : `${action}: `}${what}`, `          do: ${fix}`);
    }
  }
  for (const [action, why] of Object.entries(report.leftOut))
    lines.push(`-     ${action} was left out: ${why}`);
  const count = (outcome: Verdict['outcome']): number =>
    report.checks.filter((check) => check.outcome === outcome).length;
  lines.push(
    '',
    `${count('passed')} passed, ${count('failed')} failed, ${count('notApplicable')} not applicable: ${report.passed ? 'conforms' : 'does not conform'}.`,
  );
  return `${lines.join('\n')}\n`;
}
