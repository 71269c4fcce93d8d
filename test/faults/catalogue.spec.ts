import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { PROJECT_DIR } from '../support/project-dir.js';
import { CATALOGUE, CHOICES, chosen } from './catalogue.js';

const page = readFileSync(path.join(PROJECT_DIR, 'docs/guarantees.md'), 'utf8');
const COMBINED = 'F20';

describe('the catalogue of faults', () => {
  it('has every class from F1 to F21', () => {
    const all = Array.from({ length: 21 }, (_, index) => `F${index + 1}`);
    expect(all.filter((id) => id !== COMBINED && !CATALOGUE.some((fault) => fault.id === id))).toEqual([]);
    expect(all.every((id) => CHOICES.includes(id))).toBe(true);
  });

  it('is the table of docs/guarantees.md, kinds included', () => {
    const rows = [...page.matchAll(/^\| (F\d+) +\| ([^|]*)\|/gm)].map(([, id = '', kinds = '']) => ({
      id,
      kinds: kinds
        .replace(/\(.*\)/, '')
        .split(',')
        .map((kind) => kind.trim()),
    }));
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 21 }, (_, index) => `F${index + 1}`));
    for (const { id, kinds } of rows.filter((row) => row.id !== COMBINED)) {
      const declared = new Set(CATALOGUE.filter((fault) => fault.id === id).map(({ kind }) => kind));
      expect([id, kinds.toSorted()]).toEqual([id, [...declared].toSorted()]);
    }
  });

  it('draws at random from all but those that are only asked for', () => {
    const ids = (only: readonly string[]): string[] => [...new Set(chosen(only).map(({ id }) => id))];
    expect(ids([])).toEqual(ids([COMBINED]));
    expect(ids([])).not.toContain('F18');
    expect(ids([])).not.toContain('F21');
    expect(ids(['F18'])).toEqual(['F18']);
    expect(ids(['redis'])).toEqual(['F4', 'F5', 'F6', 'F7', 'F8']);
    expect(ids(['mongo', 'F12'])).toEqual(['F9', 'F10', 'F12']);
  });
});
