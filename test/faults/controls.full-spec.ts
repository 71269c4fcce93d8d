import { describe, expect, it } from 'vitest';
import { CONTROLS } from './controls.js';
import { countOf, runFaults } from './running.js';

const MINUTES = 60_000;

describe('a campaign against', () => {
  it.each(CONTROLS)(
    '$name fails, and shows $shows',
    async ({ args, shows }) => {
      const { code, output } = await runFaults(args);
      expect(countOf(output, shows), output).toBeGreaterThan(0);
      expect(code).toBe(1);
    },
    6 * MINUTES,
  );
});
