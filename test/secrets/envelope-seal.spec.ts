import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OperationalError, UnsealError, type SealedPlace } from '#domain';
import { EnvelopeSeal, LocalKey, newKey, type KeyWrapper } from '#secrets';
import { TENANT_A, TENANT_B } from '../support/database.js';
import { localKey } from '../support/secrets.js';

const place: SealedPlace = { kind: 'action', tenantId: TENANT_A, id: randomUUID() };
const key = localKey();
const seal = new EnvelopeSeal({ current: key, others: [] });
const SECRET = 'Grüße "1" 🔑';

async function failureOf(opening: Promise<string>): Promise<UnsealError> {
  const error: unknown = await opening.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UnsealError);
  return error as UnsealError;
}

describe('what is sealed', () => {
  it('opens at its place, and reads otherwise each time', async () => {
    const [one, two] = [await seal.seal(SECRET, place), await seal.seal(SECRET, place)];
    expect(await seal.open(one, place)).toBe(SECRET);
    expect(await seal.open(two, place)).toBe(SECRET);
    // Neither the key to it nor the content is the same.
    const parts = one.split('.').map((part, index) => part === two.split('.')[index]);
    expect(parts).toEqual([true, true, false, false]);
    expect(one).toMatch(/^s1\.[0-9a-f]{12}\.[\w-]+\.[\w-]+$/);
  });

  it('opens whatever it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async (text) => {
        expect(await seal.open(await seal.seal(text, place), place)).toBe(Buffer.from(text).toString());
      }),
      { numRuns: 50 },
    );
  });

  it('does not open once any character of it is another one', async () => {
    const sealed = await seal.seal(SECRET, place);
    for (const [index, character] of sealed.split('').entries()) {
      for (const other of character === 'A' ? ['B', 'Q', '='] : ['A', character === 'B' ? 'C' : 'B', '.'])
        if (other !== character)
          await failureOf(seal.open(sealed.slice(0, index) + other + sealed.slice(index + 1), place));
    }
  });

  it('does not open once any bit of it is another one, also those that its text has no use for', async () => {
    const sealed = await seal.seal('x', place);
    const [format, id, wrapped = '', content = ''] = sealed.split('.');
    for (const [part, build] of [
      [wrapped, (text: string) => [format, id, text, content].join('.')],
      [content, (text: string) => [format, id, wrapped, text].join('.')],
    ] as const) {
      const bytes = Buffer.from(part, 'base64url');
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const flipped = Buffer.from(bytes);
        flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        expect(
          (await failureOf(seal.open(build(flipped.toString('base64url')), place))).missingKey,
        ).toBeNull();
      }
      for (const more of ['A', '=', ' ', '\n']) await failureOf(seal.open(build(part + more), place));
    }
  });

  it.each<[string, SealedPlace]>([
    ['of another tenant', { ...place, tenantId: TENANT_B }],
    ['of another id', { ...place, id: randomUUID() }],
    ['of another kind', { ...place, kind: 'question' }],
  ])('does not open at a place %s', async (_name, elsewhere) => {
    expect((await failureOf(seal.open(await seal.seal(SECRET, place), elsewhere))).missingKey).toBeNull();
  });

  it.each(['', 's1', 's1...', 's2.a.b.c', 'a secret in clear', '{}', 's1.toString.AAAA.AAAA'])(
    'is told from what is none: "%s"',
    async (text) => {
      await failureOf(seal.open(text, place));
    },
  );

  it('names the key that is missing, and nothing of what it holds', async () => {
    const { message, missingKey } = await failureOf(
      new EnvelopeSeal({ current: localKey(), others: [] }).open(await seal.seal(SECRET, place), place),
    );
    expect(missingKey).toBe(key.id);
    expect(message).toContain(key.id);
    expect(message).not.toContain(SECRET);
  });
});

describe('a key that takes the place of another', () => {
  const next = localKey();
  const both = new EnvelopeSeal({ current: next, others: [key] });
  const alone = new EnvelopeSeal({ current: next, others: [] });

  it('seals, while what the other sealed still opens', async () => {
    const old = await seal.seal(SECRET, place);
    expect(await both.open(old, place)).toBe(SECRET);
    expect(both.keyOf(await both.seal(SECRET, place))).toBe(next.id);
    expect([both.current, both.others]).toEqual([next.id, [key.id]]);
  });

  it('opens alone what was brought under it; the content is not sealed anew', async () => {
    const old = await seal.seal(SECRET, place);
    const rewrapped = await both.rewrap(old, place);
    expect(await alone.open(rewrapped, place)).toBe(SECRET);
    expect(rewrapped.split('.')[3]).toBe(old.split('.')[3]);
    await failureOf(seal.open(rewrapped, place));
  });

  it('takes over nothing that was changed, or is of another place', async () => {
    await failureOf(both.rewrap(await seal.seal(SECRET, { ...place, tenantId: TENANT_B }), place));
  });
});

describe('a key service', () => {
  /** Keeps a key that it never gives out; over a network that may be away. */
  class KeyService implements KeyWrapper {
    readonly id = 'arn-aws-kms-1';
    isAway = false;
    readonly #inside = localKey();

    async wrap(wrapped: Buffer): Promise<Buffer> {
      return this.#answered(() => this.#inside.wrap(wrapped));
    }

    async unwrap(wrapped: Buffer): Promise<Buffer> {
      return this.#answered(() => this.#inside.unwrap(wrapped));
    }

    #answered(answer: () => Promise<Buffer>): Promise<Buffer> {
      if (this.isAway) throw new OperationalError('serviceNotAvailable', 'away', 5);
      return answer();
    }
  }

  it('wraps and unwraps in the place of a key in the process', async () => {
    const service = new KeyService();
    const sealed = await new EnvelopeSeal({ current: service, others: [key] }).seal(SECRET, place);
    expect(await new EnvelopeSeal({ current: key, others: [service] }).open(sealed, place)).toBe(SECRET);
  });

  it('that is away is not taken for a change of what is sealed', async () => {
    const service = new KeyService();
    const through = new EnvelopeSeal({ current: service, others: [] });
    const sealed = await through.seal(SECRET, place);
    service.isAway = true;
    await expect(through.open(sealed, place)).rejects.toBeInstanceOf(OperationalError);
    service.isAway = false;
    expect(await through.open(sealed, place)).toBe(SECRET);
  });
});

describe('a key in text', () => {
  it('is rpk_ and 256 random bits, has an id that tells nothing of it, and is the same each time', () => {
    const text = newKey();
    expect(text).toMatch(/^rpk_[\w-]{43}$/);
    expect(newKey()).not.toBe(text);
    expect(localKey(text).id).toBe(localKey(text).id);
    expect(text).not.toContain(localKey(text).id);
  });

  it.each(['', 'rpk_', `rpk_${'A'.repeat(42)}`, `rpk_${'A'.repeat(42)}B`, `xpk_${'A'.repeat(43)}`])(
    'is not "%s"',
    (text) => {
      expect(LocalKey.of(text)).toBeNull();
    },
  );
});
