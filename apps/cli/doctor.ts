import { Command } from 'commander';
import type { Finding } from './doctor/finding.js';

const MARKS = { ok: 'ok', unknown: 'unknown', warning: 'WARNING', problem: 'PROBLEM' } as const;
const WIDTH = Math.max(...Object.values(MARKS).map(({ length }) => length)) + 2;

/** `riposte doctor`: looks at all that an installation needs, and says what to do where something is wrong. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description(
      'Check configuration, databases, issuers, providers, workers and files. Run it where, and as who, a worker runs. Exits with 1 where there is a problem.',
    )
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const [{ examine }, { VERSION }] = await Promise.all([
        import('./doctor/examine.js'),
        import('#domain'),
      ]);
      const findings = await examine(process.env, process.cwd());
      const count = (level: Finding['level']) => findings.filter((one) => one.level === level).length;
      const [problems, warnings] = [count('problem'), count('warning')];
      const text =
        json === true
          ? `${JSON.stringify({ version: VERSION, problems, warnings, findings })}\n`
          : `${findings.map(described).join('')}\n${summary(problems, warnings)}\n`;
      // Whatever still hangs is not waited for.
      process.stdout.write(text, () => process.exit(problems > 0 ? 1 : 0));
    });
}

function described({ level, code, about, message, fix, docs }: Finding): string {
  const what = `${code}${about === null ? '' : ` ${about}`}`;
  const line = `${MARKS[level].padEnd(WIDTH)}${what}: ${message}`;
  const lines = fix === null ? [line] : [line, `${' '.repeat(WIDTH)}→ ${fix} See ${docs}`];
  // What comes from elsewhere may not steer the terminal.
  return lines.map((one) => `${one.replaceAll(/\p{Cc}+/gu, ' ')}\n`).join('');
}

function summary(problems: number, warnings: number): string {
  if (problems + warnings === 0) return 'Nothing is wrong, as far as can be seen from here.';
  const counted = (count: number, name: string) => `${count} ${name}${count === 1 ? '' : 's'}`;
  return `${counted(problems, 'problem')}, ${counted(warnings, 'warning')}.`;
}
