import { describe, expect, it } from 'vitest';
import type { EntryWritten, LedgerEntry } from '#provider-sdk';
import { difference } from '../../plugins/firewall/index.js';

/** What is to be changed on a device: the case table of leases. */

const entry = (
  value: string,
  owners: number,
  written: EntryWritten,
  leftMs: number | null = null,
): LedgerEntry => ({ value, owners, settled: owners, written, leftMs, revision: 1, forms: [] });
const on = (value: string, leftMs: number | null = null, isMarked?: boolean) => ({
  value,
  leftMs,
  ...(isMarked === undefined ? {} : { isMarked }),
});
const PLAIN = { expires: true, covers: true };

describe('an entry that is wanted', () => {
  it.each([
    ['is added where it is not there', 'no', false, { add: true, state: 'written' }],
    ['is left alone where it was there before us', 'no', true, { add: false, state: 'foreign' }],
    [
      'is ours where a write of ours was about to be made',
      'intended',
      true,
      { add: false, state: 'written' },
    ],
    ['is put back where it was lost', 'yes', false, { add: true, state: 'written' }],
    ['becomes ours when the foreign one is gone', 'foreign', false, { add: true, state: 'written' }],
  ] as const)('%s', (_title, written, isThere, expected) => {
    const found = difference([entry('192.0.2.1', 1, written)], isThere ? [on('192.0.2.1')] : [], PLAIN);
    expect(found.add.length === 1).toBe(expected.add);
    expect(found.states.get('192.0.2.1')?.kind).toBe(expected.state);
    expect(found.remove).toEqual([]);
  });

  it('gets its time set again where the device has another', () => {
    const found = difference([entry('192.0.2.1', 2, 'yes', 60_000)], [on('192.0.2.1', 10_000)], PLAIN);
    expect(found.add).toEqual([{ value: '192.0.2.1', leftMs: 60_000 }]);
  });

  it('keeps its time where the device cannot keep one', () => {
    const found = difference([entry('192.0.2.1', 1, 'yes', 60_000)], [on('192.0.2.1')], {
      ...PLAIN,
      expires: false,
    });
    expect(found.add).toEqual([]);
  });
});

describe('the time of an entry', () => {
  it('is left alone where the device does not say it', () => {
    const found = difference([entry('192.0.2.1', 1, 'yes', 60_000)], [{ value: '192.0.2.1' }], PLAIN);
    expect(found.add).toEqual([]);
  });

  it('is none on the device where it is longer than that can keep', () => {
    const wanted = [entry('192.0.2.1', 1, 'yes', 60_000), entry('192.0.2.2', 1, 'no', 60_000)];
    const found = difference(wanted, [on('192.0.2.1')], { ...PLAIN, longestMs: 30_000 });
    expect(found.add).toEqual([{ value: '192.0.2.2', leftMs: null }]);
  });
});

describe('an entry that nobody wants', () => {
  it.each([
    ['is removed where we wrote it', 'yes', true, true],
    ['is removed where we were about to write it', 'intended', true, true],
    ['stays where it was there before us', 'foreign', true, false],
    ['stays where we never wrote it', 'no', true, false],
    ['needs nothing where the device dropped it', 'yes', false, false],
  ] as const)('%s', (_title, written, isThere, isRemoved) => {
    const found = difference([entry('192.0.2.1', 0, written)], isThere ? [on('192.0.2.1')] : [], PLAIN);
    expect(found.remove).toEqual(isRemoved ? ['192.0.2.1'] : []);
    expect(found.add).toEqual([]);
    expect(found.states.get('192.0.2.1')).toEqual({ kind: 'gone', isLeft: isThere && !isRemoved });
  });
});

describe('networks that hold others', () => {
  it('a narrower one is not written beside the wider one that holds it', () => {
    const found = difference([entry('192.0.2.0/24', 1, 'no'), entry('192.0.2.1', 1, 'no')], [], PLAIN);
    expect(found.add.map(({ value }) => value)).toEqual(['192.0.2.0/24']);
    expect(found.states.get('192.0.2.1')).toEqual({ kind: 'covered', by: '192.0.2.0/24' });
  });

  it('a narrower one makes room for a wider one', () => {
    const found = difference(
      [entry('2001:db8::/48', 1, 'no'), entry('2001:db8::1', 1, 'yes')],
      [on('2001:db8::1')],
      PLAIN,
    );
    expect(found).toMatchObject({ remove: ['2001:db8::1'], add: [{ value: '2001:db8::/48' }] });
  });

  it('a narrower one comes back when the wider one goes', () => {
    const found = difference(
      [entry('192.0.2.0/24', 0, 'yes'), entry('192.0.2.1', 1, 'no')],
      [on('192.0.2.0/24')],
      PLAIN,
    );
    expect(found).toMatchObject({ remove: ['192.0.2.0/24'], add: [{ value: '192.0.2.1' }] });
  });

  it('a foreign one covers, too, and is never touched', () => {
    const found = difference([entry('192.0.2.1', 1, 'no')], [on('192.0.2.0/25')], PLAIN);
    expect(found).toMatchObject({ remove: [], add: [] });
    expect(found.states.get('192.0.2.1')).toEqual({ kind: 'covered', by: '192.0.2.0/25' });
  });

  it('stand side by side where the device allows it', () => {
    const found = difference([entry('192.0.2.0/24', 1, 'no'), entry('192.0.2.1', 1, 'no')], [], {
      ...PLAIN,
      covers: false,
    });
    expect(found.add).toHaveLength(2);
  });
});

describe('an entry that nobody knows of', () => {
  it('is removed by maintenance where the device itself shows that it is ours', () => {
    const device = [on('192.0.2.1', null, true), on('192.0.2.2')];
    expect(difference([], device, PLAIN, true).remove).toEqual(['192.0.2.1']);
    expect(difference([], device, PLAIN).remove).toEqual([]);
  });
});
