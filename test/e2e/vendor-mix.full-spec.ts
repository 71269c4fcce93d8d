import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DEFAULT_APP,
  DEFAULT_SECRET,
  DEFAULT_TENANT,
  DefenderSimulator,
} from '../simulators/defender/simulator.js';
import { FortigateSimulator } from '../simulators/fortigate/vendor.js';
import { OpenC2Consumer } from '../simulators/openc2-consumer/consumer.js';
import { OpnsenseSimulator } from '../simulators/opnsense/vendor.js';
import { PanosSimulator } from '../simulators/panos/vendor.js';
import type { Client } from '../support/client.js';
import { TENANT_A } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

/** 10,000 actions over all vendors that can be played on one machine, while workers are killed in the middle of it. */

const FEED_PASSWORD = 'the-password-of-the-feed';
/** Of each vendor, blocks and how many of them are undone again: 10,000 together. */
const MIX = {
  feed: { blocks: 2000, undone: 500 },
  panos: { blocks: 2000, undone: 500 },
  opnsense: { blocks: 1000, undone: 250 },
  openc2: { blocks: 1000, undone: 250 },
  fortigate: { blocks: 1000, undone: 250 },
  defender: { blocks: 1000, undone: 250 },
} as const;
type Plugin = keyof typeof MIX;
const PLUGINS = Object.keys(MIX) as readonly Plugin[];
const ACTIONS = Object.values(MIX).reduce((sum, { blocks, undone }) => sum + blocks + undone, 0);
const NAMES: Readonly<Record<Plugin, readonly [vendor: string, provider: string]>> = {
  feed: ['Riposte', 'Feed'],
  panos: ['Palo Alto Networks', 'PAN-OS'],
  opnsense: ['OPNsense', 'Firewall'],
  openc2: ['OASIS', 'OpenC2'],
  fortigate: ['Fortinet', 'FortiGate'],
  defender: ['Microsoft', 'Microsoft Defender for Endpoint'],
};
/** Defender's hour passes in a minute, and so does its quota's. */
const SPEED = 60;
const WORKERS = 3;
/** Acknowledged blocks at which all but one of the workers are killed. */
const KILLED_AT = [1500, 4500, 7500];
const POSTED_AT_ONCE = 20;
const MINUTE_MS = 60_000;
const MOST_MS = 20 * MINUTE_MS;

/** Another address for each block of each vendor. */
const addressOf = (plugin: Plugin, index: number): string =>
  `45.${20 + PLUGINS.indexOf(plugin)}.${Math.floor(index / 250)}.${(index % 250) + 1}`;

let defender: DefenderSimulator;
let fortigate: FortigateSimulator;
let openc2: OpenC2Consumer;
let opnsense: OpnsenseSimulator;
let panos: PanosSimulator;
let stack: Stack;
let client: Client;

beforeAll(async () => {
  [defender, fortigate, openc2, opnsense, panos] = await Promise.all([
    DefenderSimulator.start({ speed: SPEED }),
    FortigateSimulator.start(['token-of-fortigate']),
    OpenC2Consumer.start(['token-of-openc2']),
    OpnsenseSimulator.start({ 'key-of-opnsense': 'secret-of-opnsense' }),
    PanosSimulator.start(['key-of-panos']),
  ]);
  panos.most = MIX.panos.blocks;
  const near = { network: { allow: ['127.0.0.0/8'] } };
  stack = await Stack.start({
    // JSON is YAML.
    config: JSON.stringify({
      providers: [
        {
          id: 'feed',
          plugin: 'feed',
          tenants: [TENANT_A],
          secrets: { feedPassword: 'env:FEED_PASSWORD' },
        },
        {
          ...near,
          id: 'panos',
          plugin: 'panos',
          settings: { baseUrl: panos.baseUrl },
          secrets: { apiKey: 'env:PANOS_KEY' },
        },
        {
          ...near,
          id: 'opnsense',
          plugin: 'opnsense',
          settings: { baseUrl: opnsense.baseUrl },
          secrets: { apiKey: 'env:OPNSENSE_KEY', apiSecret: 'env:OPNSENSE_SECRET' },
        },
        {
          ...near,
          id: 'openc2',
          plugin: 'openc2',
          settings: { baseUrl: openc2.baseUrl },
          secrets: { token: 'env:OPENC2_TOKEN' },
        },
        {
          ...near,
          id: 'fortigate',
          plugin: 'fortigate',
          settings: { baseUrl: fortigate.baseUrl },
          secrets: { token: 'env:FORTIGATE_TOKEN' },
        },
        {
          ...near,
          id: 'defender',
          plugin: 'defender',
          settings: {
            tenantId: DEFAULT_TENANT,
            clientId: DEFAULT_APP,
            baseUrl: defender.baseUrl,
            loginUrl: defender.baseUrl,
          },
          secrets: { clientSecret: 'env:DEFENDER_CLIENT_SECRET' },
          limits: {
            windows: [
              { calls: 100, perSeconds: 60 / SPEED },
              { calls: 1500, perSeconds: 3600 / SPEED },
            ],
          },
        },
      ],
    }),
    workers: WORKERS,
    env: {
      FEED_PASSWORD,
      PANOS_KEY: 'key-of-panos',
      OPNSENSE_KEY: 'key-of-opnsense',
      OPNSENSE_SECRET: 'secret-of-opnsense',
      OPENC2_TOKEN: 'token-of-openc2',
      FORTIGATE_TOKEN: 'token-of-fortigate',
      DEFENDER_CLIENT_SECRET: DEFAULT_SECRET,
    },
  });
  client = await stack.client();
}, MINUTE_MS);
afterAll(async () => {
  await stack.stop();
  await Promise.all([defender, fortigate, openc2, opnsense, panos].map((vendor) => vendor.stop()));
});

/** Does it with each, a few at a time. */
async function each<T>(all: readonly T[], act: (one: T) => Promise<void>): Promise<void> {
  const left = all.values();
  const next = async (): Promise<void> => {
    for (const one of left) await act(one);
  };
  await Promise.all(Array.from({ length: POSTED_AT_ONCE }, next));
}

async function killWorkers(): Promise<void> {
  const killed = stack.workers.splice(0, WORKERS - 1);
  await Promise.all(killed.map((worker) => worker.end('SIGKILL')));
  // What they do is waited for, not that they are ready.
  for (let index = 0; index < killed.length; index += 1) stack.startWorker();
}

const counted = async (filter: string): Promise<number> =>
  Number(
    (
      await client.request(
        'GET',
        `/beta/security/securityActions/$count?$filter=${encodeURIComponent(filter)}`,
      )
    ).body,
  );
const noneOpen = (): Promise<unknown> =>
  eventually(async () => (await counted("status in ('NotStarted','Running')")) === 0, MOST_MS);

/** What each vendor's device has blocked in the end. */
async function blockedAt(): Promise<Readonly<Record<Plugin, readonly string[]>>> {
  const feed = await fetch(`${stack.baseUrl}/feeds/${TENANT_A}/ip.txt`, {
    headers: { authorization: `Bearer ${FEED_PASSWORD}` },
  });
  return {
    feed: (await feed.text()).trim().split('\n'),
    panos: Object.keys(panos.tagged('riposte-block')),
    opnsense: opnsense.table('riposte_block'),
    openc2: [...openc2.rules().values()],
    fortigate: Object.keys(fortigate.bans()),
    defender: indicators(),
  };
}

function indicators(): readonly string[] {
  const set = new Set<string>();
  for (const fact of defender.facts())
    if (fact.event === 'indicatorSet') set.add(fact.value);
    else if (fact.event === 'indicatorRemoved') set.delete(fact.value);
  return [...set];
}

describe('10,000 actions over all vendors, with workers killed in the middle', () => {
  it(
    'all end well, and every device has what was asked for and not undone, no more and no less',
    async () => {
      expect(ACTIONS).toBe(10_000);
      // All vendors at once, as far as each has any.
      const longest = Math.max(...PLUGINS.map((plugin) => MIX[plugin].blocks));
      const asked = Array.from({ length: longest }, (_, index) =>
        PLUGINS.filter((plugin) => index < MIX[plugin].blocks).map((plugin) => ({ plugin, index })),
      ).flat();
      const toUndo: string[] = [];
      let acknowledged = 0;
      const kills = KILLED_AT.map(async (at) => {
        await eventually(() => acknowledged >= at, MOST_MS);
        await killWorkers();
      });
      await each(asked, async ({ plugin, index }) => {
        const [vendor, provider] = NAMES[plugin];
        const answer = await client.post({
          name: 'BlockIp',
          actionReason: 'Campaign',
          parameters: [{ name: 'IP', value: addressOf(plugin, index) }],
          vendorInformation: { vendor, provider },
        });
        expect(answer.status).toBe(201);
        acknowledged += 1;
        if (index < MIX[plugin].undone) toUndo.push(answer.body.id);
      });
      await Promise.all(kills);
      await noneOpen();
      await each(toUndo, async (id) => {
        const { status, body } = await client.request('POST', `/api/v1/actions/${id}/revert`);
        expect([status, body]).toEqual([201, body]);
      });
      await killWorkers();
      await noneOpen();

      expect(await counted("status eq 'Completed'")).toBe(ACTIONS);
      const blocked = await blockedAt();
      for (const plugin of PLUGINS) {
        const { blocks, undone } = MIX[plugin];
        const wanted = Array.from({ length: blocks - undone }, (_, index) =>
          addressOf(plugin, undone + index),
        );
        expect([plugin, blocked[plugin].toSorted()]).toEqual([plugin, wanted.toSorted()]);
      }
    },
    MOST_MS,
  );
});
