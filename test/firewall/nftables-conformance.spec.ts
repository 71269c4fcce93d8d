import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkConformance, formatReport, type SimulatedVendor } from '#provider-sdk/conformance';
import { firewallMakers } from '../../plugins/firewall/index.js';
import { DeviceCalls, entryLedgers } from './device-calls.js';
import { GATEWAY, GATEWAY_V6, Network, SERVER, SetWatch, whyNoPackets } from './namespaces.js';

/** The kit, with the kernel itself in the vendor's place: what it did is what it tells of its sets. */

const why = await whyNoPackets();

const fresh = await entryLedgers();

describe.skipIf(why !== null)('nftables', () => {
  let network: Network;
  beforeAll(async () => {
    network = await Network.start();
    await network.ip(network.gateway, 'route', 'add', 'default', 'via', SERVER);
  });
  afterAll(() => network.stop());

  it.each([
    ['an address of its own', GATEWAY, /an address of this machine/],
    ['an IPv6 address of its own', GATEWAY_V6, /an address of this machine/],
    ['a network with an address of its own', '203.0.113.0/24', /an address of this machine/],
    ['its own gateway', SERVER, /a gateway of this machine/],
  ])('in a namespace does not block %s', async (_what, value, named) => {
    const settings = { netns: network.gateway };
    const filter = new DeviceCalls(firewallMakers.nftables(), fresh(), settings, {});
    const refusal = await filter.refusal(value);
    expect(refusal).toMatch(/^permission: /);
    expect(refusal).toMatch(named);
  });

  it('passes the conformance kit', async () => {
    // Nothing is asked for by HTTP; the kit wants to see that.
    const nobody = createServer((_request, response) => void response.writeHead(404).end());
    nobody.listen(0, '127.0.0.1');
    await once(nobody, 'listening');
    const watch = await SetWatch.start(network);
    const vendor: SimulatedVendor = {
      baseUrl: `http://127.0.0.1:${(nobody.address() as AddressInfo).port}`,
      reset: async () => {
        await network.nft('flush', 'ruleset');
        await watch.forget();
      },
      effects: async () =>
        (await watch.changes()).flatMap(({ added, removed }) => [
          ...added.map((target) => ({ what: 'did' as const, target })),
          ...removed.map((target) => ({ what: 'undid' as const, target })),
        ]),
      preexisting: async (_action, sample) => {
        await network.nft('add', 'table', 'inet', 'riposte');
        const set = ['inet', 'riposte', 'block_v4'];
        await network.nft('add', 'set', ...set, '{ type ipv4_addr; flags interval, timeout; }');
        await network.nft('add', 'element', ...set, `{ ${String(sample['IP'])} }`);
        await watch.forget();
      },
    };
    const refused = (what: string) => `refused: a packet filter blocks no ${what}`;
    const report = await checkConformance({
      provider: firewallMakers.nftables,
      instances: [
        { settings: { netns: network.gateway } },
        { settings: { netns: network.gateway, table: 'riposte_two' } },
      ],
      samples: { BlockIp: { IP: '198.18.0.7' }, UnblockIp: { IP: '198.18.0.7' } },
      leaveOut: {
        BlockDomain: refused('domain'),
        UnblockDomain: refused('domain'),
        BlockUrl: refused('URL'),
        UnblockUrl: refused('URL'),
      },
      vendor,
      interleavings: 40,
    });
    nobody.close();
    expect(formatReport(report)).toContain(' 0 failed,');
    const passed = report.checks.filter(({ outcome }) => outcome === 'passed').map(({ id }) => id);
    expect(passed).toEqual(
      expect.arrayContaining(['executeTwice', 'killBeforeSave', 'cancelBeforeSubmit', 'revertTwice']),
    );
  });
});
