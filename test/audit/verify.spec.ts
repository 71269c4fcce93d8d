import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  AuditFormatError,
  CheckpointSigner,
  EMPTY,
  HeadsFile,
  INSTALLATION,
  entriesAfter,
  exportLines,
  verifyAudit,
  type AuditEntry,
  type AuditEvent,
  type Checkpoint,
} from '#audit';
import { TENANT_A, TENANT_B } from '../support/database.js';

const SIGNER = new CheckpointSigner(randomBytes(32));
const AT = '2026-01-01T00:00:00.000Z';

/** What is in a database: the record, its checkpoints, and what was kept apart from it. */
interface Held {
  entries: AuditEntry[];
  checkpoints: Checkpoint[];
  heads: string[];
}

function event(chain: string, index: number): AuditEvent {
  return {
    chain,
    at: AT,
    kind: 'provider.paused',
    by: { appId: 'app', user: `user-${index}`, address: '192.0.2.1' },
    about: { instance: 'mock' },
    details: { reason: `reason ${index}` },
    source: `event:${chain}:${index}`,
  };
}

function chained(chain: string, count: number, from = 0): AuditEntry[] {
  return [
    ...entriesAfter(
      EMPTY,
      Array.from({ length: count }, (_, index) => event(chain, from + index)),
    ),
  ];
}

function signed(entry: AuditEntry | undefined, signer = SIGNER): Checkpoint {
  if (entry === undefined) throw new Error('there is no such entry');
  return signer.sign(entry.chain, entry, new Date(AT));
}

/** Two tenants with ten entries each, the fifth and the tenth signed; the last head kept apart. */
function held(): Held {
  const [a, b] = [chained(TENANT_A, 10), chained(TENANT_B, 10, 100)];
  const checkpoints = [a[4], a[9], b[4], b[9]].map((entry) => signed(entry));
  return {
    entries: [...a, ...b],
    checkpoints,
    heads: checkpoints.map((checkpoint) => JSON.stringify(checkpoint)),
  };
}

/** As the product exports what a database holds. */
async function exported({ entries, checkpoints }: Held): Promise<string[]> {
  const within =
    <T extends { readonly chain: string; readonly seq: number }>(all: readonly T[]) =>
    (chain: string, after: number, upTo: number, limit: number): Promise<readonly T[]> =>
      Promise.resolve(
        all
          .filter((one) => one.chain === chain && one.seq > after && one.seq <= upTo)
          .toSorted((one, other) => one.seq - other.seq)
          .slice(0, limit),
      );
  const last = <T extends { readonly chain: string; readonly seq: number }>(
    all: readonly T[],
    chain: string,
  ) => all.filter((one) => one.chain === chain).toSorted((one, other) => other.seq - one.seq)[0];
  const reader = {
    now: () => new Date(AT),
    chains: () =>
      Promise.resolve([...new Set([...entries, ...checkpoints].map(({ chain }) => chain))].toSorted()),
    keys: () => Promise.resolve([SIGNER.key]),
    head: (chain: string) => {
      const { seq, hash } = last(entries, chain) ?? EMPTY;
      return Promise.resolve({ seq, hash });
    },
    lastCheckpoint: (chain: string) => Promise.resolve(last(checkpoints, chain) ?? null),
    entries: within(entries),
    checkpoints: within(checkpoints),
  };
  const lines: string[] = [];
  for await (const line of exportLines(reader, null)) lines.push(line.trimEnd());
  return lines;
}

async function brokenLinks(given: Held): Promise<readonly string[]> {
  const { broken } = await verifyAudit(await exported(given), {
    keys: [SIGNER.key.publicKey],
    ...(given.heads.length === 0 ? {} : { heads: given.heads }),
  });
  return broken.map(({ chain, seq, what }) => `${chain === TENANT_A ? 'A' : 'B'} ${seq}: ${what}`);
}

/** The same entries with others in the place of some, hashed as if they had been so from the start. */
function hashedAnew(entries: readonly AuditEntry[], from: number, chain = TENANT_A): AuditEntry[] {
  const [kept, rest] = [entries.slice(0, from - 1), entries.slice(from - 1)];
  return [
    ...kept,
    ...entriesAfter(
      kept.at(-1) ?? EMPTY,
      rest.map((one) => ({ ...one, chain })),
    ),
  ];
}

describe('verifying an audit export', () => {
  it('finds nothing wrong with one that is whole, and tells how far it is signed', async () => {
    const verdict = await verifyAudit(await exported(held()), { keys: [SIGNER.key.publicKey] });
    expect(verdict).toEqual({
      chains: [
        { chain: TENANT_A, entries: 10, signedUpTo: 10 },
        { chain: TENANT_B, entries: 10, signedUpTo: 10 },
      ],
      broken: [],
      brokenHeads: 0,
    });
  });

  let whole: Held;
  beforeAll(() => (whole = held()));
  const ofA = (): AuditEntry[] => whole.entries.filter(({ chain }) => chain === TENANT_A);
  const ofB = (): AuditEntry[] => whole.entries.filter(({ chain }) => chain === TENANT_B);
  const without = (chain: string, ...numbers: number[]): AuditEntry[] =>
    whole.entries.filter((one) => one.chain !== chain || !numbers.includes(one.seq));

  const cases: readonly (readonly [name: string, tampered: () => Partial<Held>, found: RegExp])[] = [
    [
      'an entry that was edited',
      () => ({
        entries: whole.entries.map((one) =>
          one.chain === TENANT_A && one.seq === 3
            ? { ...one, by: { ...one.by, user: 'somebody else' } }
            : one,
        ),
      }),
      /^A 3: the entry was changed/,
    ],
    [
      'an edited entry with a hash that fits it',
      () => ({
        entries: whole.entries.map((one) =>
          one.chain === TENANT_A && one.seq === 3
            ? (entriesAfter(ofA()[1] ?? EMPTY, [{ ...one, details: {} }])[0] ?? one)
            : one,
        ),
      }),
      /^A 4: the entry does not follow entry 3/,
    ],
    ['one deleted in the middle', () => ({ entries: without(TENANT_A, 4) }), /^A 4: entry 4 is missing/],
    ['a deleted beginning', () => ({ entries: without(TENANT_B, 1, 2) }), /^B 1: entry 1 is missing/],
    ['a tail that was cut off', () => ({ entries: without(TENANT_A, 9, 10) }), /^A 9: entry 9 is missing/],
    [
      'a tail that was cut off with its checkpoints, by the heads kept apart',
      () => ({
        entries: without(TENANT_A, 6, 7, 8, 9, 10),
        checkpoints: whole.checkpoints.filter(({ chain, seq }) => chain !== TENANT_A || seq < 10),
      }),
      /^A 6: entry 6 is missing: the head kept on .* counts 10/,
    ],
    [
      'a chain that is gone with its checkpoints, by the heads kept apart',
      () => ({ entries: ofB(), checkpoints: whole.checkpoints.filter(({ chain }) => chain === TENANT_B) }),
      /^A 1: entry 1 is missing/,
    ],
    [
      'a tail that was cut off and written anew',
      () => {
        const kept = ofA().slice(0, 8);
        const anew = entriesAfter(kept.at(-1) ?? EMPTY, [event(TENANT_A, 50), event(TENANT_A, 51)]);
        return { entries: [...kept, ...anew, ...ofB()], heads: [] };
      },
      /^A 10: the entries up to it were written anew: the checkpoint/,
    ],
    [
      'a whole chain written anew, at its first checkpoint',
      () => ({
        entries: [
          ...hashedAnew(ofA().with(1, { ...event(TENANT_A, 77), seq: 2, prevHash: '', hash: '' }), 1),
          ...ofB(),
        ],
        heads: [],
      }),
      /^A 5: the entries up to it were written anew/,
    ],
    [
      'one written anew without its checkpoints, by the heads kept apart',
      () => ({
        entries: [
          ...hashedAnew(ofA().with(8, { ...event(TENANT_A, 77), seq: 9, prevHash: '', hash: '' }), 1),
          ...ofB(),
        ],
        checkpoints: whole.checkpoints.filter(({ chain, seq }) => chain !== TENANT_A || seq < 10),
      }),
      /^A 10: the entries up to it were written anew: the head kept/,
    ],
    [
      'the entries of two tenants in each other’s place',
      () => ({
        entries: whole.entries.map((one) => ({
          ...one,
          chain: one.chain === TENANT_A ? TENANT_B : TENANT_A,
        })),
      }),
      /^A 1: the entry was changed/,
    ],
    [
      'the same, hashed anew',
      () => ({ entries: [...hashedAnew(ofB(), 1, TENANT_A), ...hashedAnew(ofA(), 1, TENANT_B)], heads: [] }),
      /^A 5: the entries up to it were written anew/,
    ],
    [
      'two entries in another order',
      () => ({
        entries: whole.entries.map((one) =>
          one.chain === TENANT_A && (one.seq === 6 || one.seq === 7) ? { ...one, seq: 13 - one.seq } : one,
        ),
      }),
      /^A 6: the entry was changed/,
    ],
    [
      'a checkpoint that somebody else signed',
      () => ({
        checkpoints: whole.checkpoints.map((one) =>
          one.chain === TENANT_A && one.seq === 10
            ? signed(ofA()[9], new CheckpointSigner(randomBytes(32)))
            : one,
        ),
      }),
      /^A 10: a checkpoint is signed with the key [0-9a-f]{32}, which is none/,
    ],
    [
      'a checkpoint that goes by the key of ours and is not signed with it',
      () => ({
        checkpoints: whole.checkpoints.map((one) =>
          one.chain === TENANT_A && one.seq === 5 ? { ...one, at: '2026-01-02T00:00:00.000Z' } : one,
        ),
      }),
      /^A 5: a checkpoint is forged/,
    ],
  ];
  it.each(cases)('finds %s', async (_name, tampered, found) => {
    const links = await brokenLinks({ ...whole, ...tampered() });
    expect(links[0]).toMatch(found);
  });

  it('finds that lines of the file are moved or cut off', async () => {
    const lines = await exported(held());
    const verdict = (given: readonly string[]) => verifyAudit(given, { keys: [SIGNER.key.publicKey] });
    const [moved] = (
      await verdict([...lines.slice(0, 3), ...lines.slice(3, 5).toReversed(), ...lines.slice(5)])
    ).broken;
    expect(moved).toMatchObject({ chain: TENANT_A, seq: 2 });
    const [cut] = (await verdict(lines.slice(0, 6))).broken;
    expect(cut).toMatchObject({ chain: TENANT_A, seq: 5, what: expect.stringMatching(/cut off/) as string });
  });

  it.each([
    ['nothing', []],
    ['what is no export', ['{"value":[]}']],
    ['what is no JSON', ['hello']],
    ['an export of another version', ['{"type":"audit","version":99}']],
  ])('refuses %s', async (_name, lines) => {
    await expect(verifyAudit(lines)).rejects.toThrow(AuditFormatError);
  });

  it('passes over lines of the heads that are torn or none, and counts them', async () => {
    const given = held();
    const [first = '', ...others] = given.heads;
    const heads = [first.slice(0, 40), '', 'null', '7', '{"chain":"a","seq":"1","hash":"b"}', ...others, ''];
    const keys = [SIGNER.key.publicKey];
    expect(await verifyAudit(await exported(given), { keys, heads })).toMatchObject({
      broken: [],
      brokenHeads: 4,
    });
    const cut = {
      entries: given.entries.filter(({ chain, seq }) => chain !== TENANT_A || seq < 9),
      checkpoints: given.checkpoints.filter(({ chain, seq }) => chain !== TENANT_A || seq < 10),
    };
    expect((await verifyAudit(await exported({ ...given, ...cut }), { keys, heads })).broken).toMatchObject([
      { chain: TENANT_A, seq: 9 },
    ]);
  });

  it.each([
    ['nothing', []],
    ['no head', ['hello', '{}']],
  ])('refuses heads that are %s', async (_name, heads) => {
    await expect(verifyAudit(await exported(held()), { heads })).rejects.toThrow(AuditFormatError);
  });

  it('compares a head that a crash tore with nothing, and the next one with its entry', async () => {
    const file = path.join(await mkdtemp(path.join(tmpdir(), 'riposte-heads-')), 'heads');
    const [one, another] = held().checkpoints;
    if (one === undefined || another === undefined) throw new Error('there are none');
    await writeFile(file, JSON.stringify(one).slice(0, 40));
    await new HeadsFile(file).append(another);
    const heads = (await readFile(file, 'utf8')).split('\n');
    await rm(path.dirname(file), { recursive: true });
    const anew = { entries: chained(TENANT_A, 10, 50), checkpoints: [], heads };
    expect(await brokenLinks(anew)).toEqual([expect.stringMatching(/^A 10: .* written anew/) as string]);
  });

  it.each([
    ['a number that JSON has not', 'entry', '"seq":3', '"extra":1e999,"seq":3', 3],
    ['a checkpoint without a signature', 'checkpoint', '"signature"', '"unsigned"', 5],
    ['a checkpoint whose time is gone', 'checkpoint', '"at"', '"when"', 5],
  ])('finds %s, which cannot even be looked at', async (_name, type, from, to, seq) => {
    const lines = await exported(held());
    const at = lines.findIndex((line) => line.startsWith(`{"type":"${type}"`) && line.includes(from));
    const { broken } = await verifyAudit(lines.with(at, lines[at]?.replace(from, to) ?? ''), {
      keys: [SIGNER.key.publicKey],
    });
    expect(broken).toMatchObject([{ chain: TENANT_A, seq }]);
  });

  it('refuses a last line that does not say where the chains end', async () => {
    const lines = await exported(held());
    for (const end of ['{"type":"end"}', '{"type":"end","chains":{"a":null}}'])
      await expect(verifyAudit([...lines.slice(0, -1), end])).rejects.toThrow(AuditFormatError);
  });

  it('refuses a key that is none', async () => {
    await expect(verifyAudit(await exported(held()), { keys: ['no key'] })).rejects.toThrow(AuditFormatError);
  });

  it('hashes what a database gives back: half a surrogate pair is replaced before', async () => {
    const [entry] = entriesAfter(EMPTY, [{ ...event(INSTALLATION, 0), details: { name: 'a\uD800b' } }]);
    expect(entry?.details).toEqual({ name: 'a\uFFFDb' });
  });
});
