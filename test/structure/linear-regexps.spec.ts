import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { PROJECT_DIR } from '../support/project-dir.js';

/** The rule of oxlint by which regular expressions of the product are linear, and its list of those judged by hand. */

const RULE = './linear-regexps.mjs';
const { problemOf } = (await import(RULE)) as {
  readonly problemOf: (source: string, flags: string, judged?: object) => string | null;
};
const judged = JSON.parse(
  await readFile(path.join(import.meta.dirname, 'judged-regexps.json'), 'utf8'),
) as Readonly<Record<string, string>>;

describe('the check of regular expressions', () => {
  it.each([
    ['(a+)+$', /exponential/i],
    ['^\\s*(.*?)\\s*$', /polynomial|2nd/i],
    ['(?<!x)a+$', /Nothing proves/],
    ['(a*)b\\1', /Nothing proves/],
  ])('refuses %s', (source, message) => {
    expect(problemOf(source, '')).toMatch(message);
  });

  it('passes what is linear by proof, and what is on the list as it stands there', () => {
    expect(problemOf('^[a-z]+$', '')).toBeNull();
    const list = { '/(?<!x)a+$/g': 'A run is begun once.' };
    expect(problemOf('(?<!x)a+$', 'g', list)).toBeNull();
    expect(problemOf('(?<!x)a+$', 'y', list)).not.toBeNull();
  });
});

describe('the list of those judged by hand', () => {
  it('says why of each, and has none that is not in the code', async () => {
    const entries = await Promise.all(
      ['apps', 'libs', 'plugins', 'docs/.vitepress', 'docs/repository'].map((folder) =>
        readdir(path.join(PROJECT_DIR, folder), { recursive: true, withFileTypes: true }),
      ),
    );
    const sources = await Promise.all(
      entries
        .flat()
        .filter((entry) => entry.isFile() && /(?<!\.spec)\.(?:ts|tsx|mjs)$/.test(entry.name))
        .map(({ parentPath, name }) => readFile(path.join(parentPath, name), 'utf8')),
    );
    const code = sources.join('\n');
    expect(Object.values(judged).filter((why) => why.length < 10)).toEqual([]);
    expect(Object.keys(judged).filter((literal) => !code.includes(literal))).toEqual([]);
  });
});
