import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

/** The list of regular expressions that are not proved with each check, against proofs that may take their time. */

const RULE = './linear-regexps.mjs';
const { proofOf } = (await import(RULE)) as {
  readonly proofOf: (source: string, flags: string) => { readonly status: 'safe' | 'vulnerable' | 'unknown' };
};
const judged = JSON.parse(
  await readFile(path.join(import.meta.dirname, 'judged-regexps.json'), 'utf8'),
) as Readonly<Record<string, string>>;

describe('a regular expression that was judged by hand', () => {
  it.each(Object.entries(judged))(
    '%s is proved where the list says so, and else cannot be',
    (literal, why) => {
      const end = literal.lastIndexOf('/');
      const { status } = proofOf(literal.slice(1, end), literal.slice(end + 1));
      expect(status).toBe(why.startsWith('Proved') ? 'safe' : 'unknown');
    },
    130_000,
  );
});
