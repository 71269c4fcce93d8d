import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OutcomeUnknownError, type IdempotencyKeys, type Reservation } from '#domain';
import { MongoIdempotencyKeys, connectDatabase, type Database } from '#persistence';
import { CALLER, TENANT_B, freshDatabaseUri } from '../support/database.js';

const DAY_MS = 24 * 3_600_000;
const MINUTE_MS = 60_000;

/** Two processes on one database. */
let databases: readonly Database[];
let keys: IdempotencyKeys;
let connection: mongoose.Connection;

beforeAll(async () => {
  const uri = freshDatabaseUri();
  databases = await Promise.all([1, 2].map((n) => connectDatabase(uri, { appName: `riposte-test-${n}` })));
  keys = (databases[0] as Database).idempotencyKeys;
  connection = await mongoose.createConnection(uri).asPromise();
});
afterAll(async () => {
  await connection.close();
  await Promise.all(databases.map((database) => database.close()));
});

const stored = (): mongoose.mongo.Collection =>
  connection.getClient().db(connection.name).collection('idempotencyKeys');
const wanted = (fingerprint = 'same'): Reservation => ({ actionId: randomUUID(), fingerprint });

/** Makes what is reserved for an action so old. */
async function age({ actionId }: Reservation, ms: number): Promise<void> {
  await stored().updateOne({ actionId }, { $set: { createdAt: new Date(Date.now() - ms) } });
}

describe('reserving an idempotency key', () => {
  it('stands, and is found by every process', async () => {
    const key = randomUUID();
    expect(await keys.find(CALLER, key)).toBeNull();
    const first = await keys.reserve(CALLER, key, wanted());
    for (const { idempotencyKeys } of databases) {
      expect(await idempotencyKeys.find(CALLER, key)).toEqual(first);
      expect(await idempotencyKeys.reserve(CALLER, key, wanted('other'))).toEqual(first);
    }
  });

  it('has one winner among 50 at once, whom all are told', async () => {
    const key = randomUUID();
    const attempts = Array.from({ length: 50 }, (_none, index) => wanted(String(index)));
    const told = await Promise.all(
      attempts.map((attempt, index) =>
        (databases[index % 2] as Database).idempotencyKeys.reserve(CALLER, key, attempt),
      ),
    );
    expect(new Set(told.map(({ actionId }) => actionId)).size).toBe(1);
    expect(attempts).toContainEqual(told[0]);
  });

  it('is apart for each tenant, each application and each key, however they are put together', async () => {
    const callers = [
      [CALLER, 'a'],
      [CALLER, 'A'],
      [{ ...CALLER, tenantId: TENANT_B }, 'a'],
      [{ ...CALLER, appId: 'x' }, 'a'],
      [{ ...CALLER, appId: 'x","a' }, 'a'],
      [{ ...CALLER, appId: 'x' }, 'a","a'],
    ] as const;
    for (const [caller, key] of callers) {
      const mine = wanted();
      expect(await keys.reserve(caller, key, mine)).toEqual(mine);
    }
  });

  it('is the same for another user of the application', async () => {
    const key = randomUUID();
    const first = await keys.reserve(CALLER, key, wanted());
    expect(await keys.find({ ...CALLER, user: 'ann@example.com' }, key)).toEqual(first);
  });

  it('keeps text that looks like a database expression as it is', async () => {
    const odd = { actionId: '$$ROOT', fingerprint: '$createdAt' };
    expect(await keys.reserve(CALLER, '$$NOW', odd)).toEqual(odd);
  });

  it('keeps no key in clear', async () => {
    const key = `secret-${randomUUID()}`;
    await keys.reserve(CALLER, key, wanted());
    expect(JSON.stringify(await stored().find().toArray())).not.toContain(key);
  });
});

describe('an idempotency key of 24 hours', () => {
  it('counts until then', async () => {
    const key = randomUUID();
    const first = await keys.reserve(CALLER, key, wanted());
    await age(first, DAY_MS - MINUTE_MS);
    expect(await keys.find(CALLER, key)).toEqual(first);
    expect(await keys.reserve(CALLER, key, wanted())).toEqual(first);
  });

  it('counts as unknown after it, although the database has not removed it yet', async () => {
    const key = randomUUID();
    await age(await keys.reserve(CALLER, key, wanted()), DAY_MS + MINUTE_MS);
    expect(await keys.find(CALLER, key)).toBeNull();
    const told = await Promise.all(
      Array.from({ length: 20 }, (_none, index) =>
        (databases[index % 2] as Database).idempotencyKeys.reserve(CALLER, key, wanted('new')),
      ),
    );
    expect(new Set(told.map(({ actionId }) => actionId)).size).toBe(1);
    expect(await keys.find(CALLER, key)).toEqual(told[0]);
    expect(told[0]?.fingerprint).toBe('new');
  });

  it('is removed by the database itself', async () => {
    expect(await stored().indexes()).toContainEqual(
      expect.objectContaining({ key: { createdAt: 1 }, expireAfterSeconds: DAY_MS / 1000 }),
    );
  });
});

describe('a reservation whose answer is lost', () => {
  /** Carries out every write, and loses the first answers. */
  function losing(answers: number): mongoose.mongo.Db {
    let left = answers;
    const collection = new Proxy(stored(), {
      get: (real, name) => {
        const value: unknown = Reflect.get(real, name);
        if (name !== 'findOneAndUpdate') return value;
        return async (...args: unknown[]) => {
          const answer = await (value as (...all: unknown[]) => Promise<unknown>).apply(real, args);
          left -= 1;
          if (left < 0) return answer;
          throw new mongoose.mongo.MongoNetworkError('the answer was lost');
        };
      },
    });
    return { collection: () => collection } as unknown as mongoose.mongo.Db;
  }

  it('is repeated and still its own', async () => {
    const mine = wanted();
    expect(await new MongoIdempotencyKeys(losing(1)).reserve(CALLER, randomUUID(), mine)).toEqual(mine);
  });

  it('is told as unknown, with the action it was for, when no repeat is answered either', async () => {
    const mine = wanted();
    const key = randomUUID();
    await expect(new MongoIdempotencyKeys(losing(99), 0).reserve(CALLER, key, mine)).rejects.toMatchObject({
      constructor: OutcomeUnknownError,
      actionId: mine.actionId,
    });
    expect(await keys.find(CALLER, key)).toEqual(mine);
  });
});
