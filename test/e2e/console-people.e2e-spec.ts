import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONSOLE_APP_ID } from '#domain';
import { connectDatabase, type Database } from '#persistence';
import type { Answer, GraphError } from '../support/client.js';
import { ConsoleClient } from '../support/console-client.js';
import { TENANT_B } from '../support/database.js';
import { PASSWORD, makeOperator } from '../support/operators.js';
import { Stack } from '../support/stack.js';

interface Operator {
  readonly name: string;
  readonly role: string;
  readonly disabled: boolean;
  readonly lastSignInDateTime: string | null;
  readonly password?: string;
}

const PEOPLE = '/api/v1/operators';
/** An application that the configuration gives a name. */
const SOAR = 'ABCDEF00-0000-4000-8000-000000000001';

let stack: Stack;
let database: Database;

beforeAll(async () => {
  stack = await Stack.start({
    workers: 0,
    config: JSON.stringify({
      providers: [{ id: 'mock', plugin: 'mock' }],
      console: { apps: { [SOAR]: 'The SOAR' } },
    }),
  });
  database = await connectDatabase(stack.mongodbUri, { appName: 'riposte-test' });
});
afterAll(async () => {
  await database.close();
  await stack.stop();
});

/** An administrator of a tenant of their own, signed in. */
async function administrator(options: { readonly tenantId?: string; readonly operates?: boolean } = {}) {
  const tenantId = options.tenantId ?? randomUUID();
  const name = `admin-${randomUUID().slice(0, 8)}`;
  await makeOperator(database, name, {
    grants: [{ tenantId, role: 'Administrator' }],
    operates: options.operates ?? false,
  });
  const client = new ConsoleClient(stack.baseUrl);
  await client.signIn(name, PASSWORD);
  return { tenantId, name, client };
}

function codeOf({ status, body }: Answer): string {
  return status < 400 ? String(status) : `${status} ${(body as GraphError).error.code}`;
}

describe('the people of a tenant', () => {
  it('are made, changed, given another password and removed by its administrators', async () => {
    const { client, name: admin } = await administrator();
    const name = `alice-${randomUUID().slice(0, 8)}`;
    const made = await client.send<Operator>('POST', PEOPLE, {
      body: { name: name.toUpperCase(), displayName: 'Alice', role: 'Viewer' },
    });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      name,
      displayName: 'Alice',
      role: 'Viewer',
      operates: false,
      disabled: false,
      lastSignInDateTime: null,
      password: expect.stringMatching(/^[a-z2-9]{5}(-[a-z2-9]{5}){3}$/) as string,
    });

    const alice = new ConsoleClient(stack.baseUrl);
    const signedIn = await alice.signIn(name, made.body.password ?? '');
    expect(signedIn.body).toMatchObject({ mustChangePassword: true, tenant: { role: 'Viewer' } });
    expect(codeOf(await alice.send('GET', PEOPLE))).toBe('403 accessDenied');

    const { body: list } = await client.send<{ value: Operator[] }>('GET', PEOPLE);
    expect(list.value.map((one) => one.name)).toEqual([admin, name]);
    expect(list.value[1]?.lastSignInDateTime).not.toBeNull();
    expect(JSON.stringify(list)).not.toMatch(/scrypt|password/i);

    const changed = await client.send<Operator>('PATCH', `${PEOPLE}/${name}`, {
      body: { role: 'Operator', displayName: 'Alice L.' },
    });
    expect(changed.body).toMatchObject({ role: 'Operator', displayName: 'Alice L.' });
    expect((await alice.session()).signedIn).toBe(false);

    const reset = await client.send<Operator>('POST', `${PEOPLE}/${name}/reset-password`);
    expect((await alice.signIn(name, made.body.password ?? '')).status).toBe(401);
    expect((await alice.signIn(name, reset.body.password ?? '')).status).toBe(200);

    await client.send('PATCH', `${PEOPLE}/${name}`, { body: { disabled: true } });
    expect((await alice.session()).signedIn).toBe(false);
    expect((await alice.signIn(name, reset.body.password ?? '')).status).toBe(401);
    await client.send('PATCH', `${PEOPLE}/${name}`, { body: { disabled: false } });
    expect((await alice.signIn(name, reset.body.password ?? '')).status).toBe(200);

    expect((await client.send('DELETE', `${PEOPLE}/${name}`)).status).toBe(204);
    expect((await alice.session()).signedIn).toBe(false);
    expect(codeOf(await client.send('DELETE', `${PEOPLE}/${name}`))).toBe('404 itemNotFound');
    expect(stack.api.output).not.toContain(made.body.password);
    expect(stack.api.output).not.toContain(reset.body.password);
  });

  it.each([
    ['a name that is none', { name: '../x', displayName: 'x', role: 'Viewer' }],
    ['a name that an issuer could vouch for', { name: 'bob@soc', displayName: 'x', role: 'Viewer' }],
    ['a role there is not', { name: 'bob', displayName: 'x', role: 'Root' }],
    ['operating the installation', { name: 'bob', displayName: 'x', role: 'Viewer', operates: true }],
    ['two lines to show', { name: 'bob', displayName: 'x\ny', role: 'Viewer' }],
  ])('are not made with %s', async (_what, body) => {
    const { client } = await administrator();
    expect(codeOf(await client.send('POST', PEOPLE, { body }))).toBe('400 invalidRequest');
  });

  it('keep their names to themselves: one that is taken is refused, in whatever tenant it is', async () => {
    const { client } = await administrator();
    const other = await administrator();
    const body = { name: other.name, displayName: 'x', role: 'Viewer' };
    expect(codeOf(await client.send('POST', PEOPLE, { body }))).toBe('409 notAllowed');
  });

  it("are nothing to another tenant's administrator", async () => {
    const { client } = await administrator();
    const other = await administrator();
    for (const [method, what, body] of [
      ['PATCH', '', { role: 'Viewer' }],
      ['POST', '/reset-password', undefined],
      ['DELETE', '', undefined],
    ] as const)
      expect(codeOf(await client.send(method, `${PEOPLE}/${other.name}${what}`, { body }))).toBe(
        '404 itemNotFound',
      );
    expect((await other.client.session()).signedIn).toBe(true);
  });

  it('keep an administrator, also when two take each other’s role at the same time', async () => {
    const { client, name, tenantId } = await administrator();
    for (const change of [{ role: 'Operator' }, { disabled: true }])
      expect(codeOf(await client.send('PATCH', `${PEOPLE}/${name}`, { body: change }))).toBe(
        '409 notAllowed',
      );
    expect(codeOf(await client.send('DELETE', `${PEOPLE}/${name}`))).toBe('409 notAllowed');

    const second = await administrator({ tenantId });
    const answers = await Promise.all([
      client.send('PATCH', `${PEOPLE}/${second.name}`, { body: { role: 'Viewer' } }),
      second.client.send('DELETE', `${PEOPLE}/${name}`),
    ]);
    expect(answers.filter(({ status }) => status < 300)).toHaveLength(1);
    const left = await database.operators.list(tenantId);
    expect(left.some(({ grants }) => grants.some(({ role }) => role === 'Administrator'))).toBe(true);
  });

  it('who are in other tenants, or operate the installation, keep their password and their account', async () => {
    const { client, tenantId } = await administrator();
    const shared = `shared-${randomUUID().slice(0, 8)}`;
    const operating = `operating-${randomUUID().slice(0, 8)}`;
    await makeOperator(database, shared, {
      grants: [
        { tenantId, role: 'Viewer' },
        { tenantId: TENANT_B, role: 'Administrator' },
      ],
    });
    await makeOperator(database, operating, { grants: [{ tenantId, role: 'Viewer' }], operates: true });
    for (const name of [shared, operating]) {
      expect(codeOf(await client.send('POST', `${PEOPLE}/${name}/reset-password`))).toBe('403 accessDenied');
      const disabling = await client.send('PATCH', `${PEOPLE}/${name}`, { body: { disabled: true } });
      expect(codeOf(disabling)).toBe('403 accessDenied');
      const raising = await client.send('PATCH', `${PEOPLE}/${name}`, { body: { role: 'Operator' } });
      expect(codeOf(raising)).toBe('200');
    }
    expect(codeOf(await client.send('DELETE', `${PEOPLE}/${operating}`))).toBe('403 accessDenied');
    expect(codeOf(await client.send('DELETE', `${PEOPLE}/${shared}`))).toBe('204');
    expect((await database.operators.find(shared))?.grants).toEqual([
      { tenantId: TENANT_B, role: 'Administrator' },
    ]);
  });
});

describe('the names of applications', () => {
  it('are told to whoever may read: as configured, in any case of the id, and the console’s own', async () => {
    const { client } = await administrator();
    const { body } = await client.send<{ readonly value: readonly object[] }>('GET', '/api/v1/applications');
    expect(body.value).toEqual([
      { appId: CONSOLE_APP_ID, name: 'Console' },
      { appId: SOAR.toLowerCase(), name: 'The SOAR' },
    ]);
    expect((await new ConsoleClient(stack.baseUrl).send('GET', '/api/v1/applications')).status).toBe(401);
  });
});
