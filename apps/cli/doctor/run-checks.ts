import { Findings, reasonOf, type Finding } from './finding.js';

/** One thing to look at. */
export interface Check {
  /** For people. */
  readonly name: string;
  /** Milliseconds after which it is left alone. */
  readonly withinMs: number;
  readonly run: (findings: Findings) => Promise<void>;
}

/** Runs all at the same time, each within its bound; one that hangs or fails is a finding, and stops no other. */
export async function runChecks(checks: readonly Check[]): Promise<readonly Finding[]> {
  return (await Promise.all(checks.map(bounded))).flat();
}

async function bounded({ name, withinMs, run }: Check): Promise<readonly Finding[]> {
  const findings = new Findings();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), withinMs);
  });
  try {
    if ((await Promise.race([run(findings), late])) === 'late') {
      findings.problem(
        'doctor.time',
        `was left alone after ${withinMs / 1000} s`,
        'What is told of it above is all that was found until then: look at what does not answer.',
        name,
      );
    }
  } catch (error) {
    findings.problem(
      'doctor.failed',
      `could not be looked at: ${reasonOf(error)}`,
      'Put right what is told here, and run it again.',
      name,
    );
  } finally {
    clearTimeout(timer);
  }
  // What comes late is not told any more.
  return findings.all;
}
