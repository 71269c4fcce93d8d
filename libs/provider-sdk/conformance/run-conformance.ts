import { checkConformance } from './check-conformance.js';
import type { ConformanceOptions } from './options.js';
import { formatReport, type ConformanceReport } from './report.js';

/**
 * For a script of the author's, `node conformance.js`: checks, prints the report to stdout and sets the exit code: 0 when
 * the plugin conforms, 1 when it does not, 2 when it could not be tried (why, on stderr). Does not end the process, so
 * stop the simulator afterwards.
 */
export async function runConformance(options: ConformanceOptions): Promise<ConformanceReport | null> {
  try {
    const report = await checkConformance(options);
    process.stdout.write(formatReport(report));
    process.exitCode = report.passed ? 0 : 1;
    return report;
  } catch (error) {
    process.stderr.write(
      `The plugin could not be tried: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = 2;
    return null;
  }
}
