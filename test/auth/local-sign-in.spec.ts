import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { KnownDevices, LocalSignIn, checkNewPassword, newPassword } from '#auth';
import { OperationalError, UserError } from '#domain';
import type { Database } from '#persistence';
import { freshDatabase } from '../support/database.js';
import { PASSWORD, makeOperator } from '../support/operators.js';

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
  await makeOperator(database, 'ann');
});

/** Few, for each attempt costs a fifth of a second; by default they are 10 and 50. */
const LIMITS = { ofName: 3, ofAddress: 6 };
const DEVICES = new KnownDevices(new Uint8Array(32));
const signIns = (): LocalSignIn => new LocalSignIn(database.operators, DEVICES, LIMITS);
const at = (address: string, device: string | null = null) => ({ address, device });
const WRONG = 'wrong wrong wrong';

/** What somebody is answered: the code of the refusal, or `in`. */
async function outcome(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
    return 'in';
  } catch (error) {
    if (error instanceof UserError || error instanceof OperationalError) return error.code;
    throw error;
  }
}

async function inTurn(signIn: LocalSignIn, name: string, address: string, times: number): Promise<string[]> {
  const outcomes: string[] = [];
  for (let index = 0; index < times; index += 1)
    outcomes.push(await outcome(signIn.check(name, WRONG, at(address))));
  return outcomes;
}

describe('who guesses passwords', () => {
  it('is stopped after a few at a name; the right one from elsewhere goes on being let in', async () => {
    const signIn = signIns();
    const outcomes = await inTurn(signIn, 'ann', '192.0.2.1', 5);
    expect(outcomes).toEqual([
      ...Array.from({ length: 3 }, () => 'unauthenticated'),
      'tooManyRequests',
      'tooManyRequests',
    ]);
    expect(await outcome(signIn.check('ann', PASSWORD, at('192.0.2.1')))).toBe('tooManyRequests');
    expect(await outcome(signIn.check('ann', PASSWORD, at('192.0.2.2')))).toBe('in');
  });

  it('is told when to try again, and computes nothing meanwhile', async () => {
    const signIn = signIns();
    await inTurn(signIn, 'nobody', '192.0.2.3', 3);
    const begun = performance.now();
    const refusals = await Promise.all(
      Array.from({ length: 500 }, () =>
        signIn.check('nobody', WRONG, at('192.0.2.3')).catch((error: unknown) => error),
      ),
    );
    // A hash for each would take minutes.
    expect(performance.now() - begun).toBeLessThan(20_000);
    for (const refusal of refusals) {
      expect(refusal).toBeInstanceOf(OperationalError);
      const { retryAfterSeconds } = refusal as OperationalError;
      expect(retryAfterSeconds).toBeGreaterThan(0);
      expect(retryAfterSeconds).toBeLessThanOrEqual(300);
    }
  });

  it('does not go on by guessing a few for each of many names, or from a whole IPv6 network', async () => {
    const signIn = signIns();
    const guesses = Array.from({ length: 12 }, (_, index) => async () => {
      const address = `2001:db8:1:2::${index.toString(16)}`;
      return outcome(signIn.check(`name-${index}`, WRONG, at(address)));
    });
    const outcomes: string[] = [];
    // Four at a time, as many as wait for one address.
    while (guesses.length > 0)
      outcomes.push(...(await Promise.all(guesses.splice(0, 4).map((guess) => guess()))));
    expect(outcomes.filter((one) => one === 'unauthenticated')).toHaveLength(6);
    expect(outcomes.slice(-4)).toEqual(Array.from({ length: 4 }, () => 'tooManyRequests'));
  });

  it('does not use up what others fail by, once they are in', async () => {
    const signIn = signIns();
    for (let round = 0; round < 4; round += 1) {
      await inTurn(signIn, 'ann', '192.0.2.4', 1);
      expect(await outcome(signIn.check('ann', PASSWORD, at('192.0.2.4')))).toBe('in');
    }
  });

  it('keeps nobody out of a browser where they signed in before, and gets in by no other account’s', async () => {
    const signIn = signIns();
    const device = DEVICES.proofFor('ann');
    for (const name of ['ann', 'x1', 'x2']) await inTurn(signIn, name, '192.0.2.8', 3);
    expect(await outcome(signIn.check('ann', PASSWORD, at('192.0.2.8')))).toBe('tooManyRequests');
    for (const foreign of [
      DEVICES.proofFor('x1'),
      new KnownDevices(Buffer.alloc(32, 1)).proofFor('ann'),
      'x',
    ])
      expect(await outcome(signIn.check('ann', PASSWORD, at('192.0.2.8', foreign)))).toBe('tooManyRequests');
    expect(await outcome(signIn.check('ann', PASSWORD, at('192.0.2.8', device)))).toBe('in');
    // There one guesses no more than elsewhere.
    const guesses = [1, 2, 3, 4].map(
      () => () => outcome(signIn.check('ann', WRONG, at('192.0.2.8', device))),
    );
    const outcomes = [];
    for (const guess of guesses) outcomes.push(await guess());
    expect(outcomes.at(-1)).toBe('tooManyRequests');
  });

  it('keeps nobody waiting: what one address floods is refused, and another gets its turn', async () => {
    const signIn = signIns();
    const flood = Array.from({ length: 40 }, (_, index) =>
      outcome(signIn.check(`flood-${index}`, WRONG, at('192.0.2.5'))),
    );
    const other = outcome(signIn.check('ann', PASSWORD, at('192.0.2.6')));
    expect(await other).toBe('in');
    const outcomes = await Promise.all(flood);
    expect(outcomes.filter((one) => one === 'unauthenticated')).toHaveLength(4);
    expect(outcomes.filter((one) => one === 'tooManyRequests')).toHaveLength(36);
  });

  it('has not failed where it could not be looked at, for too many came at once', async () => {
    const signIn = new LocalSignIn(database.operators, DEVICES, { ofName: 5, ofAddress: 5 });
    const tries = Array.from({ length: 5 }, () => outcome(signIn.check('ann', WRONG, at('192.0.2.9'))));
    const outcomes = await Promise.all(tries);
    expect(outcomes.filter((one) => one === 'unauthenticated')).toHaveLength(4);
    expect(outcomes).toContain('tooManyRequests');
    expect(await outcome(signIn.check('ann', PASSWORD, at('192.0.2.9')))).toBe('in');
  });
});

describe('a name that nobody has', () => {
  it('costs as much as one that somebody has', async () => {
    const signIn = new LocalSignIn(database.operators, DEVICES);
    await signIn.check(randomUUID(), WRONG, at('192.0.2.7')).catch(() => undefined);
    const cost = async (name: string): Promise<number> => {
      const before = process.cpuUsage();
      await signIn.check(name, WRONG, at('192.0.2.7')).catch(() => undefined);
      const { user, system } = process.cpuUsage(before);
      return user + system;
    };
    const known = Math.min(await cost('ann'), await cost('ann'), await cost('ann'));
    const unknown = Math.min(await cost('x1'), await cost('x2'), await cost('x3'));
    expect(unknown / known).toBeGreaterThan(0.5);
    expect(unknown / known).toBeLessThan(2);
  });
});

describe('a new password', () => {
  it.each([
    ['short', 'too short x', false],
    ['twelve characters', 'twelve chars', true],
    ['128 characters', 'abcd'.repeat(32), true],
    ['129 characters', `${'abcd'.repeat(32)}e`, false],
    ['the name', 'Annabelle.Lee', false],
    ['the same three again and again', 'abcabcabcabcabc', false],
    ['any language', 'пароль-из-слов', true],
  ])('of %s', (_what, password, isGood) => {
    const check = (): void => checkNewPassword(password, 'annabelle.lee');
    if (isGood) expect(check).not.toThrow();
    else expect(check).toThrow(UserError);
  });

  it('that is made here is good, and another each time', () => {
    const made = Array.from({ length: 50 }, () => newPassword());
    for (const password of made) expect(() => checkNewPassword(password, 'ann')).not.toThrow();
    expect(new Set(made).size).toBe(50);
  });
});
