import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '#embedded-servers';
import { riposte, type CommandResult } from '../support/cli.js';
import { mockAction, type Client, type GraphError, type NativeAction } from '../support/client.js';
import { APP, TENANT_A, TENANT_B } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

const PATH = '/api/v1/providers';
const SETTING = 'setting-that-is-never-shown';

interface Provider {
  readonly id: string;
  readonly plugin: { readonly name: string; readonly version: string };
  readonly tenants?: readonly string[];
  readonly actions: readonly {
    readonly name: string;
    readonly revertible: boolean;
    readonly parameters: { readonly properties: Readonly<Record<string, { readonly examples?: unknown[] }>> };
  }[];
  readonly quota: readonly { readonly calls: number; readonly perSeconds: number; readonly left: number }[];
  readonly breaker: string;
  readonly backlog: { readonly waiting: number | null };
  readonly paused: { readonly reason: string; readonly by?: { readonly appId: string } } | null;
}

let stack: Stack;
let writer: Client;
let reader: Client;
let operator: Client;

beforeAll(async () => {
  stack = await Stack.start({
    config: `
providers:
  - { id: mock, plugin: mock, tenants: ['${TENANT_A}'], settings: {}, limits: { windows: [{ calls: 100, perSeconds: 60 }] } }
  - { id: other-${SETTING}, plugin: mock, tenants: ['${TENANT_B}'], settings: {} }
`,
  });
  writer = await stack.client();
  reader = await stack.client({ roles: ['SecurityActions.Read.All'] });
  operator = await stack.client({ tenant: TENANT_B, roles: ['Riposte.Operator'] });
});
afterAll(() => stack.stop());

const list = async (client: Client): Promise<readonly Provider[]> =>
  (await client.request<{ value: Provider[] }>('GET', PATH)).body.value;

describe('the provider instances', () => {
  it('are shown with their actions, schemas, quota, breaker and backlog', async () => {
    const [mock] = await list(reader);
    expect(mock).toMatchObject({
      id: 'mock',
      vendor: 'Mock',
      provider: 'Mock',
      plugin: { name: 'mock' },
      breaker: 'closed',
      quota: [{ calls: 100, perSeconds: 60 }],
      backlog: { waiting: 0 },
      paused: null,
    });
    const block = mock?.actions.find(({ name }) => name === 'BlockIp');
    expect(block).toMatchObject({ revertible: true, lane: expect.any(String) as string });
    expect(block?.parameters.properties['IP']?.examples).toEqual(['203.0.113.7']);
  });

  it('are those that serve the tenant, and under another name there is none', async () => {
    expect((await list(reader)).map(({ id }) => id)).toEqual(['mock']);
    for (const id of [`other-${SETTING}`, 'nope']) {
      const { status, body } = await reader.request<GraphError>('GET', `${PATH}/${id}`);
      expect({ status, message: body.error.message }).toMatchObject({
        status: 404,
        message: expect.stringMatching(/known: mock\.$/) as string,
      });
    }
    expect(JSON.stringify(await list(reader))).not.toContain(SETTING);
  });

  it('are all shown to operators, with the tenants they serve', async () => {
    expect((await list(operator)).map(({ tenants }) => tenants)).toEqual([[TENANT_A], [TENANT_B]]);
    expect((await list(reader))[0]).not.toHaveProperty('tenants');
  });

  it('are paused and resumed by operators; who paused first, and why, stands', async () => {
    expect((await writer.post({ reason: 'mine' }, `${PATH}/mock/pause`)).status).toBe(403);
    expect((await operator.post<GraphError>({ reason: ' ' }, `${PATH}/mock/pause`)).body.error.message).toBe(
      'reason should not be empty, for example "Firewall upgrade until 18:00.".',
    );
    await operator.post({ reason: 'Upgrade' }, `${PATH}/mock/pause`);
    const again = await operator.post<Provider>({ reason: 'Other' }, `${PATH}/mock/pause`);
    expect(again).toMatchObject({ status: 200, body: { paused: { reason: 'Upgrade', by: { appId: APP } } } });
    const seen = (await list(reader))[0]?.paused;
    expect(seen).toMatchObject({ reason: 'Upgrade' });
    expect(seen).not.toHaveProperty('by');
    for (let time = 0; time < 2; time += 1)
      expect(await operator.request('POST', `${PATH}/mock/resume`)).toMatchObject({
        status: 200,
        body: { paused: null },
      });
    const none = await operator.request<GraphError>('POST', `${PATH}/nope/resume`);
    expect({ status: none.status, message: none.body.error.message }).toEqual({
      status: 404,
      message: `No provider instance "nope" is configured; known: mock, other-${SETTING}.`,
    });
    expect(stack.api.log.find(({ msg }) => msg === 'provider paused')).toMatchObject({
      instance: 'mock',
      reason: 'Upgrade',
    });
  });

  it('are asked for their health', async () => {
    const { status, body } = await operator.request('POST', `${PATH}/mock/health`);
    expect({ status, body }).toMatchObject({ status: 200, body: { ok: true } });
  });
});

describe('an action', () => {
  it('is planned, done, observed and undone, and the two name each other', async () => {
    const block = mockAction('BlockIp', { IP: '203.0.113.9' });
    const plan = await writer.post<{ summary: string }>(block, '/api/v1/actions/plan');
    expect({ ...plan, headers: null }).toMatchObject({
      status: 200,
      body: { summary: expect.any(String) as string },
    });
    const id = await writer.act('BlockIp', { IP: '203.0.113.9' });
    expect(await writer.ended(id)).toMatchObject({
      status: 'Completed',
      reverts: null,
      revertedBy: null,
      attempts: [{ providerVersion: expect.any(String) as string }],
    });
    const seen = await reader.post(block, '/api/v1/actions/observe');
    expect({ ...seen, headers: null }).toMatchObject({
      status: 200,
      body: { inPlace: null, message: expect.any(String) as string },
    });
    expect((await reader.request('POST', `/api/v1/actions/${id}/revert`)).status).toBe(403);
    const first = await writer.request<NativeAction>('POST', `/api/v1/actions/${id}/revert`);
    expect(first).toMatchObject({ status: 201, body: { reverts: id, lane: 'release' } });
    const second = await writer.request<NativeAction>('POST', `/api/v1/actions/${id}/revert`);
    expect(second).toMatchObject({ status: 200, body: { id: first.body.id } });
    expect(await writer.ended(first.body.id)).toMatchObject({ status: 'Completed' });
    expect(await writer.native(id)).toMatchObject({ revertedBy: first.body.id });
  });

  it('that failed cannot be undone, and it is said why', async () => {
    const id = await writer.act('FailAlways', { code: 409, message: 'no' });
    await writer.ended(id);
    const answer = await writer.request<GraphError>('POST', `/api/v1/actions/${id}/revert`);
    expect(answer).toMatchObject({ status: 409, body: { error: { code: 'notAllowed' } } });
    expect(answer.body.error.message).toContain('only what is Completed can be');
  });
});

describe('a list of parameters', () => {
  it.each([
    [[null], 'parameters.0 has to be an object.'],
    [[{ name: 'IP', value: '1.2.3.4' }, 3], 'parameters.1 has to be an object.'],
    [null, 'parameters is needed.'],
  ])('as %j is refused for what is wrong with it', async (parameters, message) => {
    const answer = await writer.post<GraphError>({ ...mockAction('BlockIp'), parameters });
    expect(answer).toMatchObject({ status: 400, body: { error: { message } } });
  });
});

describe('the command line', () => {
  const run = (...args: readonly string[]): Promise<CommandResult> =>
    riposte({ RIPOSTE_URL: stack.baseUrl, RIPOSTE_TOKEN: writer.token }, ...args);
  const create = ['action', 'create', '--provider', 'Mock/Mock'] as const;

  it('shows providers as a table and as JSON', async () => {
    const [table, json] = await Promise.all([run('providers', '-o', 'table'), run('providers', 'list')]);
    expect(table).toMatchObject({ code: 0, stderr: '' });
    expect(table.stdout).toMatch(/^ID +PROVIDER .*\nmock +Mock\/Mock /);
    expect(JSON.parse(json.stdout)).toMatchObject([{ id: 'mock' }]);
  });

  it('pauses with the key of the installation itself', async () => {
    const own = { RIPOSTE_URL: stack.baseUrl, RIPOSTE_DATA_DIR: stack.dataDir };
    const as = ['--tenant', TENANT_B, '--app', APP];
    const paused = await riposte(own, 'providers', 'pause', `other-${SETTING}`, '--reason', 'Upgrade', ...as);
    expect(paused).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(paused.stdout)).toMatchObject({ paused: { reason: 'Upgrade' } });
  });

  it('gets a token for a registered application, and says why it gets none', async () => {
    const added = await riposte(
      { MONGODB_URI: stack.mongodbUri },
      'apps',
      'add',
      '--json',
      '--tenant',
      TENANT_A,
      '--name',
      'SOAR',
      '--role',
      'SecurityActions.Read.All',
    );
    const { clientId, clientSecret } = JSON.parse(added.stdout) as Record<
      'clientId' | 'clientSecret',
      string
    >;
    const as = (secret: string): Promise<CommandResult> =>
      riposte(
        {
          RIPOSTE_URL: stack.baseUrl,
          RIPOSTE_CLIENT_ID: clientId,
          RIPOSTE_CLIENT_SECRET: secret,
          RIPOSTE_TENANT: TENANT_A,
        },
        'providers',
      );
    const [right, wrong] = await Promise.all([as(clientSecret), as(`${clientSecret}x`)]);
    expect(right).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(right.stdout)).toMatchObject([{ id: 'mock' }]);
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toContain(`No token for client ${clientId}: `);
  });

  it('creates an action and waits for its end, which the exit code tells', async () => {
    const [done, failed] = await Promise.all([
      run(...create, 'BlockIp', '--param', 'IP=203.0.113.20', '--wait'),
      run(...create, 'FailAlways', '--param', 'code=409', '--param', 'message=no', '--wait'),
    ]);
    expect({ ...done, body: JSON.parse(done.stdout) as unknown }).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^Recorded as action \S+\. .* --idempotency-key \S+\n$/) as string,
      body: { status: 'Completed' },
    });
    expect(failed.code).toBe(3);
    const { id } = JSON.parse(done.stdout) as { id: string };
    const undone = await run('action', 'revert', id, '--wait');
    expect(JSON.parse(undone.stdout)).toMatchObject({ reverts: id, status: 'Completed' });
    const listed = await run('actions', '--filter', `id eq '${id}'`, '-o', 'table');
    expect(listed.stdout).toContain(`\n${id}  BlockIp`);
  });

  it('takes a secret value from a file, and does not print it', async () => {
    const file = path.join(stack.dataDir, 'pin');
    const machine = path.join(stack.dataDir, 'machine');
    await Promise.all([writeFile(file, 'pin-4711\n'), writeFile(machine, 'host-9\n')]);
    const result = await run(
      ...create,
      'IsolateMachine',
      '--param-file',
      `MachineId=${machine}`,
      '--param-file',
      `UnlockPin=${file}`,
    );
    expect(result.code).toBe(0);
    expect(result.stdout + result.stderr).not.toContain('pin-4711');
    const { id } = JSON.parse(result.stdout) as { id: string };
    expect((await writer.native(id))['parameters']).toEqual([
      { name: 'MachineId', value: 'host-9' },
      { name: 'UnlockPin', value: null },
    ]);
  });

  it('says in words what was refused, with the request id', async () => {
    const wrong = await run(...create, 'BlockIp', '--param', 'IP=nonsense');
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toMatch(
      /^invalidRequest: .*parameter IP .*for example 203\.0\.113\.7.*\(request-id \S+\)\n$/,
    );
  });

  it('exits with 2 for wrong usage of any command, and tells the right one', async () => {
    const wrong = ['', 'nope', 'actions --nope', 'action', 'plugins hash', 'export', 'completion tcsh'];
    const ends = await Promise.all(
      wrong.map((line) => run(...line.split(' ').filter((word) => word !== ''))),
    );
    expect(ends.map(({ code, stdout }) => ({ code, stdout }))).toEqual(
      wrong.map(() => ({ code: 2, stdout: '' })),
    );
    for (const { stderr } of ends) expect(stderr).toContain('Usage: ');
  });

  it('exits with 0 when help is asked for', async () => {
    const [root, group] = await Promise.all([run('--help'), run('help', 'action')]);
    expect([root.code, group.code]).toEqual([0, 0]);
  });

  it('says why an action does not start', async () => {
    const as = ['--tenant', TENANT_B, '--app', APP];
    const own = { RIPOSTE_URL: stack.baseUrl, RIPOSTE_DATA_DIR: stack.dataDir };
    await riposte(own, 'providers', 'pause', `other-${SETTING}`, '--reason', 'Upgrade', ...as);
    const asked = [...create, 'BlockIp', '--param', 'IP=203.0.113.21', '-o', 'table'];
    const created = await riposte(own, ...asked, ...as);
    expect(created.stdout).toMatch(
      /NotStarted +throttled .*The provider instance has been paused since .*: Upgrade\./,
    );
  });

  it('tells wrong usage (2) from an API that is not there (5)', async () => {
    const none = `http://127.0.0.1:${await freePort()}`;
    const [usage, noToken, away] = await Promise.all([
      run('action', 'create', 'BlockIp'),
      riposte({ RIPOSTE_URL: stack.baseUrl }, 'providers'),
      riposte({ RIPOSTE_URL: none, RIPOSTE_TOKEN: 'x' }, 'providers'),
    ]);
    expect([usage.code, noToken.code, away.code]).toEqual([2, 2, 5]);
    expect(usage.stderr).toContain('--provider');
    expect(noToken.stderr).toContain('RIPOSTE_TOKEN');
    expect(away.stderr).toContain(`${none} does not answer`);
  });

  it('completes commands, providers, actions and parameters', async () => {
    // It offers nothing where the API takes longer than a second and a half: on a busy machine it is asked again.
    const words = (...before: readonly string[]): Promise<string[]> =>
      eventually(async () => {
        const { stdout } = await run('complete-words', '--', ...before);
        const found = stdout.split('\n').filter((word) => word !== '');
        return found.length > 0 ? found : null;
      }, 30_000);
    const found = await Promise.all([
      words('prov'),
      words('actions', '--un'),
      words('providers', 'pause', 'm'),
      words(...create.slice(0, 3), ''),
      words(...create, 'BlockI'),
      words(...create, 'BlockIp', '--param', 'I'),
    ]);
    expect(found).toEqual([['providers'], ['--unresolved'], ['mock'], ['Mock/Mock'], ['BlockIp'], ['IP=']]);
    expect((await run('completion', 'bash')).stdout).toContain('complete -F _riposte riposte');
  });
});
