import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { OperatorAccounts, RiposteError, Session } from '#domain';
import { ConsoleSessions, KnownDevices, LocalSignIn, TenantPeople } from '#auth';
import { TENANT_A, TENANT_B, freshDatabase } from '../support/database.js';
import { PASSWORD, makeOperator } from '../support/operators.js';

type Accounts = Awaited<ReturnType<typeof freshDatabase>>['operators'];

/** An administrator of tenant A at work. */
async function administrator({ operators, sessions: store }: Awaited<ReturnType<typeof freshDatabase>>) {
  const name = randomUUID();
  await makeOperator({ operators }, name, { role: 'Administrator' });
  const account = await operators.find(name);
  if (account === null) throw new Error('it was not made');
  const sessions = new ConsoleSessions(store, { idleMs: 60_000, lastsMs: 60_000 }, () => true);
  return (await sessions.begin({ kind: 'local', account }, account.grants)).session;
}

/** The same, where an account comes into another tenant after it was looked up, and before what follows is done. */
function sharedMeanwhile(operators: Accounts, name: string): OperatorAccounts {
  return {
    find: (asked) => operators.find(asked),
    list: (tenantId) => operators.list(tenantId),
    add: (account) => operators.add(account),
    noteSignIn: (signedIn) => operators.noteSignIn(signedIn),
    setPassword: (of, password) => operators.setPassword(of, password),
    changeInTenant: async (...given) => {
      await operators.setRights(name, { grant: { tenantId: TENANT_B, role: 'Viewer' }, operates: true });
      return operators.changeInTenant(...given);
    },
  };
}

describe("an administrator's change", () => {
  it.each([
    [
      'disables',
      (people: TenantPeople, by: Session, name: string) => people.change(by, name, { disabled: true }),
    ],
    [
      'renames',
      (people: TenantPeople, by: Session, name: string) => people.change(by, name, { displayName: 'x' }),
    ],
  ])(
    'that %s an account does nothing to one that came into another tenant meanwhile',
    async (_what, change) => {
      const database = await freshDatabase();
      const { operators } = database;
      const name = randomUUID();
      const by = await administrator(database);
      await makeOperator({ operators }, name);
      const before = await operators.find(name);
      const people = new TenantPeople(sharedMeanwhile(operators, name), () =>
        Promise.reject(new Error('no')),
      );
      await expect(change(people, by, name)).rejects.toMatchObject({ code: 'accessDenied' });
      const { disabledAt, displayName, operates } = (await operators.find(name)) ?? {};
      expect({ disabledAt, displayName, operates }).toEqual({
        disabledAt: null,
        displayName: before?.displayName,
        operates: true,
      });
    },
  );
});

describe('the names of accounts, which are the installation’s', () => {
  it('are found out by an administrator of another tenant no more than twenty times an hour', async () => {
    const database = await freshDatabase();
    const { operators } = database;
    const by = await administrator(database);
    const taken = randomUUID();
    await makeOperator({ operators }, taken, { grants: [{ tenantId: TENANT_B, role: 'Viewer' }] });
    let hashes = 0;
    const people = new TenantPeople(operators, async () => `hash ${(hashes += 1)}`);
    const add = (name: string) =>
      people.add(by, { name, displayName: 'x', role: 'Viewer' }).then(
        () => 'made',
        ({ code }: RiposteError) => code,
      );
    // What is free costs nothing.
    for (let index = 0; index < 5; index += 1) expect(await add(randomUUID())).toBe('made');
    const answers = await Promise.all(Array.from({ length: 25 }, () => add(taken)));
    expect(answers.filter((answer) => answer === 'notAllowed')).toHaveLength(20);
    expect(answers.filter((answer) => answer === 'tooManyRequests')).toHaveLength(5);
    expect(await add(randomUUID())).toBe('tooManyRequests');
  });
});

describe("an administrator's reset of a password", () => {
  it('does nothing to an account that came into another tenant while the hash was computed', async () => {
    const database = await freshDatabase();
    const { operators } = database;
    const name = randomUUID();
    const session = await administrator(database);
    await makeOperator({ operators }, name);
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
