import { describe, expect, it } from 'vitest';
import { CATALOGUE } from './catalogue.js';
import { runFaults } from './running.js';

const MINUTES = 60_000;
/** As it says so: what a machine cannot cause is not passed over in silence. */
const CANNOT = 2;
const ids = [...new Set(CATALOGUE.map(({ id }) => id))];

describe('a long campaign', () => {
  it(
    'of all faults at random passes',
    async () => {
      const { code, output } = await runFaults(['--seed', '2026', '--actions', '2000', '--faults', '20']);
      expect(output).toContain('PASSED');
      expect(code).toBe(0);
    },
    10 * MINUTES,
  );

  it.each(ids)(
    'of %s alone passes, or says that this machine cannot cause it',
    async (id) => {
      const counts = ['--seed', '7', '--actions', '200', '--faults', '4'];
      const { code, output } = await runFaults([...counts, '--only', id]);
      if (code === CANNOT) return expect(output).toContain('CANNOT BE CAUSED ON THIS MACHINE');
      expect(output).toContain('PASSED');
      expect(code).toBe(0);
    },
    10 * MINUTES,
  );
});
