import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { EntryLedger, ExecutionContext, ProviderError } from '#provider-sdk';
import { firewallMakers } from '../../plugins/firewall/index.js';
import { callContext } from '../support/call-context.js';
import { eventually } from '../support/eventually.js';
import { entryLedgers } from './device-calls.js';
import {
  CLIENT,
  CLIENT_V6,
  GATEWAY,
  GATEWAY_V6,
  Network,
  OTHER_CLIENT,
  SERVER,
  SetWatch,
  whyNoPackets,
} from './namespaces.js';

const provider = firewallMakers.nftables();
const { execute, revert, maintain, health, observe, plan } = provider.calls;

const SETTINGS = { table: 'riposte', nftPath: 'nft', provision: true };
/** Both of them, and not the gateway. */
const CLIENTS = `${CLIENT}/31`;
const why = await whyNoPackets();

const fresh = await entryLedgers();

describe.skipIf(why !== null)('nftables, with packets', () => {
  let network: Network;
  let ledger: EntryLedger;
  let instance = 'edge';

  beforeAll(async () => {
    network = await Network.start();
  });
  afterAll(() => network.stop());
  beforeEach(async () => {
    ledger = fresh();
    instance = `edge-${randomUUID().slice(0, 8)}`;
    await network.nft('flush', 'ruleset');
  });

  const context = (over: Partial<ExecutionContext> = {}, settings: object = {}): ExecutionContext => ({
    ...callContext({
      settings: { ...SETTINGS, netns: network.gateway, ...settings },
      secrets: {},
      key: randomUUID(),
      instance,
    }),
    ledger,
    ...over,
  });
  const request = (value: string, effectUntil?: Date) => ({
    action: 'BlockIp',
    parameters: { IP: value },
    ...(effectUntil === undefined ? {} : { effectUntil }),
  });
  const block = async (value: string, over: Partial<ExecutionContext> = {}, until?: Date) => {
    const own = context(over);
    const outcome = await execute(own, request(value, until));
    if (outcome.kind !== 'completed') throw new TypeError(`it ended as ${outcome.kind}`);
    return { ...outcome, actionId: own.actionId };
  };
  const undo = (value: string, actionId: string) =>
    revert?.(context(), {
      ...request(value),
      actionId,
      completedAt: new Date(),
      result: null,
      effect: { changed: true },
    });
  const elements = async (set = 'block_v4'): Promise<readonly unknown[]> => {
    const listed = JSON.parse(await network.nft('-j', 'list', 'set', 'inet', 'riposte', set)) as {
      nftables: { set?: { elem?: unknown[] } }[];
    };
    return listed.nftables.flatMap((one) => one.set?.elem ?? []);
  };

  it('drops what comes from a blocked address, and nothing of others', async () => {
    expect(await network.reaches(GATEWAY)).toBe(true);
    expect(await block(CLIENT)).toMatchObject({ effect: { changed: true, ids: ['block_v4', CLIENT] } });
    expect(await network.reaches(GATEWAY)).toBe(false);
    expect(await network.reaches(GATEWAY, { address: OTHER_CLIENT })).toBe(true);
  });

  it('drops what is forwarded from it, and what is sent to it', async () => {
    const toClient = { address: GATEWAY, namespace: network.gateway };
    const fromServer = { address: SERVER, namespace: network.server };
    expect(await network.reaches(SERVER)).toBe(true);
    expect(await network.reaches(CLIENT, toClient)).toBe(true);
    await block(CLIENT);
    expect(await network.reaches(SERVER)).toBe(false);
    expect(await network.reaches(CLIENT, toClient)).toBe(false);
    expect(await network.reaches(CLIENT, fromServer)).toBe(false);
    expect(await network.reaches(OTHER_CLIENT, fromServer)).toBe(true);
  });

  it('cuts a connection that is open', async () => {
    const { echoes } = network.talk(SERVER);
    await eventually(() => echoes() > 3);
    await block(CLIENT);
    const then = echoes();
    await sleep(600);
    expect(echoes() - then).toBeLessThanOrEqual(1);
  });

  it('blocks IPv6, and networks', async () => {
    const v6 = { address: CLIENT_V6 };
    expect(await network.reaches(GATEWAY_V6, v6)).toBe(true);
    await block('2001:db8:77::2/127');
    expect(await network.reaches(GATEWAY_V6, v6)).toBe(false);
    await block(CLIENTS);
    expect(await network.reaches(GATEWAY, { address: OTHER_CLIENT })).toBe(false);
  });

  it('lets it through again when it is reverted, once and twice', async () => {
    const { actionId } = await block(CLIENT);
    expect(await undo(CLIENT, actionId)).toMatchObject({ kind: 'completed', effect: { changed: true } });
    expect(await network.reaches(GATEWAY)).toBe(true);
    expect(await undo(CLIENT, actionId)).toMatchObject({ kind: 'completed' });
    expect(await elements()).toEqual([]);
  });

  it('lets it through again when its time is over, by the kernel alone', async () => {
    await block(CLIENT, {}, new Date(Date.now() + 2500));
    expect(await network.reaches(GATEWAY)).toBe(false);
    await eventually(() => network.reaches(GATEWAY));
    expect(await maintain?.(context())).toMatchObject({ added: 0, problems: [] });
    expect(await elements()).toEqual([]);
  });

  it('keeps it for as long as the last of its owners wants', async () => {
    const short = await block(CLIENT, {}, new Date(Date.now() + 30_000));
    const long = await block(CLIENT, {}, new Date(Date.now() + 3_600_000));
    expect(await elements()).toMatchObject([{ elem: { timeout: 3600, comment: `riposte:${instance}` } }]);
    await undo(CLIENT, short.actionId);
    expect(await network.reaches(GATEWAY)).toBe(false);
    await undo(CLIENT, long.actionId);
    expect(await network.reaches(GATEWAY)).toBe(true);
  });

  it('leaves what somebody else wrote, also what covers', async () => {
    await maintain?.(context());
    await network.nft('add', 'element', 'inet', 'riposte', 'block_v4', `{ ${CLIENT} comment "by hand" }`);
    await network.nft('add', 'element', 'inet', 'riposte', 'block_v4', '{ 198.18.2.4-198.18.2.11 }');
    const own = await block(CLIENT);
    expect(own.effect).toMatchObject({ changed: false });
    const covered = await block('198.18.2.9');
    expect(covered.result).toMatchObject({
      message: '198.18.2.9 is blocked by 198.18.2.8/30, which holds it.',
    });
    await undo(CLIENT, own.actionId);
    await undo('198.18.2.9', covered.actionId);
    expect(await elements()).toHaveLength(2);
    expect(await network.reaches(GATEWAY)).toBe(false);
  });

  it('takes the place of a narrower block, and gives it back', async () => {
    await block(CLIENT);
    const wide = await block(CLIENTS);
    expect(await elements()).toMatchObject([{ elem: { val: { prefix: { addr: CLIENT, len: 31 } } } }]);
    await undo(CLIENTS, wide.actionId);
    expect(await network.reaches(GATEWAY)).toBe(false);
    expect(await network.reaches(GATEWAY, { address: OTHER_CLIENT })).toBe(true);
  });

  it('says what is in the way of a network, and carries the others of the batch out', async () => {
    await maintain?.(context());
    await network.nft('add', 'element', 'inet', 'riposte', 'block_v4', '{ 198.18.2.77 }');
    const values = Array.from({ length: 40 }, (_, index) => `198.18.3.${index}`);
    const outcomes = await Promise.allSettled(['198.18.2.0/24', ...values].map((value) => block(value)));
    expect(outcomes[0]).toMatchObject({
      status: 'rejected',
      reason: {
        errorClass: 'conflict',
        message: expect.stringMatching(/^198\.18\.2\.0\/24 overlaps with/) as string,
      },
    });
    expect(outcomes.slice(1).every(({ status }) => status === 'fulfilled')).toBe(true);
    expect(await elements()).toHaveLength(41);
  });

  it('writes 1,000 blocks of a burst in a few batches', async () => {
    await maintain?.(context());
    const watch = await SetWatch.start(network);
    const values = Array.from({ length: 1000 }, (_, index) => `198.18.${index >> 8}.${index & 255}`);
    const outcomes = await Promise.all(values.map((value) => block(value)));
    expect(outcomes.every(({ kind }) => kind === 'completed')).toBe(true);
    expect(await elements()).toHaveLength(1000);
    expect((await watch.changes()).length).toBeLessThan(30);
  });

  it('is repaired by maintenance after all rules were lost, with the time that is left', async () => {
    await block(CLIENT);
    await block('198.18.2.1', {}, new Date(Date.now() + 3_600_000));
    await network.nft('flush', 'ruleset');
    expect(await network.reaches(GATEWAY)).toBe(true);
    expect(await maintain?.(context())).toMatchObject({ checked: 2, added: 2, problems: [] });
    expect(await network.reaches(GATEWAY)).toBe(false);
    expect(await elements()).toContainEqual({
      elem: expect.objectContaining({ val: '198.18.2.1', timeout: expect.any(Number) as number }) as object,
    });
  });

  it('is repaired by maintenance where its rules, an entry or a chain were changed by hand', async () => {
    await block(CLIENT);
    await network.nft('flush', 'chain', 'inet', 'riposte', 'input');
    await network.nft('delete', 'chain', 'inet', 'riposte', 'forward');
    expect(await network.reaches(SERVER)).toBe(true);
    await maintain?.(context());
    expect(await network.reaches(GATEWAY)).toBe(false);
    expect(await network.reaches(SERVER)).toBe(false);
    const rules = await network.nft('list', 'table', 'inet', 'riposte');
    await maintain?.(context());
    expect((await network.nft('list', 'table', 'inet', 'riposte')).match(/ drop/g)).toHaveLength(
      rules.match(/ drop/g)?.length ?? 0,
    );
    await network.nft('delete', 'element', 'inet', 'riposte', 'block_v4', `{ ${CLIENT} }`);
    expect(await maintain?.(context())).toMatchObject({ added: 1 });
  });

  it('removes what is marked as its own and wanted by nobody, and nothing of another instance', async () => {
    await block(CLIENT);
    await block('198.18.2.5', { instance: 'another', ledger: fresh() });
    ledger = fresh();
    const owner = { actionId: 'one', tenantId: 'one', until: null, claimMs: 60_000 };
    await ledger.hold('block_v4', '198.18.2.1', owner);
    await ledger.settle('block_v4', '198.18.2.1', 'one');
    expect(await maintain?.(context())).toMatchObject({ added: 1, removed: 1 });
    expect(await network.reaches(GATEWAY)).toBe(true);
    expect(await elements()).toHaveLength(2);
  });

  it('asks without making anything', async () => {
    expect(await health?.(context())).toMatchObject({ ok: true });
    expect(await observe?.(context(), request(CLIENT))).toMatchObject({ inPlace: false });
    expect(await plan?.(context(), request(CLIENT))).toMatchObject({
      changes: [`add ${CLIENT} to block_v4`],
    });
    expect(await network.nft('list', 'ruleset')).toBe('');
    await block(CLIENT);
    expect(await observe?.(context(), request(CLIENT))).toMatchObject({ inPlace: true });
    expect(await health?.(context())).toEqual({ ok: true, message: 'The table inet riposte is in place.' });
  });

  describe('what is wrong is said so', () => {
    const failing = (settings: object, value = CLIENT) =>
      execute(context({}, settings), request(value)).then(
        () => null,
        (error: unknown) => error as ProviderError,
      );

    it.each([
      [
        'no table where it may make none',
        { provision: false },
        'permanent',
        /^The table inet riposte of Riposte is missing/,
      ],
      ['no nft', { nftPath: '/nowhere/nft', netns: undefined }, 'permanent', /nft was not found/],
      ['no namespace', { netns: 'nowhere' }, 'permanent', /^There is no network namespace nowhere/],
    ] as const)('%s', async (_title, settings, errorClass, message) => {
      const error = await failing(settings);
      expect(error).toMatchObject({ errorClass, message: expect.stringMatching(message) as string });
      const report = await health?.(context({}, settings));
      expect(report?.ok).toBe(false);
      expect(report?.message).not.toBe('');
    });

    it('a table of that name that is somebody else’s', async () => {
      await network.nft('add', 'table', 'inet', 'riposte');
      await network.nft('add', 'set', 'inet', 'riposte', 'block_v4', '{ type ipv4_addr; }');
      expect(await failing({}, '2001:db8:77::5')).toMatchObject({
        errorClass: 'permanent',
        message: expect.stringContaining('name another in settings.table') as string,
      });
    });

    it('a set that is full', async () => {
      await network.nft('add', 'table', 'inet', 'riposte');
      await network.nft(
        'add',
        'set',
        'inet',
        'riposte',
        'block_v4',
        '{ type ipv4_addr; size 4; flags interval, timeout; }',
      );
      const values = Array.from({ length: 8 }, (_, index) => `198.18.2.${2 * index + 1}`);
      const outcomes = await Promise.allSettled(values.map((value) => block(value)));
      const failed = outcomes.flatMap((one) =>
        one.status === 'rejected' ? [one.reason as ProviderError] : [],
      );
      expect(failed.length).toBeGreaterThan(0);
      expect(failed.length).toBeLessThan(8);
      expect(new Set(failed.map(({ errorClass }) => errorClass))).toEqual(new Set(['capacity']));
    });

    it('not root', async () => {
      const script = `/tmp/riposte-nobody-${randomUUID()}`;
      await writeFile(
        script,
        '#!/bin/sh\nexec setpriv --reuid 65534 --clear-groups --inh-caps=-all nft "$@"\n',
        { mode: 0o755 },
      );
      try {
        const error = await failing({ nftPath: script });
        expect(error).toMatchObject({
          errorClass: 'permission',
          message: expect.stringContaining('CAP_NET_ADMIN') as string,
        });
      } finally {
        await rm(script);
      }
    });
  });
});

describe('nftables, by what nft says', () => {
  const said = async (answer: object, code = 0) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'riposte-nft-test-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const nftPath = path.join(folder, 'nft');
    await writeFile(path.join(folder, 'answer'), JSON.stringify(answer));
    await writeFile(
      nftPath,
      `#!/bin/sh\nprintf '%s\\n' "$*" >> ${folder}/asked\ncat ${folder}/answer\nexit ${code}\n`,
      { mode: 0o755 },
    );
    const context = {
      ...callContext({ settings: { ...SETTINGS, nftPath }, secrets: {} }),
      ledger: NO_LEDGER,
    };
    return { context, asked: () => readFile(path.join(folder, 'asked'), 'utf8') };
  };
  const set = (elem: readonly unknown[]) => ({
    nftables: [{ metainfo: { version: '1.0.6' } }, { set: { family: 'inet', name: 'block_v4', elem } }],
  });
  const NO_LEDGER = {} as EntryLedger;

  it.each([
    ['198.18.0.9', true],
    ['198.18.1.0/24', true],
    ['198.18.2.1', true],
    ['198.18.2.2/31', true],
    ['198.18.2.9', false],
  ] as const)('%s is in a set of all forms of elements: %s', async (value, inPlace) => {
    const { context, asked } = await said(
      set([
        { elem: { val: '198.18.0.2', timeout: 5, expires: 4, comment: 'act-123' } },
        { elem: { val: { prefix: { addr: '198.18.1.0', len: 24 } }, timeout: 3600, expires: 3599 } },
        { range: ['198.18.2.1', '198.18.2.4'] },
        '198.18.0.9',
      ]),
    );
    const request = { action: 'BlockIp', parameters: { IP: value } };
    expect(await observe?.(context, request)).toMatchObject({ inPlace });
    expect(await asked()).toBe('-j list set inet riposte block_v4\n');
  });

  it('a table that others changed is told of, where it is not to be made', async () => {
    const { context } = await said(set([]));
    const report = await health?.({
      ...context,
      settings: { ...(context.settings as object), provision: false },
    });
    expect(report).toMatchObject({
      ok: false,
      message: expect.stringContaining('settings.provision') as string,
    });
  });

  it.each(['BlockDomain', 'BlockUrl'])('cannot do %s, and says what can', async (action) => {
    const parameters = { Domain: 'evil.example', URL: 'https://evil.example/x' };
    await expect(execute((await said(set([]))).context, { action, parameters })).rejects.toThrow(
      /^A packet filter cannot block a/,
    );
  });
});
