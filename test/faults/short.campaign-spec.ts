import { describe, expect, it } from 'vitest';
import { countOf, runFaults } from './running.js';

/** The short form of the campaign of `npm run faults`; that it can fail is shown by controls.full-spec.ts. */

const MINUTES = 60_000;

describe('300 actions under five faults', () => {
  it(
    'none lost, none done twice, none stuck, no illegal history, no untrue answer, and all of it audited',
    async () => {
      const { code, output } = await runFaults(['--seed', '14', '--actions', '300', '--faults', '5']);
      expect(output).toContain('PASSED');
      expect(code).toBe(0);
      expect(countOf(output, 'acknowledged')).toBeGreaterThanOrEqual(300);
      for (const name of [
        'lost',
        'duplicated',
        'stuck',
        'illegal histories',
        'untrue',
        'breaks of the audit record',
      ])
        expect(countOf(output, name)).toBe(0);
    },
    6 * MINUTES,
  );
});
