import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { ConsoleSessions, type SessionLimits } from '#auth';
import type { Person } from '#domain';
import type { Database } from '#persistence';
import { TENANT_A, TENANT_B, freshDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { makeOperator } from '../support/operators.js';

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});

const HOUR_MS = 3_600_000;

async function begun(limits: SessionLimits, isInUse: () => boolean = () => true) {
  const name = randomUUID();
  await makeOperator(database, name);
  const account = await database.operators.find(name);
  if (account === null) throw new Error('it was not made');
  const sessions = new ConsoleSessions(database.sessions, limits, isInUse);
  return { sessions, name, ...(await sessions.begin({ kind: 'local', account }, account.grants)) };
}

describe('a session', () => {
  it('lasts as long as it is used', async () => {
    const idleMs = 1500;
    const { sessions, secret, session } = await begun({ idleMs, lastsMs: HOUR_MS });
    await eventually(
      async () =>
        ((await sessions.find(secret))?.idleUntil.getTime() ?? 0) > session.idleUntil.getTime() + idleMs,
    );
  });

  it('ends when it is not, whoever looks whether it goes on', async () => {
    const { sessions, secret, session } = await begun({ idleMs: 600, lastsMs: HOUR_MS });
    await eventually(async () => (await sessions.look(session)) === null);
    expect(await sessions.find(secret)).toBeNull();
  });

  it('ends at its time, however much it is used', async () => {
    const { sessions, secret, session } = await begun({ idleMs: HOUR_MS, lastsMs: 600 });
    expect(session.idleUntil).toEqual(session.endsAt);
    await eventually(async () => (await sessions.find(secret)) === null);
  });

  it('moved to another tenant, or renewed, ends when it would have', async () => {
    const { sessions, session, name } = await begun({ idleMs: HOUR_MS, lastsMs: 2 * HOUR_MS });
    const moved = await sessions.moveTo(session, TENANT_A);
    expect(moved.session.endsAt).toEqual(session.endsAt);
    expect(await sessions.look(session)).toBeNull();
    const account = await database.operators.setPassword(name, { hash: 'x', mustChange: false });
    if (account === null) throw new Error('it is gone');
    const renewed = await sessions.renew(moved.session, { kind: 'local', account });
    expect(renewed.session.endsAt).toEqual(session.endsAt);
    expect(await sessions.look(moved.session)).toBeNull();
  });

  it('that ended everywhere does not go on by being moved at the same time', async () => {
    const person: Person = {
      kind: 'issuer',
      id: `soc:${randomUUID()}`,
      name: 'eve',
      displayName: 'Eve',
      grants: [TENANT_A, TENANT_B].map((tenantId) => ({ tenantId, role: 'Viewer' })),
      operates: false,
      mustChangePassword: false,
    };
    const limits = { idleMs: HOUR_MS, lastsMs: HOUR_MS };
    const sessions = new ConsoleSessions(database.sessions, limits, () => true);
    const { session } = await sessions.begin({ kind: 'issuer', issuer: 'soc', person }, person.grants);
    // It was found just before it ended.
    await sessions.endAllOf(session);
    await expect(sessions.moveTo(session, TENANT_B)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('ends with the account, also where another one gets its name', async () => {
    const { sessions, secret, name } = await begun({ idleMs: HOUR_MS, lastsMs: HOUR_MS });
    await database.operators.remove(name, null);
    expect(await sessions.find(secret)).toBeNull();
    await makeOperator(database, name, { role: 'Administrator' });
    expect(await sessions.find(secret)).toBeNull();
  });

  it('ends with the way of signing in that it was begun by', async () => {
    let isInUse = true;
    const { sessions, secret } = await begun({ idleMs: HOUR_MS, lastsMs: HOUR_MS }, () => isInUse);
    expect(await sessions.find(secret)).not.toBeNull();
    isInUse = false;
    expect(await sessions.find(secret)).toBeNull();
  });

  it.each(['', 'x', 'A'.repeat(43), `${'A'.repeat(42)}$`, 'A'.repeat(5000), '__proto__'])(
    'is not found by %s',
    async (secret) => {
      const sessions = new ConsoleSessions(database.sessions, { idleMs: 1000, lastsMs: 1000 }, () => true);
      expect(await sessions.find(secret)).toBeNull();
    },
  );
});
