import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ConsoleSessions, KnownDevices, LocalSignIn, TenantPeople } from '#auth';
import { TENANT_A, TENANT_B, freshDatabase } from '../support/database.js';
import { PASSWORD, makeOperator } from '../support/operators.js';

describe("an administrator's reset of a password", () => {
  it('does nothing to an account that came into another tenant while the hash was computed', async () => {
    const { operators, sessions: store } = await freshDatabase();
    const [admin, name] = [randomUUID(), randomUUID()];
    await makeOperator({ operators }, admin, { role: 'Administrator' });
    await makeOperator({ operators }, name);
    const account = await operators.find(admin);
    if (account === null) throw new Error('it was not made');
    const sessions = new ConsoleSessions(store, { idleMs: 60_000, lastsMs: 60_000 }, () => true);
    const { session } = await sessions.begin({ kind: 'local', account }, account.grants);
    expect(session.grant.tenantId).toBe(TENANT_A);
    const people = new TenantPeople(operators, async () => {
      await operators.setRights(name, { grant: { tenantId: TENANT_B, role: 'Administrator' } });
      return 'of another password';
    });
    await expect(people.resetPassword(session, name)).rejects.toMatchObject({ code: 'notAllowed' });
    const signIn = new LocalSignIn(operators, new KnownDevices(new Uint8Array(32)));
    expect((await signIn.check(name, PASSWORD, { address: '192.0.2.1', device: null })).name).toBe(name);
  });
});
