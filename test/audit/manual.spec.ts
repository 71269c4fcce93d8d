import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { AUDIT_KINDS } from '#audit';
import { PROJECT_DIR } from '../support/project-dir.js';

describe('docs/audit.md', () => {
  it('lists all that is recorded, and nothing else', async () => {
    const page = await readFile(path.join(PROJECT_DIR, 'docs/audit.md'), 'utf8');
    const listed = [...page.matchAll(/^\| `([a-z]+\.[A-Za-z]+)` +\|/gm)].map(([, kind = '']) => kind);
    expect(listed.toSorted()).toEqual([...AUDIT_KINDS].toSorted());
  });
});
