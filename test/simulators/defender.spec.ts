import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { ALL_ROLES } from './defender/tokens.js';
import { idOf } from './defender/machines.js';
import { DEFAULT_APP, DEFAULT_SECRET, DEFAULT_TENANT, DefenderSimulator } from './defender/simulator.js';
import { Quotas } from './defender/quota.js';
import { startDefender } from './defender/start.js';
import { readLedgerFile } from './ledger-file.js';

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}
interface Body {
  readonly id?: string;
  readonly status?: string;
  readonly value?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
  readonly [name: string]: unknown;
}

const SCOPE = 'https://api.securitycenter.microsoft.com/.default';
const OTHER_TENANT = '33333333-3333-4333-8333-333333333333';
const FULL = { Comment: 'contain [riposte:no:one] [riposte:one:abcdef012345]', IsolationType: 'Full' };
const ANNA = idOf('ws-anna.contoso.com');
const BLOCK = {
  indicatorValue: '8.8.4.4',
  indicatorType: 'IpAddress',
  action: 'Block',
  title: 'a block',
  description: 'asked for',
};

let vendor: DefenderSimulator;

beforeAll(async () => {
  // A second of the wall is 100 of the vendor: an action takes 50 ms.
  vendor = await DefenderSimulator.start({
    speed: 100,
    directory: {
      [DEFAULT_TENANT]: {
        [DEFAULT_APP]: { secret: DEFAULT_SECRET },
        old: { secret: 'once', secretExpired: true },
        reader: { secret: 'reads', roles: ['Machine.Read.All', 'Ti.ReadWrite'] },
      },
      [OTHER_TENANT]: { [DEFAULT_APP]: { secret: 'another' } },
    },
  });
});
afterAll(() => vendor.stop());
beforeEach(() => vendor.reset());

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const answer = await fetch(new URL(url, vendor.baseUrl), init);
  const text = await answer.text();
  return {
    status: answer.status,
    headers: answer.headers,
    body: (text === '' ? {} : JSON.parse(text)) as Body,
  };
}

function askToken(form: Readonly<Record<string, string>> = {}, tenantId = DEFAULT_TENANT): Promise<Answer> {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: DEFAULT_APP,
    client_secret: DEFAULT_SECRET,
    scope: SCOPE,
    ...form,
  });
  return ask(`/${tenantId}/oauth2/v2.0/token`, { method: 'POST', body });
}

const held = new Map<string, string>();
/** An answer of the API to an application, by default to the one that may do all. */
async function api(
  method: string,
  below: string,
  body?: unknown,
  [app, secret, tenantId]: readonly [string, string, string?] = [DEFAULT_APP, DEFAULT_SECRET],
): Promise<Answer> {
  const token =
    held.get(app + secret) ??
    String((await askToken({ client_id: app, client_secret: secret }, tenantId)).body['access_token']);
  held.set(app + secret, token);
  return ask(`/api${below}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
}
const READER = ['reader', 'reads'] as const;

const filtered = (what: string, filter: string): string => `/${what}?$filter=${encodeURIComponent(filter)}`;
const order = (segment: string, body: unknown = FULL, machineId = ANNA): Promise<Answer> =>
  api('POST', `/machines/${machineId}/${segment}`, body);
const actionOf = async ({ body }: Answer): Promise<Body> =>
  (await api('GET', `/machineactions/${body.id}`)).body;
const ended = (answer: Answer, status = 'Succeeded'): Promise<Body> =>
  eventually(async () => {
    const action = await actionOf(answer);
    return action.status === status ? action : null;
  });
const idsOf = ({ body }: Answer): readonly unknown[] => (body.value as readonly Body[]).map(({ id }) => id);

describe('the token endpoint', () => {
  it('gives a token that says for whom it is and what that may do', async () => {
    const { status, body } = await askToken();
    expect(status).toBe(200);
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 3599 });
    const [, payload = ''] = String(body['access_token']).split('.');
    expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({
      tid: DEFAULT_TENANT,
      appid: DEFAULT_APP,
      roles: ALL_ROLES,
      exp: expect.any(Number) as number,
    });
  });

  it.each([
    ['a wrong secret', { client_secret: 'guessed' }, 401, 'invalid_client', 7_000_215],
    ['an expired secret', { client_id: 'old', client_secret: 'once' }, 401, 'invalid_client', 7_000_222],
    ['an application of elsewhere', { client_id: 'stranger' }, 400, 'unauthorized_client', 700_016],
    ['another grant', { grant_type: 'password' }, 400, 'unsupported_grant_type', 70_003],
  ])('refuses %s', async (_, form, status, error, code) => {
    const answer = await askToken(form);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ error, error_codes: [code] });
    expect(answer.body['error_description']).toContain(`AADSTS${code}`);
  });

  it('refuses a tenant that there is not', async () => {
    const { body } = await askToken({}, 'ffffffff-ffff-4fff-8fff-ffffffffffff');
    expect(body).toMatchObject({ error: 'invalid_request', error_codes: [90_002] });
  });

  it('gives out tokens for another API, which Defender refuses', async () => {
    const { body } = await askToken({ scope: 'https://api.security.microsoft.com/.default' });
    const authorization = `Bearer ${String(body['access_token'])}`;
    expect((await ask('/api/machines', { headers: { authorization } })).status).toBe(403);
  });
});

describe('who may do what', () => {
  it('asks for a token', async () => {
    const answer = await ask('/api/machines');
    expect([answer.status, answer.body.error?.code]).toEqual([401, 'Unauthorized']);
  });

  it('says which permissions are missing', async () => {
    const { status, body } = await api('POST', `/machines/${ANNA}/isolate`, FULL, READER);
    expect(status).toBe(403);
    expect(body.error).toMatchObject({
      code: 'Forbidden',
      message:
        'The application does not have any of the required application permissions (Machine.Isolate) to access the resource.',
    });
  });

  it('needs for a cancel what the action needed', async () => {
    const { body } = await order('isolate');
    await ask(`/_control/apps/${DEFAULT_TENANT}/scanner`, {
      method: 'PUT',
      body: JSON.stringify({ secret: 'scans', roles: ['Machine.Scan'] }),
    });
    const answer = await api('POST', `/machineactions/${body.id}/cancel`, FULL, ['scanner', 'scans']);
    expect([answer.status, answer.body.error?.message]).toEqual([
      403,
      expect.stringContaining('Machine.Isolate'),
    ]);
  });

  it('keeps tenants apart', async () => {
    const mine = await order('isolate');
    const other = [DEFAULT_APP, 'another', OTHER_TENANT] as const;
    expect((await api('GET', `/machineactions/${mine.body.id}`, undefined, other)).status).toBe(404);
    expect((await api('POST', `/machines/${ANNA}/isolate`, FULL, other)).status).toBe(201);
  });
});

describe('finding machines', () => {
  it('finds one by its id and by its name, also below v1.0', async () => {
    expect((await api('GET', `/machines/${ANNA}`)).body).toMatchObject({
      computerDnsName: 'ws-anna.contoso.com',
      healthStatus: 'Active',
    });
    expect((await api('GET', '/v1.0/machines/WS-ANNA.contoso.com')).body.id).toBe(ANNA);
    expect((await api('GET', `/machines/${'0'.repeat(40)}`)).body.error?.code).toBe('ResourceNotFound');
  });

  it.each([
    ["computerDnsName eq 'ws-anna.contoso.com'", ['ws-anna.contoso.com']],
    ["startswith(computerDnsName,'ws-')", ['ws-anna.contoso.com', 'ws-bert.contoso.com']],
    ["computerDnsName eq 'twin.contoso.com'", ['twin.contoso.com', 'twin.contoso.com']],
    ["lastIpAddress eq '10.0.0.20'", ['srv-db.contoso.com']],
    ["computerDnsName eq 'o''neill.contoso.com'", []],
  ])('filters by %s', async (filter, names) => {
    const { body } = await api('GET', filtered('machines', filter));
    expect((body.value as readonly Body[]).map((machine) => machine['computerDnsName'])).toEqual(names);
  });

  it('refuses filters that it does not know', async () => {
    vendor.behave({ filtersByLastIp: false });
    for (const filter of ["lastIpAddress eq '10.0.0.20'", 'computerDnsName', "name eq 'x'"]) {
      const { status, body } = await api('GET', filtered('machines', filter));
      expect([status, body.error?.code]).toEqual([400, 'ODataError']);
    }
  });

  it('finds by an internal address at a time, of the past 30 days', async () => {
    const at = (ms: number): string => new Date(Date.now() - ms).toISOString();
    const byIp = (ip: string, time: string) => api('GET', `/machines/findbyip(ip='${ip}',timestamp=${time})`);
    expect(idsOf(await byIp('10.0.0.11', at(0)))).toEqual([ANNA]);
    expect(idsOf(await byIp('10.0.0.41', at(0)))).toEqual([idOf('reimaged-new')]);
    expect(idsOf(await byIp('10.0.0.41', at(25 * 86_400_000)))).toHaveLength(2);
    expect(idsOf(await byIp('10.9.9.9', at(0)))).toEqual([]);
    expect((await byIp('10.0.0.11', at(31 * 86_400_000))).status).toBe(400);
  });
});

describe('a machine action', () => {
  it('goes from Pending by InProgress to Succeeded', async () => {
    vendor.destine({ end: 'stuckInProgress' });
    const made = await order('isolate');
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      type: 'Isolate',
      scope: 'Full',
      status: 'Pending',
      requestorComment: FULL.Comment,
      machineId: ANNA,
    });
    await ended(made, 'InProgress');
    expect(vendor.counts().isolations).toEqual({});
    vendor.finish(String(made.body.id));
    await ended(made);
    expect(vendor.counts()).toMatchObject({ isolations: { [ANNA]: 1 }, isolatedNow: [ANNA] });
  });

  it.each([
    ['isolate', FULL, 'Isolate', 201],
    ['unisolate', { Comment: 'c' }, 'Unisolate', 201],
    ['restrictCodeExecution', { Comment: 'c' }, 'RestrictCodeExecution', 201],
    ['unrestrictCodeExecution', { Comment: 'c' }, 'UnrestrictCodeExecution', 201],
    ['runAntiVirusScan', { Comment: 'c', ScanType: 'Quick' }, 'RunAntiVirusScan', 201],
    ['StopAndQuarantineFile', { Comment: 'c', Sha1: 'a'.repeat(40) }, 'StopAndQuarantineFile', 201],
    ['collectInvestigationPackage', { Comment: 'c' }, 'CollectInvestigationPackage', 201],
    ['offboard', { Comment: 'c' }, 'Offboard', 200],
    [
      'runliveresponse',
      { Comment: 'c', Commands: [{ type: 'GetFile', params: [{ key: 'Path', value: 'C:\\x' }] }] },
      'LiveResponse',
      201,
    ],
  ])('is made by %s', async (segment, body, type, status) => {
    const made = await order(segment, body);
    expect([made.status, made.body['type']]).toEqual([status, type]);
    await ended(made);
  });

  it.each([
    ['isolate', { comment: 'c', IsolationType: 'Full' }, 'MissingRequiredParameter'],
    ['isolate', { Comment: 'c', IsolationType: 'full' }, 'InvalidInput'],
    ['isolate', { Comment: 'c', IsolationType: 'UnManagedDevice' }, 'InvalidInput'],
    ['isolate', '{', 'InvalidRequestBody'],
    ['runAntiVirusScan', { Comment: 'c' }, 'MissingRequiredParameter'],
    ['StopAndQuarantineFile', { Comment: 'c', Sha1: 'a'.repeat(64) }, 'InvalidHashValue'],
    ['runliveresponse', { Comment: 'c', Commands: [] }, 'MissingRequiredParameter'],
    ['runliveresponse', { Comment: 'c', Commands: [{ type: 'Reboot', params: [] }] }, 'InvalidInput'],
  ])('is refused by %s of %j', async (segment, body, code) => {
    const { status, body: answer } = await order(segment, body);
    expect([status, answer.error?.code]).toEqual([400, code]);
  });

  it('is refused where the machine cannot, has not seen the file, or is not named by its id', async () => {
    const linux = idOf('srv-web.contoso.com');
    expect((await order('restrictCodeExecution', FULL, linux)).body.error?.code).toBe(
      'OsPlatformNotSupported',
    );
    const unseen = await order('StopAndQuarantineFile', { Comment: 'c', Sha1: '0'.repeat(40) });
    expect([unseen.status, unseen.body.error?.message]).toEqual([
      404,
      expect.stringContaining('not found in machine'),
    ]);
    const { aadDeviceId } = (await api('GET', `/machines/${ANNA}`)).body;
    expect((await order('isolate', FULL, String(aadDeviceId))).status).toBe(404);
  });

  it('is listed by filter, with another name of its last update', async () => {
    const first = await order('isolate');
    const second = await order('runAntiVirusScan', { Comment: 'c', ScanType: 'Full' });
    const all = await api('GET', '/machineactions');
    expect(idsOf(all)).toEqual([second.body.id, first.body.id]);
    const [row = {}] = all.body.value as readonly Body[];
    expect(row).toHaveProperty('lastUpdateTimeUtc');
    expect(row).not.toHaveProperty('lastUpdateDateTimeUtc');
    const since = String(first.body['creationDateTimeUtc']);
    for (const [filter, ids] of [
      [`machineId eq '${ANNA}' and type eq 'Isolate'`, [first.body.id]],
      [`creationDateTimeUtc ge ${since}`, [second.body.id, first.body.id]],
      [`id eq ${first.body.id}`, [first.body.id]],
    ] as const)
      expect(idsOf(await api('GET', filtered('machineactions', filter)))).toEqual(ids);
    expect(idsOf(await api('GET', '/machineactions?$top=1&$skip=1'))).toEqual([first.body.id]);
    expect((await api('GET', '/machineactions?$top=10001')).status).toBe(400);
  });

  it('is refused while one of its type is under way at the machine', async () => {
    vendor.destine({ type: 'Isolate', end: 'stuckPending' });
    await order('isolate');
    const { status, body } = await order('isolate');
    expect([status, body.error?.code]).toEqual([400, 'ActiveRequestAlreadyExists']);
    expect((await order('isolate', FULL, idOf('ws-bert.contoso.com'))).status).toBe(201);
    expect((await order('runAntiVirusScan', { Comment: 'c', ScanType: 'Quick' })).status).toBe(201);
  });

  it('left Pending behind an isolated host isolates it again after the release', async () => {
    await ended(await order('isolate'));
    const duplicate = await order('isolate');
    const bystander = await order('runAntiVirusScan', { Comment: 'c', ScanType: 'Quick' });
    await ended(bystander);
    expect((await actionOf(duplicate)).status).toBe('Pending');
    await ended(await order('unisolate', { Comment: 'let it go' }));
    await ended(duplicate);
    expect(vendor.counts()).toMatchObject({ isolations: { [ANNA]: 2 }, isolatedNow: [ANNA] });
  });

  it('waits for a machine that is not online', async () => {
    const offline = idOf('offline.contoso.com');
    const made = await order('isolate', FULL, offline);
    await ended(await order('isolate'));
    expect((await actionOf(made)).status).toBe('Pending');
    await ask(`/_control/machines/${offline}`, { method: 'PUT', body: JSON.stringify({ online: true }) });
    await ended(made);
  });

  it.each(['Failed', 'TimeOut', 'Cancelled'] as const)('can end as %s', async (end) => {
    vendor.destine({ end });
    await ended(await order('isolate'), end);
    expect(vendor.counts().isolations).toEqual({});
  });

  it('can stay where it is, until it is ended', async () => {
    vendor.destine({ end: 'stuckInProgress' });
    const made = await order('isolate');
    await ended(made, 'InProgress');
    await ended(await order('runAntiVirusScan', { Comment: 'c', ScanType: 'Quick' }));
    expect((await actionOf(made)).status).toBe('InProgress');
    await ask(`/_control/actions/${made.body.id}`, { method: 'POST' });
    expect((await actionOf(made)).status).toBe('Succeeded');
  });

  it('can show a status that nobody knows', async () => {
    const made = await order('isolate');
    vendor.behave({ shownStatus: 'Levitating' });
    expect((await actionOf(made)).status).toBe('Levitating');
  });
});

describe('cancelling a machine action', () => {
  const cancel = (made: Answer): Promise<Answer> =>
    api('POST', `/machineactions/${made.body.id}/cancel`, { Comment: 'not after all' });

  it('cancels what is under way', async () => {
    vendor.destine({ end: 'stuckPending' });
    const made = await order('isolate');
    const { status, body } = await cancel(made);
    expect([status, body.status, body['cancellationComment']]).toEqual([200, 'Cancelled', 'not after all']);
    expect((await actionOf(made)).status).toBe('Cancelled');
    expect(vendor.effects().map(({ what }) => what)).toEqual(['did', 'stopped']);
  });

  it('is too late for what has ended', async () => {
    const made = await order('isolate');
    await ended(made);
    expect((await cancel(made)).status).toBe(400);
    expect((await api('POST', `/machineactions/${DEFAULT_APP}/cancel`, { Comment: 'c' })).status).toBe(404);
  });

  it('can be overtaken by a device that is already at it', async () => {
    vendor.behave({ lateCancel: 'finishes' });
    vendor.destine({ end: 'stuckInProgress' });
    const made = await order('isolate');
    await ended(made, 'InProgress');
    const { body } = await cancel(made);
    expect(body).toMatchObject({ status: 'InProgress', cancellationComment: 'not after all' });
    vendor.finish(String(made.body.id));
    await ended(made);
  });
});

describe('results', () => {
  it('has a link to the package once it is collected, in quotation marks', async () => {
    vendor.destine({ end: 'stuckInProgress' });
    const made = await order('collectInvestigationPackage', { Comment: 'c' });
    const uri = `/machineactions/${made.body.id}/getPackageUri`;
    expect((await api('GET', uri)).status).toBe(404);
    vendor.finish(String(made.body.id));
    const link = String((await api('GET', uri)).body.value);
    expect(link).toMatch(/^"http.*"$/);
    expect(await (await fetch(link.slice(1, -1))).text()).toContain('ws-anna');
  });

  it('tells in the result of a script alone that it failed', async () => {
    const script = { type: 'RunScript', params: [{ key: 'ScriptName', value: 'fails.ps1' }] };
    const made = await order('runliveresponse', { Comment: 'c', Commands: [script] });
    const { commands } = await ended(made);
    expect(commands).toMatchObject([{ index: 0, commandStatus: 'Completed' }]);
    const link = (index: number) =>
      api('GET', `/machineactions/${made.body.id}/GetLiveResponseResultDownloadLink(index=${index})`);
    const result = await fetch(String((await link(0)).body.value));
    expect(await result.json()).toMatchObject({ script_name: 'fails.ps1', exit_code: 1 });
    expect((await link(1)).status).toBe(404);
  });

  it('skips what comes after a command that failed', async () => {
    vendor.destine({ end: 'Failed' });
    const Commands = [
      { type: 'PutFile', params: [{ key: 'FileName', value: 'tool.exe' }] },
      { type: 'GetFile', params: [{ key: 'Path', value: 'C:\\x' }] },
    ];
    const { commands } = await ended(await order('runliveresponse', { Comment: 'c', Commands }), 'Failed');
    expect((commands as readonly Body[]).map((run) => run['commandStatus'])).toEqual(['Failed', 'Created']);
  });

  it('shows an investigation as what it is', async () => {
    const { status, body } = await order('startInvestigation', { Comment: 'c' });
    expect([status, body['state']]).toEqual([201, 'Running']);
    await eventually(async () => (await api('GET', `/investigations/${body.id}`)).body['state'] === 'Benign');
  });
});

describe('indicators', () => {
  const set = (over: object = {}): Promise<Answer> => api('POST', '/indicators', { ...BLOCK, ...over });

  it('are made, written over by value and type, listed and removed', async () => {
    const { status, body } = await set({ application: 'riposte' });
    expect(status).toBe(200);
    const again = await set({ action: 'Audit', generateAlert: true, application: 'else' });
    expect(again.body).toMatchObject({ id: body.id, action: 'Audit', application: 'riposte' });
    expect(idsOf(await api('GET', filtered('indicators', "indicatorValue eq '8.8.4.4'")))).toEqual([body.id]);
    expect((await api('DELETE', `/indicators/${body.id}`)).status).toBe(204);
    expect((await api('DELETE', `/indicators/${body.id}`)).status).toBe(404);
    expect((await api('GET', `/indicators/${body.id}`)).status).toBe(404);
  });

  it.each([
    [{ title: '' }, 'MissingRequiredParameter'],
    [{ indicatorValue: '10.0.0.1' }, 'InvalidIpAddress'],
    [{ indicatorValue: '8.8.8.0/24' }, 'InvalidIpAddress'],
    [{ indicatorValue: '2001:4860:4860::8888' }, 'InvalidIpAddress'],
    [{ indicatorType: 'DomainName', indicatorValue: 'not a name' }, 'InvalidDomainName'],
    [{ indicatorType: 'Url', indicatorValue: 'evil.example/x' }, 'InvalidUrl'],
    [{ indicatorType: 'FileSha256', indicatorValue: 'a'.repeat(40) }, 'InvalidHashValue'],
    [{ indicatorType: 'FileMd5', indicatorValue: 'A'.repeat(32) }, 'InvalidHashValue'],
    [{ action: 'BlockAndRemediate' }, 'InvalidInput'],
    [{ action: 'Audit' }, 'InvalidInput'],
    [{ action: 'block' }, 'InvalidInput'],
    [{ indicatorType: 'CertificateThumbprint', indicatorValue: 'a'.repeat(40) }, 'InvalidInput'],
    [{ expirationTime: '2020-01-01T00:00:00Z' }, 'InvalidInput'],
  ])('are refused with %j', async (over, code) => {
    const { status, body } = await set(over);
    expect([status, body.error?.code]).toEqual([400, code]);
  });

  it.each([
    { indicatorValue: '2001:4860:4860:0:0:0:0:8888' },
    { indicatorType: 'DomainName', indicatorValue: 'evil.example', action: 'Warn' },
    { indicatorType: 'Url', indicatorValue: 'https://evil.example/x' },
    { indicatorType: 'FileSha1', indicatorValue: 'a'.repeat(40), action: 'BlockAndRemediate' },
    { indicatorType: 'CertificateThumbprint', indicatorValue: 'a'.repeat(40), action: 'Allowed' },
    { action: 'Audit', generateAlert: true },
  ])('are taken with %j', async (over) => {
    expect((await set(over)).status).toBe(200);
  });

  it('are no more than the limit; an expired one does not count', async () => {
    vendor.behave({ mostIndicators: 1 });
    expect((await set({ expirationTime: new Date(Date.now() + 1000).toISOString() })).status).toBe(200);
    expect((await set({ indicatorValue: '8.8.8.8' })).status).toBe(400);
    await eventually(async () => (await set({ indicatorValue: '8.8.8.8' })).status === 200);
  });

  it('are imported each for itself', async () => {
    vendor.behave({ badRows: ['8.8.8.8'] });
    const rows = ['8.8.4.4', '8.8.8.8', '10.0.0.1'].map((indicatorValue) => ({ ...BLOCK, indicatorValue }));
    const { status, body } = await api('POST', '/indicators/import', { Indicators: rows });
    expect([status, (body.value as readonly Body[]).map((row) => row['isFailed'])]).toEqual([
      200,
      [false, true, true],
    ]);
    const many = Array.from({ length: 501 }, () => BLOCK);
    const refused = await api('POST', '/indicators/import', { Indicators: many });
    expect(refused.body.error?.code).toBe('MaximumBatchSizeExceeded');
  });

  it('are removed in a batch all or not at all', async () => {
    const { body } = await set();
    const remove = (...IndicatorIds: unknown[]) => api('POST', '/indicators/BatchDelete', { IndicatorIds });
    expect((await remove(body.id, '999')).status).toBe(404);
    expect((await api('GET', `/indicators/${body.id}`)).status).toBe(200);
    expect((await remove(body.id)).status).toBe(204);
  });

  it('of others are not for an application with Ti.ReadWrite', async () => {
    const { body } = await set();
    expect(idsOf(await api('GET', '/indicators', undefined, READER))).toEqual([]);
    expect((await api('DELETE', `/indicators/${body.id}`, undefined, READER)).status).toBe(404);
    expect((await api('POST', '/indicators', BLOCK, READER)).status).toBe(403);
  });
});

describe('quotas', () => {
  let fast: DefenderSimulator;
  beforeAll(async () => {
    fast = vendor;
    vendor = await DefenderSimulator.start({ directory: fast.tokens.directory });
    held.clear();
  });
  afterAll(async () => {
    await vendor.stop();
    vendor = fast;
    held.clear();
  });

  it('let 100 calls through in a minute, and say when there is room again', async () => {
    for (let count = 0; count < 100; count += 1)
      expect((await api('GET', `/machines/${ANNA}`)).status).toBe(200);
    const { status, headers, body } = await api('GET', `/machines/${ANNA}`);
    expect([status, body.error?.code]).toEqual([429, 'TooManyRequests']);
    expect(Number(headers.get('retry-after'))).toSatisfy((seconds: number) => seconds >= 1 && seconds <= 60);
  });

  it('are of each application, and of each class of calls', async () => {
    const rows = { Indicators: [BLOCK] };
    for (let count = 0; count < 30; count += 1) await api('POST', '/indicators/import', rows);
    expect((await api('POST', '/indicators/import', rows)).status).toBe(429);
    expect((await api('POST', '/indicators', BLOCK)).status).toBe(200);
    expect((await api('POST', '/indicators/import', { Indicators: [] }, READER)).status).toBe(200);
    const statuses = [];
    for (let count = 0; count < 3; count += 1)
      statuses.push((await api('GET', `/machineactions/${DEFAULT_APP}/getPackageUri`)).status);
    expect(statuses).toEqual([404, 404, 429]);
  });

  it('let 25 live responses run at once', async () => {
    const { machines, actions } = vendor.tenant();
    const commands = [{ type: 'GetFile', params: [{ key: 'Path', value: 'x' }] }];
    for (let count = 0; count < 25; count += 1)
      actions.create({
        type: 'LiveResponse',
        machine: machines.add({ computerDnsName: `host-${count}` }),
        comment: 'c',
        requestor: DEFAULT_APP,
        commands,
      });
    const refused = await order('runliveresponse', { Comment: 'c', Commands: commands });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '60']);
  });

  it('let 1,500 calls through in an hour, however they are spread, and pass with the clock', () => {
    let at = 0;
    const quotas = new Quotas({ speed: 60, now: () => at, lasting: (ms) => ms / 60 });
    const take = (): void => quotas.take('tenant', 'app', 'general');
    for (let minute = 0; minute < 15; minute += 1) {
      for (let count = 0; count < 100; count += 1) take();
      expect(take).toThrow('100 calls');
      at += 1000;
    }
    expect(take).toThrow(expect.objectContaining({ status: 429, retryAfter: 45 }) as Error);
    at += 45_000;
    expect(take).not.toThrow();
  });
});

describe('faults', () => {
  const created = () => vendor.counts().createdByType['Isolate'] ?? 0;

  it.each([
    [{ how: 'errorAfter' }, 500, 1],
    [{ how: 'error', status: 503 }, 503, 0],
    [{ how: 'throttle', retryAfter: 7 }, 429, 0],
    [{ how: 'activeRequest' }, 400, 0],
  ] as const)('%j answers %i, with %i made', async (fault, status, count) => {
    vendor.fault({ call: 'isolate', ...fault });
    expect((await order('isolate')).status).toBe(status);
    expect(created()).toBe(count);
    expect((await order('isolate', FULL, idOf('ws-bert.contoso.com'))).status).toBe(201);
  });

  it.each([
    ['cut', 0],
    ['cutAfter', 1],
  ] as const)('%s leaves no answer, with %i made', async (how, count) => {
    vendor.fault({ call: 'isolate', how });
    await expect(order('isolate')).rejects.toThrow();
    expect(created()).toBe(count);
  });

  it('come after so many requests, so many times', async () => {
    vendor.fault({ call: '*', how: 'throttle', after: 1, times: 2 });
    const statuses = [];
    for (let count = 0; count < 4; count += 1) statuses.push((await api('GET', `/machines/${ANNA}`)).status);
    expect(statuses).toEqual([200, 429, 429, 200]);
  });

  it('expire the token of a poll', async () => {
    const made = await order('isolate');
    vendor.fault({ call: 'getAction', how: 'expireToken' });
    expect((await api('GET', `/machineactions/${made.body.id}`)).status).toBe(401);
    expect((await api('GET', `/machineactions/${made.body.id}`)).status).toBe(401);
    held.clear();
    expect((await api('GET', `/machineactions/${made.body.id}`)).status).toBe(200);
  });

  it('hide what was made for a while', async () => {
    vendor.behave({ visibleAfterMs: 1e9 });
    const hidden = await order('isolate');
    await api('POST', '/indicators', BLOCK);
    vendor.behave({ visibleAfterMs: 10_000 });
    const later = await order('isolate', FULL, idOf('ws-bert.contoso.com'));
    const indicator = await api('POST', '/indicators', { ...BLOCK, indicatorValue: '8.8.8.8' });
    await eventually(async () => idsOf(await api('GET', '/machineactions')).includes(later.body.id));
    await eventually(async () => idsOf(await api('GET', '/indicators')).includes(indicator.body.id));
    expect(idsOf(await api('GET', '/machineactions'))).toEqual([later.body.id]);
    expect(idsOf(await api('GET', '/indicators'))).toEqual([indicator.body.id]);
    expect((await api('GET', `/machineactions/${hidden.body.id}`)).status).toBe(404);
    expect(vendor.counts().createdByType).toEqual({ Isolate: 2 });
  });

  it('that there are not are refused', async () => {
    const control = (method: string, below: string, body: object) =>
      ask(`/_control${below}`, { method, body: JSON.stringify(body) });
    expect((await control('POST', '/faults', { call: '*', how: 'levitate' })).status).toBe(400);
    expect((await control('POST', '/fates', { end: 'Levitated' })).status).toBe(400);
    expect((await control('PUT', '/behaviour', { mood: 'good' })).status).toBe(400);
    expect((await control('PUT', '/moods', {})).status).toBe(404);
  });
});

describe('the simulator as a process', () => {
  it('writes what happened to its ledger, and counts it', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'riposte-defender-'));
    const ledgerFile = path.join(dir, 'ledger.jsonl');
    const running = await startDefender({ speed: 100, machines: 3, ledgerFile });
    try {
      const id = idOf('host-0003.contoso.com');
      const asked = await fetch(`${running.baseUrl}/${DEFAULT_TENANT}/oauth2/v2.0/token`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: DEFAULT_APP,
          client_secret: DEFAULT_SECRET,
          scope: SCOPE,
        }),
      });
      const { access_token } = (await asked.json()) as { access_token: string };
      await fetch(`${running.baseUrl}/api/machines/${id}/isolate`, {
        method: 'POST',
        headers: { authorization: `Bearer ${access_token}` },
        body: JSON.stringify(FULL),
      });
      const counts = await eventually(async () => {
        const now = await running.counts();
        return now.isolations[id] === 1 ? now : null;
      });
      expect(counts).toMatchObject({
        isolatesCreated: { [id]: 1 },
        createdByMarker: { 'one:abcdef012345': 1 },
      });
      expect(readLedgerFile(ledgerFile)).toMatchObject([
        { event: 'created', type: 'Isolate', machineId: id, marker: 'one:abcdef012345' },
        { event: 'applied', type: 'Isolate', machineId: id, changed: true },
      ]);
      await running.control('POST', '/reset');
      expect((await running.counts()).facts).toEqual([]);
    } finally {
      await running.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});
