import { describe, expect, it } from 'vitest';
import { CONTROLS } from './controls.js';
import { countOf, runFaults } from './running.js';

/** The short form of the campaign of `npm run faults`, and one of those that have to fail. */

const MINUTES = 60_000;
const DAY_MS = 86_400_000;
/** Another one each day; RIPOSTE_CONTROL names one. */
const wanted = process.env['RIPOSTE_CONTROL'];
const control =
  CONTROLS.find(({ name }) => name === wanted) ?? CONTROLS[Math.floor(Date.now() / DAY_MS) % CONTROLS.length];

describe('300 actions under five faults', () => {
  it(
    'none lost, none done twice, none stuck, no illegal history, no untrue answer',
    async () => {
      const { code, output } = await runFaults(['--seed', '14', '--actions', '300', '--faults', '5']);
      expect(output).toContain('PASSED');
      expect(code).toBe(0);
      expect(countOf(output, 'acknowledged')).toBeGreaterThanOrEqual(300);
      for (const name of ['lost', 'duplicated', 'stuck', 'illegal histories', 'untrue'])
        expect(countOf(output, name)).toBe(0);
    },
    6 * MINUTES,
  );

  it(
    `would be seen to fail: ${control?.name}`,
    async () => {
      if (control === undefined) throw new Error('there is no control');
      const { code, output } = await runFaults(control.args);
      expect(countOf(output, control.shows), output).toBeGreaterThan(0);
      expect(code).toBe(1);
    },
    6 * MINUTES,
  );
});
