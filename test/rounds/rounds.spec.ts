import { describe, expect, it } from 'vitest';
import { Rounds, type RoundsOptions } from '#rounds';
import { eventually } from '../support/eventually.js';

/** Rounds that fail where they are told to, with what the log is told. */
function scene(fails: (round: number) => boolean, options: Partial<RoundsOptions> = {}) {
  const told: unknown[][] = [];
  let count = 0;
  const rounds = new Rounds({
    periodMs: 1,
    round: async () => {
      count += 1;
      if (fails(count)) throw new Error(`no primary ${count}`);
    },
    failed: 'it waits',
    log: {
      info: (...given: unknown[]) => void told.push(['info', ...given]),
      warn: (...given: unknown[]) => void told.push(['warn', ...given]),
    },
    ...options,
  });
  return { rounds, told, count: () => count };
}

describe('what is done in rounds', () => {
  it('goes on after rounds that failed, each of which the log is told', async () => {
    const { rounds, told, count } = scene((round) => round < 3);
    rounds.start();
    await eventually(() => count() > 3);
    await rounds.stop();
    expect(told).toEqual([
      ['warn', { error: 'Error: no primary 1' }, 'it waits'],
      ['warn', { error: 'Error: no primary 2' }, 'it waits'],
    ]);
  });

  it('tells the log of the first failure in a row and of its end, where it is said what it is told then', async () => {
    const { rounds, told, count } = scene((round) => round !== 1 && round !== 4 && round < 6, {
      recovered: 'it goes on',
    });
    rounds.start();
    await eventually(() => count() > 6);
    await rounds.stop();
    expect(told).toEqual([
      ['warn', { error: 'Error: no primary 2' }, 'it waits'],
      ['info', {}, 'it goes on'],
      ['warn', { error: 'Error: no primary 5' }, 'it waits'],
      ['info', {}, 'it goes on'],
    ]);
  });

  it('begins where it is said to, and again when the round wants it', async () => {
    let count = 0;
    const { rounds } = scene(() => false, {
      periodMs: 3_600_000,
      firstMs: 0,
      round: () => {
        count += 1;
        return Promise.resolve(count < 3 ? 1 : undefined);
      },
    });
    rounds.start();
    await eventually(() => count === 3);
    await rounds.stop();
    expect(count).toBe(3);
  });

  it('ends after the round under way', async () => {
    let end = (): void => undefined;
    let count = 0;
    const { rounds } = scene(() => false, {
      round: () => {
        count += 1;
        return new Promise<void>((resolve) => (end = resolve));
      },
    });
    rounds.start();
    await eventually(() => count === 1);
    let isOver = false;
    const stopped = rounds.stop().then(() => (isOver = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isOver).toBe(false);
    end();
    await stopped;
    rounds.start();
    expect(count).toBe(1);
  });
});
