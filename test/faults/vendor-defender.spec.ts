import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_APP, DEFAULT_SECRET, DEFAULT_TENANT } from '../simulators/defender/simulator.js';
import { Random } from '../support/random.js';
import { DefenderVendor } from './vendor-defender.js';

/** What the campaign's checker is told of Defender. */

const KEY = '01a20f94-03d5-729e-8c36-b9902f349183';
const comment = (key: string): string => `Worm [riposte:${key}:0123456789ab]`;

let dir: string;
let vendor: DefenderVendor;
let token: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-vendor-'));
  vendor = await DefenderVendor.start({ seed: 1, dir });
  const answer = await fetch(`${vendor.baseUrl}/${DEFAULT_TENANT}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: DEFAULT_APP,
      client_secret: DEFAULT_SECRET,
      scope: 'https://api.securitycenter.microsoft.com/.default',
    }),
  });
  token = ((await answer.json()) as { readonly access_token: string }).access_token;
});
afterAll(async () => {
  await vendor.stop();
  await rm(dir, { recursive: true, force: true });
});

async function post(below: string, body: object): Promise<{ readonly id: string }> {
  const answer = await fetch(`${vendor.baseUrl}/api${below}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  return (await answer.json()) as { readonly id: string };
}

async function newMachine(turn: number): Promise<string> {
  for (;;) {
    const { parameters } = await vendor.ask(turn, new Random(turn));
    if (parameters['MachineId'] !== undefined) return parameters['MachineId'];
    turn += 1;
  }
}

/** What happened by the id of one of the product's actions. */
const eventsOf = (key: string): readonly string[] =>
  vendor
    .ledger()
    .filter((effect) => effect.key === key)
    .map(({ event }) => event);

describe('Defender in a campaign', () => {
  it('has carried out a machine action when it made it, and once more for each one more', async () => {
    const machine = await newMachine(1);
    await post(`/machines/${machine}/runAntiVirusScan`, { Comment: comment(KEY), ScanType: 'Quick' });
    expect(eventsOf(KEY)).toEqual(['executed']);
    await post(`/machines/${await newMachine(1000)}/runAntiVirusScan`, {
      Comment: comment(KEY),
      ScanType: 'Quick',
    });
    expect(eventsOf(KEY)).toEqual(['executed', 'executed']);
  });

  it('has stopped what it cancelled, whoever asked for that', async () => {
    // Only what waits can be cancelled: at this vendor's speed, 18 s on the wall.
    await vendor.process.control('PUT', '/behaviour', { pendingMs: 3_600_000 });
    const machine = await newMachine(2000);
    const { id } = await post(`/machines/${machine}/isolate`, {
      Comment: comment('stopped'),
      IsolationType: 'Full',
    });
    await post(`/machineactions/${id}/cancel`, { Comment: 'not wanted' });
    expect(eventsOf('stopped')).toEqual(['executed', 'cancelled']);
  });

  it('has set an indicator once, however often the same is set', async () => {
    const indicator = {
      indicatorValue: '11.0.0.1',
      indicatorType: 'IpAddress',
      action: 'Block',
      title: 'Worm',
      description: comment('indicator'),
    };
    await post('/indicators', indicator);
    await post('/indicators', indicator);
    expect(eventsOf('indicator')).toEqual(['executed']);
  });

  it('says whom it left in doubt, and whether it was done', async () => {
    const machine = await newMachine(3000);
    const isolate = (): Promise<unknown> =>
      post(`/machines/${machine}/isolate`, { Comment: comment('doubt'), IsolationType: 'Full' });
    await vendor.process.control('POST', '/faults', [{ call: 'isolate', how: 'error' }]);
    await isolate();
    expect(eventsOf('doubt')).toEqual(['misbehaved']);
    await vendor.process.control('POST', '/faults', [{ call: 'isolate', how: 'cutAfter' }]);
    await expect(isolate()).rejects.toThrow();
    expect(eventsOf('doubt')).toEqual(['misbehaved', 'executed', 'misbehaved']);
  });
});
