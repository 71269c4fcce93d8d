import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { readOptions } from './options.js';

describe('the options of npm run bench', () => {
  it('are five rounds of the product beside its yardsticks where none is given', () => {
    expect(readOptions([])).toMatchObject({
      rounds: 5,
      seconds: 8,
      connections: [1, 32, 256],
      only: ['raw', 'pipelines', 'start'],
      profile: false,
    });
  });

  it('take several sections and numbers of connections', () => {
    const options = readOptions(['--only', 'growth', 'processes', '--connections', '8,64', '--rounds', '7']);
    expect(options).toMatchObject({ only: ['growth', 'processes'], connections: [8, 64], rounds: 7 });
  });

  it('give the directory of the report as a whole path', () =>
    expect(readOptions(['--out', 'here']).out).toBe(path.resolve('here')));

  it.each([
    ['--rounds', '0'],
    ['--seconds', 'long'],
    ['--connections', '32,'],
    ['--samples', '1.5'],
    ['--only', 'everything'],
    ['--json', 'file'],
  ])('refuse %s %s, and say so', (...args) => {
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      expect(() => readOptions(args)).toThrow(expect.objectContaining({ exitCode: 1 }));
      expect(said.mock.calls.join('')).toContain(args[0]);
    } finally {
      said.mockRestore();
    }
  });
});
