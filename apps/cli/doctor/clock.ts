import type { FindingCode, Findings } from './finding.js';

/** Milliseconds: what the way there and back may make of clocks that are right. */
const WARN_MS = 2000;
/** Tokens of another clock are taken for 60 s at most. */
const PROBLEM_MS = 30_000;

/**
 * Tells how a server's clock and this machine's go together.
 * @param aheadMs milliseconds that the server's is ahead; null: it does not say
 */
export function tellClock(
  findings: Findings,
  code: FindingCode,
  server: string,
  aheadMs: number | null,
): void {
  if (aheadMs === null) {
    findings.unknown(code, `${server} does not tell this user its time`);
    return;
  }
  const offMs = Math.abs(aheadMs);
  if (offMs < WARN_MS) {
    findings.ok(code, `${server}'s clock and this machine's agree`);
    return;
  }
  const seconds = (offMs / 1000).toFixed(1);
  findings[offMs < PROBLEM_MS ? 'warning' : 'problem'](
    code,
    `${server}'s clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine's`,
    'Have both set by NTP (chrony, systemd-timesyncd).',
  );
}
