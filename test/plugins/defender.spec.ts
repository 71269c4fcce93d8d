import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EntryLedger, Json } from '#domain';
import type { Database } from '#persistence';
import type { StepOutcome, VendorOperation } from '#provider-sdk';
import { defenderProvider } from '../../plugins/defender/index.js';
import { idOf } from '../simulators/defender/machines.js';
import {
  DEFAULT_APP,
  DEFAULT_SECRET,
  DEFAULT_TENANT,
  DefenderSimulator,
} from '../simulators/defender/simulator.js';
import { callContext } from '../support/call-context.js';
import { freshDatabase } from '../support/database.js';

/** The plugin for Defender for Endpoint over HTTP, against a simulator made from Microsoft's documentation. */

const { calls, manifest } = defenderProvider();
const OTHER_APP = '33333333-3333-4333-8333-333333333333';
const ANNA = idOf('ws-anna.contoso.com');
const BERT = idOf('ws-bert.contoso.com');

let database: Database;
let ledger: EntryLedger;
let vendor: DefenderSimulator;
beforeAll(async () => {
  database = await freshDatabase();
  vendor = await DefenderSimulator.start({
    // Work ends when a test says so.
    behaviour: { pendingMs: 0, runningMs: 86_400_000 },
    directory: {
      [DEFAULT_TENANT]: {
        [DEFAULT_APP]: { secret: DEFAULT_SECRET },
        [OTHER_APP]: { secret: 'of-the-other-app', roles: ['Machine.Read.All', 'Machine.Scan'] },
        expired: { secret: DEFAULT_SECRET, secretExpired: true },
      },
    },
  });
});
afterAll(() => vendor.stop());
beforeEach(() => {
  vendor.reset();
  ledger = database.entryLedger(randomUUID());
});

interface Given {
  readonly settings?: object;
  readonly secret?: string;
  readonly key?: string;
  readonly saved?: VendorOperation[];
  readonly issuedAt?: Date;
  readonly lastCheckpoint?: Json;
  readonly noted?: unknown[];
}

/** What the plugin notes before it sends anything, under an intent without a time. */
const SENDING = { sendingUnder: null };

function context({
  settings = {},
  secret = DEFAULT_SECRET,
  issuedAt,
  lastCheckpoint = null,
  noted = [],
  ...given
}: Given = {}) {
  const made = callContext({
    settings: {
      tenantId: DEFAULT_TENANT,
      clientId: DEFAULT_APP,
      cloud: 'commercial',
      pollEveryMs: 5000,
      neverBlock: ['corp.example'],
      baseUrl: vendor.baseUrl,
      loginUrl: vendor.baseUrl,
      ...settings,
    },
    secrets: { clientSecret: secret },
    ...given,
  });
  return {
    ...made,
    ledger,
    lastCheckpoint,
    heartbeat: ({ checkpoint }: { readonly checkpoint?: Json } = {}) => {
      noted.push(checkpoint);
      return Promise.resolve();
    },
    ...(issuedAt === undefined ? {} : { issuedAt }),
  };
}

const ask = (action: string, parameters: object) => ({ action, parameters });
const isolate = (MachineId = 'ws-anna.contoso.com', IsolationType = 'Full') =>
  ask('IsolateMachine', { MachineId, IsolationType });
const scan = (MachineId = ANNA, ScanType = 'Quick') => ask('RunAntivirusScan', { MachineId, ScanType });
const runScript = (ScriptName: string) => ask('RunScript', { MachineId: ANNA, ScriptName });
const wishes = { Severity: 'Medium', GenerateAlert: false };
const blockIp = (IP = '1.2.3.4') => ask('BlockIp', { IP, ...wishes });

type Request = ReturnType<typeof ask>;

async function begun(request: Request, given: Given = {}): Promise<VendorOperation> {
  const outcome = await calls.execute(context(given), request);
  if (outcome.kind !== 'pending') throw new TypeError(`it is ${outcome.kind}`);
  return outcome.operation;
}

async function poll(operation: VendorOperation, request: Request): Promise<StepOutcome> {
  const outcome = await calls.poll?.(context(), operation, request);
  if (outcome === undefined) throw new TypeError('there is no poll');
  return outcome;
}

/** Takes an action to its good end. */
async function done(request: Request, key = 'key-1') {
  let outcome = await calls.execute(context({ key }), request);
  if (outcome.kind === 'pending') {
    vendor.finish(outcome.operation.id);
    outcome = await poll(outcome.operation, request);
  }
  if (outcome.kind !== 'completed') throw new TypeError(`it is ${outcome.kind}`);
  return {
    ...request,
    actionId: key,
    completedAt: new Date(),
    result: outcome.result ?? null,
    effect: outcome.effect ?? null,
  };
}

const machine = () => vendor.tenant().machines.byId(ANNA);
const indicatorsNow = () =>
  vendor
    .tenant()
    .indicators.list({ appId: DEFAULT_APP, everybodys: true })
    .map(({ indicatorType, indicatorValue, action }) => `${action} ${indicatorType} ${indicatorValue}`);

describe('the token', () => {
  it('is asked for once, also by calls at the same time', async () => {
    const fresh = defenderProvider().calls;
    const before = vendor.tokens.issued;
    await Promise.all([1, 2, 3].map((n) => fresh.execute(context({ key: `k${n}` }), blockIp(`1.2.3.${n}`))));
    await fresh.execute(context({ key: 'k4' }), blockIp('1.2.3.4'));
    expect(vendor.tokens.issued - before).toBe(1);
  });

  it('is renewed when Defender does not take it any more, in the midst of polling', async () => {
    const request = isolate();
    const operation = await begun(request);
    vendor.tokens.expireAll();
    expect(await poll(operation, request)).toMatchObject({ kind: 'pending' });
  });

  it('that is refused anew is an error of the settings', async () => {
    vendor.fault({ call: '*', how: 'expireToken', times: 2 });
    await expect(calls.execute(context(), isolate())).rejects.toMatchObject({
      errorClass: 'auth',
      message: expect.stringMatching(
        /refused a token that Entra ID had just given.*settings\.cloud/,
      ) as string,
    });
  });

  it.each([
    [
      'a wrong secret',
      { secret: 'another-secret' },
      /client secret .* as wrong \(AADSTS7000215\).*clientSecret/,
    ],
    [
      'an expired secret',
      { settings: { clientId: 'expired' } },
      /has expired \(AADSTS7000222\)\. Make a new one/,
    ],
    [
      'an application of another tenant',
      { settings: { clientId: '44444444-4444-4444-8444-444444444444' } },
      /is not in tenant .* \(AADSTS700016\)/,
    ],
    [
      'a tenant that is none',
      { settings: { tenantId: '55555555-5555-4555-8555-555555555555' } },
      /knows no tenant 55555555.* \(AADSTS90002\)/,
    ],
  ])('is refused for %s, saying what to do', async (_what, given: Given, message) => {
    const fails = calls.execute(context(given), blockIp());
    await expect(fails).rejects.toMatchObject({
      errorClass: 'auth',
      message: expect.stringMatching(message) as string,
    });
    const { message: said } = (await fails.catch((error: unknown) => error as Error)) as Error;
    expect(said).not.toContain(given.secret ?? DEFAULT_SECRET);
  });

  it.each([
    ['Entra ID', { loginUrl: 'http://127.0.0.1:9' }],
    ['Defender', { baseUrl: 'http://127.0.0.1:9' }],
  ])('a host of %s that cannot be reached is named', async (_host, settings) => {
    await expect(calls.execute(context({ settings }), blockIp())).rejects.toMatchObject({
      errorClass: 'unreachable',
      message: expect.stringMatching(
        /^127\.0\.0\.1:9 cannot be reached from this worker\..*nothing was sent/,
      ) as string,
    });
  });

  it('of an application without the permission: the permission is named', async () => {
    const settings = { clientId: OTHER_APP };
    await expect(
      calls.execute(context({ settings, secret: 'of-the-other-app' }), isolate()),
    ).rejects.toMatchObject({
      errorClass: 'permission',
      message: expect.stringMatching(
        /lacks the application permission Machine\.Isolate of WindowsDefenderATP/,
      ) as string,
    });
  });

  it('for the scope of the newer host is refused by Defender, and the permission is not blamed', async () => {
    const settings = { scope: 'https://api.security.microsoft.com/.default' };
    await expect(calls.execute(context({ settings }), isolate())).rejects.toMatchObject({
      errorClass: 'permission',
      message: expect.stringMatching(/Its token has .*look at what else forbids it/) as string,
    });
  });
});

describe('finding the machine', () => {
  it.each([
    ['its id', ANNA.toUpperCase()],
    ['its DNS name', 'WS-Anna.contoso.com'],
    ['the first part of its DNS name', 'ws-anna'],
    ['its internal address', '10.0.0.11'],
  ])('takes %s', async (_what, given) => {
    await done(isolate(given));
    expect(machine().isolated).toBe('Full');
  });

  it('chooses none of several of one name, and names them', async () => {
    await expect(calls.execute(context(), isolate('twin.contoso.com'))).rejects.toMatchObject({
      errorClass: 'ambiguousTarget',
      message: expect.stringMatching(
        new RegExp(`2 machines as "twin.contoso.com".*(${idOf('twin-1')}.*${idOf('twin-2')})`),
      ) as string,
    });
    expect(vendor.facts()).toEqual([]);
  });

  it.each([
    ['a name', 'nobody.contoso.com', /knows no machine "nobody\.contoso\.com" by this DNS name/],
    ['an address', '10.9.9.9', /knows no machine "10\.9\.9\.9" with this internal IP address/],
    ['an id', '0'.repeat(40), /knows no machine 0{40}/],
  ])('says of %s that nobody has what to do', async (_what, given, message) => {
    await expect(calls.execute(context(), isolate(given))).rejects.toMatchObject({
      errorClass: 'targetNotFound',
      message: expect.stringMatching(message) as string,
    });
  });

  it("refuses Entra's device id, by which the wrong machine was found before", async () => {
    await expect(
      calls.execute(context(), isolate('11111111-1111-4111-8111-111111111111')),
    ).rejects.toMatchObject({ errorClass: 'invalidInput' });
  });

  it('does not take quotes in a name for its own', async () => {
    await expect(calls.execute(context(), isolate("x' or id ne '"))).rejects.toMatchObject({
      errorClass: 'targetNotFound',
    });
  });
});

describe('isolating a machine', () => {
  it('is completed when Defender says that it succeeded, and not before', async () => {
    const request = isolate();
    const saved: VendorOperation[] = [];
    const operation = await begun(request, { saved });
    expect(saved.map(({ id }) => id)).toEqual([operation.id]);
    expect(await poll(operation, request)).toMatchObject({ kind: 'pending', nextPollMs: 5000 });
    vendor.finish(operation.id);
    expect(await poll(operation, request)).toMatchObject({
      kind: 'completed',
      result: { machineActionId: operation.id, machineId: ANNA, status: 'Succeeded' },
      effect: { changed: true, ids: [operation.id] },
    });
  });

  it('stays pending at a status that nobody knows, and at one that is not shown yet', async () => {
    const request = isolate();
    const operation = await begun(request);
    vendor.sayStatus('Rebooting');
    expect(await poll(operation, request)).toMatchObject({ kind: 'pending' });
    expect(await poll({ ...operation, id: 'not-there-yet' }, request)).toMatchObject({ kind: 'pending' });
  });

  it.each([
    ['Failed', /says that Isolate of machine .* failed .*error -2147024809/],
    ['TimeOut', /gave Isolate of machine .* up, for the machine did not answer in time/],
  ] as const)('fails where Defender says %s', async (end, message) => {
    vendor.destine({ type: 'Isolate', end });
    const request = isolate();
    const operation = await begun(request);
    vendor.tenant().actions.finish(operation.id, end);
    expect(await poll(operation, request)).toMatchObject({
      kind: 'failed',
      error: { errorClass: 'permanent', message: expect.stringMatching(message) as string },
    });
  });

  it('changes nothing at a machine that is isolated, and undoing it does not either', async () => {
    vendor.tenant().actions.putSucceeded('Isolate', machine());
    const isolated = await done(isolate());
    expect(isolated.effect).toMatchObject({ changed: false });
    await calls.revert?.(context({ key: 'undo' }), isolated);
    expect(machine().isolated).toBe('Full');
    expect(vendor.facts()).toEqual([]);
  });

  it("waits for somebody else's that is under way instead of making a second one", async () => {
    const request = isolate();
    const theirs = await begun(request, { key: 'theirs' });
    const ours = await begun(request, { key: 'ours' });
    expect(ours.id).toBe(theirs.id);
    expect(vendor.counts().isolatesCreated).toEqual({ [ANNA]: 1 });
    expect(await calls.cancel(context({ key: 'ours' }), ours, request)).toBe('notSupported');
    vendor.finish(theirs.id);
    expect(await poll(ours, request)).toMatchObject({ kind: 'completed', effect: { changed: false } });
  });

  it('takes up the same action that Defender says is in progress', async () => {
    vendor.behave({ visibleAfterMs: 300 });
    const request = isolate();
    const theirs = await begun(request, { key: 'theirs' });
    // It is not listed yet, so that a second one is tried, and refused.
    const late = calls.execute(context({ key: 'ours' }), request);
    await expect(late).rejects.toMatchObject({ errorClass: 'targetBusy' });
    await expect
      .poll(() => calls.execute(context({ key: 'ours' }), request), { timeout: 5000 })
      .toMatchObject({ kind: 'pending', operation: { id: theirs.id } });
  });

  it('waits while the machine is busy with something else, and says with what', async () => {
    vendor.behave({ otherType: 'refused' });
    const busy = await begun(scan());
    const { actions } = vendor.tenant();
    const since = actions.shown(actions.get(busy.id)).creationDateTimeUtc;
    await expect(calls.execute(context({ key: 'k' }), isolate())).rejects.toMatchObject({
      errorClass: 'targetBusy',
      retryAfterMs: 30_000,
      message: expect.stringContaining(
        `RunAntiVirusScan (machine action ${busy.id}, InProgress since ${since}, asked for by ${DEFAULT_APP})`,
      ) as string,
    });
  });

  it.each(['errorAfter', 'cutAfter', 'garbage'] as const)(
    'finds what was made when the answer was lost (%s), and never makes it again',
    async (how) => {
      vendor.fault({ call: 'isolate', how });
      const request = isolate();
      await expect(calls.execute(context(), request)).rejects.toMatchObject({ errorClass: 'unknownOutcome' });
      const lastCheckpoint = SENDING;
      expect(await calls.reconcile?.(context({ lastCheckpoint }), request)).toMatchObject({
        kind: 'pending',
      });
      expect(await calls.reconcile?.(context({ lastCheckpoint, key: 'other' }), request)).toEqual({
        kind: 'notFound',
      });
      expect(await calls.execute(context(), request)).toMatchObject({ kind: 'pending' });
      expect(vendor.counts().createdByType).toEqual({ Isolate: 1 });
    },
  );

  it('notes that it sends before it does, so that what died before can be issued anew', async () => {
    const issuedAt = new Date();
    const request = isolate();
    const before = await calls.reconcile?.(context({ issuedAt }), request);
    expect(before).toEqual({ kind: 'neverSent' });
    expect(await calls.cancel(context({ issuedAt }), null, request)).toBe('neverSent');
    // What an earlier intent came to counts for nothing.
    const lastCheckpoint = { sendingUnder: new Date(0).toISOString() };
    expect(await calls.reconcile?.(context({ issuedAt, lastCheckpoint }), request)).toEqual(before);
    const noted: unknown[] = [];
    await calls.execute(context({ issuedAt, noted }), request);
    expect(noted).toEqual([{ sendingUnder: issuedAt.toISOString() }]);
  });

  it('notes nothing while it only looks for the machine', async () => {
    const noted: unknown[] = [];
    await calls.execute(context({ noted }), isolate('nobody')).catch(() => undefined);
    expect(noted).toEqual([]);
  });

  it('puts the reason and a marker into the comment', async () => {
    await calls.execute(
      context({ key: 'action-1' }),
      ask('IsolateMachine', { MachineId: ANNA, IsolationType: 'Selective', Comment: 'Case 4711' }),
    );
    expect(vendor.facts()).toMatchObject([
      { marker: expect.stringMatching(/^action-1:[0-9a-f]{12}$/) as string },
    ]);
  });

  it('is not done again in another scope by taking the wrong one for it', async () => {
    await done(isolate(ANNA, 'Selective'), 'selective');
    expect(await calls.execute(context({ key: 'full' }), isolate(ANNA, 'Full'))).toMatchObject({
      kind: 'pending',
    });
  });
});

describe('cancelling what is under way', () => {
  it('stops it at Defender', async () => {
    const request = isolate();
    const operation = await begun(request);
    expect(await calls.cancel(context(), operation, request)).toBe('cancelled');
    expect(await poll(operation, request)).toEqual({ kind: 'stopped' });
    expect(machine().isolated).toBeNull();
  });

  it('finds it when its id never came back', async () => {
    vendor.fault({ call: 'isolate', how: 'cutAfter' });
    await expect(calls.execute(context(), isolate())).rejects.toThrow();
    expect(await calls.cancel(context({ lastCheckpoint: SENDING }), null, isolate())).toBe('cancelled');
  });

  it('says that it is too late for what has ended', async () => {
    const request = isolate();
    const operation = await begun(request);
    vendor.finish(operation.id);
    expect(await calls.cancel(context(), operation, request)).toBe('tooLate');
    expect(machine().isolated).toBe('Full');
  });

  it('waits for the end of what goes on at the machine', async () => {
    vendor.behave({ lateCancel: 'finishes' });
    const request = isolate();
    const operation = await begun(request);
    await poll(operation, request);
    expect(await calls.cancel(context(), operation, request)).toBe('requested');
    vendor.finish(operation.id);
    expect(await poll(operation, request)).toMatchObject({ kind: 'completed' });
  });
});

describe('undoing', () => {
  it('releases a machine that it isolated; a second time changes nothing', async () => {
    const isolated = await done(isolate());
    const undo = await calls.revert?.(context({ key: 'undo' }), isolated);
    expect(undo).toMatchObject({ kind: 'pending' });
    if (undo?.kind === 'pending') vendor.finish(undo.operation.id);
    expect(machine().isolated).toBeNull();
    expect(await calls.revert?.(context({ key: 'again' }), isolated)).toMatchObject({
      kind: 'completed',
      effect: { changed: false },
    });
  });

  it('warns at a release of an isolation that waits behind it', async () => {
    await done(isolate(), 'first');
    vendor.behave({ duplicateIsolate: 'pending' });
    // As a second console would have asked for it.
    const pending = vendor.tenant().actions.create({
      type: 'Isolate',
      machine: machine(),
      comment: 'by hand',
      requestor: 'analyst@contoso.com',
      scope: 'Full',
    });
    const request = ask('UnisolateMachine', { MachineId: ANNA });
    const operation = await begun(request, { key: 'release' });
    vendor.finish(operation.id);
    expect(await poll(operation, request)).toMatchObject({
      result: { warnings: [expect.stringContaining(`Isolate ${pending.id} of analyst@contoso.com`)] },
    });
  });

  it('of what Defender cannot take back is refused', async () => {
    const request = scan();
    await expect(calls.revert?.(context(), { ...(await done(request)), effect: null })).rejects.toMatchObject(
      { errorClass: 'unsupported' },
    );
  });
});

describe('polling many at once', () => {
  it('asks once for all of them, and tells each its own', async () => {
    const [anna, bert] = [isolate(ANNA), scan(BERT)];
    const operations = [await begun(anna, { key: 'a' }), await begun(bert, { key: 'b' })] as const;
    vendor.finish(operations[0].id);
    const before = vendor.calls();
    const outcomes = await calls.pollMany?.(context(), [
      { actionId: 'a', operation: operations[0], request: anna },
      { actionId: 'b', operation: operations[1], request: bert },
    ]);
    expect(vendor.calls() - before).toBe(1);
    expect(outcomes?.get('a')).toMatchObject({ kind: 'completed' });
    expect(outcomes?.get('b')).toMatchObject({ kind: 'pending' });
  });
});

describe('live response', () => {
  it('completes with what the script wrote, and without the link to it', async () => {
    const { result } = await done(runScript('collect.ps1'));
    expect(result).toMatchObject({ scripts: [{ command: 0, script: 'collect.ps1', exitCode: 0 }] });
    expect(JSON.stringify(result)).not.toMatch(/https?:|sig=/);
  });

  it('fails where the script ended with another exit code than 0, though Defender says Succeeded', async () => {
    const request = runScript('fails.ps1');
    const operation = await begun(request);
    vendor.finish(operation.id);
    expect(await poll(operation, request)).toMatchObject({
      kind: 'failed',
      error: { message: expect.stringMatching(/fails\.ps1 ended with exit code 1/) as string },
    });
  });

  it("is never taken for somebody else's commands: it waits until these have ended", async () => {
    const theirs = await begun(runScript('cleanup.ps1'), { key: 'theirs' });
    const request = runScript('collect.ps1');
    await expect(calls.execute(context({ key: 'ours' }), request)).rejects.toMatchObject({
      errorClass: 'targetBusy',
    });
    vendor.finish(theirs.id);
    expect(await calls.execute(context({ key: 'ours' }), request)).toMatchObject({ kind: 'pending' });
  });
});

describe('other actions on machines', () => {
  it('a file that was never seen on the machine is not found there', async () => {
    const request = ask('StopAndQuarantineFile', { MachineId: ANNA, Sha1: '0'.repeat(40) });
    await expect(calls.execute(context(), request)).rejects.toMatchObject({
      errorClass: 'targetNotFound',
      message: expect.stringMatching(/or has never seen the file 0{40} on it/) as string,
    });
  });

  it('a machine of a system that cannot do it', async () => {
    const request = ask('RestrictAppExecution', { MachineId: 'srv-web.contoso.com' });
    await expect(calls.execute(context(), request)).rejects.toMatchObject({ errorClass: 'unsupported' });
  });

  it('the link to a package is not in the result, but how to get one', async () => {
    const { result } = await done(ask('CollectInvestigationPackage', { MachineId: ANNA }));
    expect(JSON.stringify(result)).toMatch(/getPackageUri/);
    expect(JSON.stringify(result)).not.toMatch(/https?:|sig=/);
  });

  it.each(['OffboardMachine', 'StartInvestigation'])(
    '%s is off unless the settings name it',
    async (name) => {
      const request = ask(name, { MachineId: ANNA });
      await expect(calls.execute(context(), request)).rejects.toMatchObject({
        errorClass: 'permission',
        message: expect.stringContaining('settings.actions') as string,
      });
      expect(await calls.execute(context({ settings: { actions: [name] } }), request)).toMatchObject({
        kind: name === 'StartInvestigation' ? 'completed' : 'pending',
      });
    },
  );
});

describe('indicators', () => {
  it.each([
    [blockIp(), 'Block IpAddress 1.2.3.4'],
    [blockIp('2606:4700::11'), 'Block IpAddress 2606:4700:0:0:0:0:0:11'],
    [ask('BlockDomain', { Domain: 'evil.example', ...wishes }), 'Block DomainName evil.example'],
    [ask('BlockUrl', { URL: 'https://evil.example/x', ...wishes }), 'Block Url https://evil.example/x'],
    [ask('BlockFile', { FileHash: 'a'.repeat(32), ...wishes }), `Block FileMd5 ${'a'.repeat(32)}`],
    [ask('BlockFile', { FileHash: 'a'.repeat(40), ...wishes }), `Block FileSha1 ${'a'.repeat(40)}`],
    [
      ask('BlockFile', { FileHash: 'a'.repeat(64), ...wishes, Remediate: true }),
      `BlockAndRemediate FileSha256 ${'a'.repeat(64)}`,
    ],
    [
      ask('BlockCertificate', { Thumbprint: 'A'.repeat(40), ...wishes }),
      `BlockAndRemediate CertificateThumbprint ${'a'.repeat(40)}`,
    ],
    [ask('AllowIp', { IP: '1.2.3.4', ...wishes }), 'Allowed IpAddress 1.2.3.4'],
    [ask('AuditDomain', { Domain: 'evil.example', ...wishes }), 'Audit DomainName evil.example'],
    [ask('WarnFile', { FileHash: 'a'.repeat(40), ...wishes }), `Warn FileSha1 ${'a'.repeat(40)}`],
    [
      ask('AlertIndicator', { IndicatorType: 'Url', IndicatorValue: 'https://evil.example/x', ...wishes }),
      'Audit Url https://evil.example/x',
    ],
  ])('%j is %s', async (request, indicator) => {
    expect(await done(request)).toMatchObject({ effect: { changed: true } });
    expect(indicatorsNow()).toEqual([indicator]);
  });

  it.each(['10.1.2.3', '192.168.0.1', '127.0.0.1', 'fe80::1', '::1'])(
    'the internal address %s is refused without asking Defender',
    async (IP) => {
      const before = vendor.calls();
      await expect(calls.execute(context(), blockIp(IP))).rejects.toMatchObject({
        errorClass: 'invalidInput',
      });
      expect(vendor.calls()).toBe(before);
    },
  );

  it('that is in place is left alone, and stays when the action is undone', async () => {
    vendor
      .tenant()
      .indicators.putInPlace({ indicatorType: 'IpAddress', indicatorValue: '1.2.3.4', action: 'Block' });
    const blocked = await done(blockIp());
    expect(blocked.effect).toMatchObject({ changed: false });
    await calls.revert?.(context({ key: 'undo' }), blocked);
    expect(indicatorsNow()).toEqual(['Block IpAddress 1.2.3.4']);
  });

  it("that takes another's place says so, and puts it back when the action is undone", async () => {
    vendor.tenant().indicators.putInPlace({
      indicatorType: 'IpAddress',
      indicatorValue: '1.2.3.4',
      action: 'Allowed',
      title: 'Our proxy',
    });
    const blocked = await done(blockIp());
    expect(blocked.result).toMatchObject({
      warnings: [
        'It took the place of an indicator "Our proxy" ("Allowed"); to revert this puts that one back.',
      ],
    });
    expect(indicatorsNow()).toEqual(['Block IpAddress 1.2.3.4']);
    await calls.revert?.(context({ key: 'undo' }), blocked);
    expect(indicatorsNow()).toEqual(['Allowed IpAddress 1.2.3.4']);
  });

  it('remembers what it wrote over when the answer was lost', async () => {
    vendor.tenant().indicators.putInPlace({
      indicatorType: 'IpAddress',
      indicatorValue: '1.2.3.4',
      action: 'Audit',
      generateAlert: true,
    });
    vendor.fault({ call: 'setIndicator', how: 'cutAfter' });
    await expect(calls.execute(context(), blockIp())).rejects.toMatchObject({ errorClass: 'unknownOutcome' });
    expect(await calls.execute(context(), blockIp())).toMatchObject({
      effect: { changed: true, previous: { action: 'Audit' } },
    });
  });

  it('a block within a domain that somebody allows is told to be without effect', async () => {
    vendor.tenant().indicators.putInPlace({
      indicatorType: 'DomainName',
      indicatorValue: 'example.com',
      action: 'Allowed',
    });
    const { result } = await done(ask('BlockUrl', { URL: 'https://cdn.example.com/x', ...wishes }));
    expect(result).toMatchObject({
      warnings: [
        expect.stringMatching(/allows DomainName example\.com.*no effect until that one is removed/),
      ],
    });
  });

  it('undoing leaves alone what somebody has written over since', async () => {
    const blocked = await done(blockIp());
    vendor
      .tenant()
      .indicators.putInPlace({ indicatorType: 'IpAddress', indicatorValue: '1.2.3.4', action: 'Allowed' });
    await calls.revert?.(context({ key: 'undo' }), blocked);
    expect(indicatorsNow()).toEqual(['Allowed IpAddress 1.2.3.4']);
  });

  it('UnblockIp removes a block and leaves an allow; undoing it blocks again', async () => {
    await done(blockIp());
    const unblocked = await done(ask('UnblockIp', { IP: '1.2.3.4' }), 'unblock');
    expect(indicatorsNow()).toEqual([]);
    await calls.revert?.(context({ key: 'undo' }), unblocked);
    expect(indicatorsNow()).toEqual(['Block IpAddress 1.2.3.4']);
    await done(ask('AllowIp', { IP: '1.2.3.4', ...wishes }), 'allow');
    expect(await done(ask('UnblockIp', { IP: '1.2.3.4' }), 'unblock-2')).toMatchObject({
      effect: { changed: false },
    });
    expect(indicatorsNow()).toEqual(['Allowed IpAddress 1.2.3.4']);
    await done(ask('RemoveIndicator', { IndicatorType: 'IpAddress', IndicatorValue: '1.2.3.4' }), 'remove');
    expect(indicatorsNow()).toEqual([]);
  });

  it('of which the tenant has too many are told as such', async () => {
    vendor.behave({ mostIndicators: 0 });
    await expect(calls.execute(context(), blockIp())).rejects.toMatchObject({ errorClass: 'capacity' });
  });
});

describe('a block that has an end', () => {
  it('is given to Defender, which lifts it by itself; what it had replaced comes back', async () => {
    vendor.tenant().indicators.putInPlace({
      indicatorType: 'IpAddress',
      indicatorValue: '1.2.3.4',
      action: 'Allowed',
    });
    const effectUntil = new Date(Date.now() + 500);
    const blocked = await done({ ...blockIp(), effectUntil } as Request);
    expect(blocked).toMatchObject({
      result: { action: 'Block' },
      effect: { expiresAt: effectUntil.toISOString() },
    });
    await expect.poll(indicatorsNow, { timeout: 5000 }).toEqual([]);
    await calls.revert?.(context({ key: 'undo' }), blocked);
    expect(indicatorsNow()).toEqual(['Allowed IpAddress 1.2.3.4']);
  });

  it('is not made when that is past', async () => {
    const request = { ...blockIp(), effectUntil: new Date(Date.now() - 1000) };
    expect(await done(request as Request)).toMatchObject({ effect: { changed: false } });
    expect(indicatorsNow()).toEqual([]);
  });

  it('is made again where the one that is in place ends before', async () => {
    await done({ ...blockIp(), effectUntil: new Date(Date.now() + 60_000) } as Request, 'short');
    expect(await done(blockIp(), 'for-ever')).toMatchObject({ effect: { changed: true } });
  });
});

describe('what is refused before anything is recorded', () => {
  it.each([
    ['an internal address', blockIp('10.0.0.1'), 'invalid'],
    ["Entra's id of a device", isolate('11111111-1111-4111-8111-111111111111'), 'invalid'],
    ['what the settings protect', ask('BlockDomain', { Domain: 'dc.corp.example', ...wishes }), undefined],
    ['a public suffix', ask('BlockDomain', { Domain: 'co.uk', ...wishes }), undefined],
    ['an action that is off', ask('OffboardMachine', { MachineId: ANNA }), undefined],
  ])('%s', async (_what, request, kind) => {
    const refusal = calls.validate?.(context().settings, request);
    expect(refusal).toMatchObject({ message: expect.stringMatching(/./) as string });
    expect(refusal?.kind === 'invalid').toBe(kind === 'invalid');
    await expect(calls.execute(context(), request)).rejects.toMatchObject({
      errorClass: kind === 'invalid' ? 'invalidInput' : 'permission',
    });
  });

  it('Defender itself cannot be blocked by Defender', () => {
    const real = { ...(context().settings as object), baseUrl: undefined, loginUrl: undefined };
    for (const Domain of ['security.microsoft.com', 'login.microsoftonline.com'])
      expect(calls.validate?.(real, ask('BlockDomain', { Domain, ...wishes }))).not.toBeNull();
  });

  it('nothing else', () => {
    for (const request of [isolate(), blockIp(), scan()])
      expect(calls.validate?.(context().settings, request)).toBeNull();
  });
});

describe('questions', () => {
  it('a plan tells what would change, of a machine and of an indicator', async () => {
    expect(await calls.plan?.(context(), isolate())).toMatchObject({
      changes: [`IsolateMachine at ws-anna.contoso.com (${ANNA}).`],
      target: { machineId: ANNA },
    });
    expect(await calls.plan?.(context(), blockIp())).toMatchObject({
      changes: ['Indicator of IpAddress 1.2.3.4: none becomes Block.'],
    });
    expect(vendor.facts()).toEqual([]);
  });

  it('whether a machine is isolated follows from what was done last', async () => {
    expect(await calls.observe?.(context(), isolate())).toMatchObject({ inPlace: false });
    vendor.tenant().actions.putSucceeded('Isolate', machine());
    expect(await calls.observe?.(context(), isolate())).toMatchObject({ inPlace: true });
  });

  it('health names the permissions that are missing, and which actions they are for', async () => {
    expect(await calls.health?.(context())).toMatchObject({ ok: true });
    const lacking = { settings: { clientId: OTHER_APP }, secret: 'of-the-other-app' };
    const report = await calls.health?.(context(lacking));
    expect(report).toMatchObject({
      ok: false,
      message: expect.stringMatching(
        /lacks Machine\.Isolate, Machine\.RestrictExecution.*admin consent/,
      ) as string,
    });
    expect(report?.checks).toContainEqual({
      name: 'Machine.Isolate',
      ok: false,
      message: 'missing: IsolateMachine, UnisolateMachine will be refused',
    });
    const least = { ...lacking, settings: { clientId: OTHER_APP, actions: ['RunAntivirusScan'] } };
    expect(await calls.health?.(context(least))).toMatchObject({ ok: true });
  });

  it('health of an instance with a wrong secret says so', async () => {
    expect(await calls.health?.(context({ secret: 'another-secret' }))).toMatchObject({
      ok: false,
      message: expect.stringContaining('AADSTS7000215') as string,
    });
  });
});

describe('the clouds', () => {
  it('a geo outside the commercial cloud is refused', async () => {
    const settings = { cloud: 'gccHigh', geo: 'eu' };
    await expect(calls.execute(context({ settings }), blockIp())).rejects.toThrow(/settings\.geo "eu"/);
  });

  it.each([
    [
      { cloud: 'commercial' },
      'api.security.microsoft.com',
      'https://api.securitycenter.microsoft.com/.default',
    ],
    [
      { cloud: 'commercial', geo: 'eu' },
      'eu.api.security.microsoft.com',
      'https://api.securitycenter.microsoft.com/.default',
    ],
    [
      { cloud: 'gcc' },
      'api-gcc.securitycenter.microsoft.us',
      'https://api-gcc.securitycenter.microsoft.us/.default',
    ],
    [
      { cloud: 'dod' },
      'api-gov.securitycenter.microsoft.us',
      'https://api-gov.securitycenter.microsoft.us/.default',
    ],
  ])('%j is called at %s', async (settings, host, scope) => {
    const asked: { readonly url: string; readonly form?: Readonly<Record<string, string>> }[] = [];
    const made = context({ settings: { ...settings, baseUrl: undefined, loginUrl: undefined } });
    const request = (wanted: { url: string | URL; form?: Readonly<Record<string, string>> }) => {
      asked.push({ ...wanted, url: String(wanted.url) });
      const body = wanted.form === undefined ? { value: [] } : { access_token: 'token', expires_in: 3599 };
      return Promise.resolve({ status: 200, headers: {}, text: '', body });
    };
    await defenderProvider().calls.observe?.({ ...made, http: { request: request as never } }, blockIp());
    expect(new URL(asked[1]?.url ?? '').host).toBe(host);
    expect(asked[0]?.form?.['scope']).toBe(scope);
    expect(new URL(asked[0]?.url ?? '').host).toBe(
      settings.cloud === 'dod' ? 'login.microsoftonline.us' : 'login.microsoftonline.com',
    );
  });
});

describe('the manifest', () => {
  it('answers to the name of the Graph documents', () => {
    expect([manifest.provider, ...(manifest.providerAliases ?? [])]).toContain('Windows Defender ATP');
  });
});
