import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EntryLedger, ExecutionContext } from '#provider-sdk';
import {
  checkConformance,
  formatReport,
  type SimulatedVendor,
  type VendorEffect,
} from '#provider-sdk/conformance';
import { firewallMakers } from '../../plugins/firewall/index.js';
import { callContext } from '../support/call-context.js';
import { entryLedgers } from './device-calls.js';
import { UnboundDaemon, WORLD, whyNoUnbound } from './unbound-daemon.js';

const provider = firewallMakers.unbound();
const { execute, revert, maintain, health, observe } = provider.calls;

const fresh = await entryLedgers();

describe.skipIf((await whyNoUnbound()) !== null)('unbound, with its daemon', () => {
  let daemon: UnboundDaemon;
  let ledger: EntryLedger;

  beforeAll(async () => {
    daemon = await UnboundDaemon.start();
  });
  afterAll(() => daemon.stop());
  beforeEach(async () => {
    ledger = fresh();
    await daemon.restart();
  });

  const context = (settings: object = {}): ExecutionContext => ({
    ...callContext({
      settings: { controlPath: 'unbound-control', config: daemon.config, ...settings },
      secrets: {},
      key: randomUUID(),
    }),
    ledger,
  });
  const request = (value: string) => ({ action: 'BlockDomain', parameters: { Domain: value } });
  const block = async (value: string, settings: object = {}) => {
    const own = context(settings);
    const outcome = await execute(own, request(value));
    if (outcome.kind !== 'completed') throw new TypeError(`it ended as ${outcome.kind}`);
    return { ...outcome, actionId: own.actionId };
  };
  const undo = (value: string, actionId: string, settings: object = {}) =>
    revert?.(context(settings), {
      ...request(value),
      actionId,
      completedAt: new Date(),
      result: null,
      effect: { changed: true },
    });

  it('a blocked domain and all names below it are not found; others are', async () => {
    expect(await daemon.answers('www.evil.example')).toEqual([WORLD]);
    expect(await block('evil.example')).toMatchObject({ effect: { changed: true } });
    expect(await daemon.answers('evil.example')).toBe('ENOTFOUND');
    expect(await daemon.answers('www.evil.example')).toBe('ENOTFOUND');
    expect(await daemon.answers('notevil.example')).toEqual([WORLD]);
    expect(await observe?.(context(), request('evil.example'))).toMatchObject({ inPlace: true });
  });

  it('it is found again when the last owner has left', async () => {
    const [first, second] = [await block('evil.example'), await block('evil.example')];
    await undo('evil.example', first.actionId);
    expect(await daemon.answers('www.evil.example')).toBe('ENOTFOUND');
    await undo('evil.example', second.actionId);
    expect(await daemon.answers('www.evil.example')).toEqual([WORLD]);
    expect(await undo('evil.example', second.actionId)).toMatchObject({ kind: 'completed' });
  });

  it('it is answered with the sinkhole where there is one', async () => {
    const settings = { sinkhole: { v4: '198.51.100.9', v6: '2001:db8::9' } };
    const { actionId } = await block('evil.example', settings);
    expect(await daemon.answers('www.evil.example')).toEqual(['198.51.100.9']);
    expect(await daemon.answers('www.evil.example', 'AAAA')).toEqual(['2001:db8::9']);
    expect(await observe?.(context(settings), request('evil.example'))).toMatchObject({ inPlace: true });
    await undo('evil.example', actionId, settings);
    expect(await daemon.answers('www.evil.example')).toEqual([WORLD]);
  });

  it('a worker that dies while it tells of a sinkhole leaves nothing behind', async () => {
    const settings = { sinkhole: { v4: '198.51.100.9' } };
    const owner = { actionId: 'one', tenantId: 'one', until: null, claimMs: 60_000 };
    await ledger.hold('domains', 'evil.example', owner);
    await ledger.asOnlyWriter('domains', context().signal, (held) =>
      held.note([{ value: 'evil.example', revision: 1, written: 'intended' }]),
    );
    await daemon.control('local_zone', 'evil.example', 'redirect');
    expect(await maintain?.(context(settings))).toMatchObject({ problems: [] });
    await ledger.release('domains', 'evil.example', owner);
    expect(await maintain?.(context(settings))).toMatchObject({ removed: 1 });
    expect(await daemon.answers('www.evil.example')).toEqual([WORLD]);
  });

  it('maintenance tells it again after a restart, all at once', async () => {
    await Promise.all(Array.from({ length: 300 }, (_, index) => block(`evil-${index}.example`)));
    await daemon.restart();
    expect(await daemon.answers('evil-7.example')).toEqual([WORLD]);
    expect(await maintain?.(context())).toMatchObject({ checked: 300, added: 300, problems: [] });
    expect(await daemon.answers('evil-7.example')).toBe('ENOTFOUND');
  });

  it('what was blocked before stays, and what is a zone of its own is left alone', async () => {
    const own = await block('ads.example');
    expect(own.effect).toMatchObject({ changed: false });
    await undo('ads.example', own.actionId);
    expect(await daemon.control('list_local_zones')).toContain('ads.example. always_refuse');
    await expect(execute(context(), request('corp.test'))).rejects.toMatchObject({
      errorClass: 'conflict',
      message: expect.stringMatching(/^corp\.test is a zone of Unbound's own configuration/) as string,
    });
    expect(await daemon.control('list_local_zones')).toContain('corp.test. static');
    expect(await daemon.answers('www.corp.test')).toEqual(['192.0.2.9']);
  });

  describe('what is wrong is said so', () => {
    it.each([
      ['no program', { controlPath: '/nowhere/unbound-control' }, 'permanent', /was not found/],
      ['no configuration', { config: '/nowhere/unbound.conf' }, 'permanent', /cannot be read/],
      ['nobody there', { server: '127.0.0.1@1' }, 'unreachable', /^Unbound does not answer/],
    ] as const)('%s', async (_title, settings, errorClass, message) => {
      const failed = expect(execute(context(settings), request('evil.example'))).rejects;
      await failed.toMatchObject({ errorClass, message: expect.stringMatching(message) as string });
      expect(await health?.(context(settings))).toMatchObject({
        ok: false,
        message: expect.stringMatching(message) as string,
      });
    });

    it('a daemon that has ended', async () => {
      expect(await health?.(context())).toMatchObject({ ok: true });
      await daemon.end();
      await expect(execute(context(), request('evil.example'))).rejects.toMatchObject({
        errorClass: 'unreachable',
      });
    });
  });

  it.each(['BlockIp', 'BlockUrl'])('cannot do %s, and says what can', async (action) => {
    const parameters = { IP: '198.18.0.1', URL: 'https://evil.example/x' };
    await expect(execute(context(), { action, parameters })).rejects.toThrow(/^A resolver cannot block a/);
  });

  it('passes the conformance kit', async () => {
    // Nothing is asked for by HTTP; the kit wants to see that.
    const nobody = createServer((_request, response) => void response.writeHead(404).end());
    nobody.listen(0, '127.0.0.1');
    await once(nobody, 'listening');
    // What it was told stands in no log: each command goes by a program that notes it.
    const controlled = await daemon.watched();
    const vendor: SimulatedVendor = {
      baseUrl: `http://127.0.0.1:${(nobody.address() as AddressInfo).port}`,
      reset: async () => {
        await daemon.restart();
        await controlled.forget();
      },
      effects: async (): Promise<readonly VendorEffect[]> => controlled.effects(),
      preexisting: async (_action, sample) => {
        await daemon.control('local_zone', String(sample['Domain']), 'always_refuse');
      },
    };
    const refused = (what: string) => `refused: a resolver blocks no ${what}`;
    const report = await checkConformance({
      provider: firewallMakers.unbound,
      instances: [
        { settings: { config: daemon.config, controlPath: controlled.path } },
        { settings: { config: daemon.config, controlPath: controlled.path } },
      ],
      samples: { BlockDomain: { Domain: 'evil.example' }, UnblockDomain: { Domain: 'evil.example' } },
      leaveOut: {
        BlockIp: refused('address'),
        UnblockIp: refused('address'),
        BlockUrl: refused('URL'),
        UnblockUrl: refused('URL'),
      },
      vendor,
      interleavings: 40,
    });
    nobody.close();
    expect(formatReport(report)).toContain(' 0 failed,');
  });
});
