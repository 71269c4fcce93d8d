import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, GraphError, NativeAction } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { CLIENT, GATEWAY, Network, OTHER_CLIENT, SERVER, SetWatch, whyNoPackets } from './namespaces.js';

/** From a request at the API to packets that come no longer, and come again. */

const why = await whyNoPackets();

describe.skipIf(why !== null)('a block through the API, at a packet filter', () => {
  let network: Network;
  let stack: Stack;
  let client: Client;
  let watch: SetWatch;

  beforeAll(async () => {
    network = await Network.start();
    watch = await SetWatch.start(network);
    stack = await Stack.start({
      config: `providers:
  - { id: edge, plugin: nftables, settings: { netns: ${network.gateway}, neverBlock: [${GATEWAY}, 203.0.113.0/24] } }
`,
    });
    client = await stack.client();
  });
  afterAll(async () => {
    await stack.stop();
    await network.stop();
  });

  const request = (ip: string, extra: object = {}): object => ({
    name: 'BlockIp',
    actionReason: 'Attacks us.',
    parameters: [{ name: 'IP', value: ip }],
    vendorInformation: { vendor: 'Linux', provider: 'nftables' },
    ...extra,
  });
  const block = async (ip: string, extra: object = {}): Promise<NativeAction> => {
    const answer = await client.post(request(ip, extra));
    expect(answer.status).toBe(201);
    return client.ended(answer.body.id);
  };
  const revert = async (id: string): Promise<NativeAction> => {
    const answer = await client.request<NativeAction>('POST', `/api/v1/actions/${id}/revert`);
    expect(answer.status).toBe(201);
    return client.ended(answer.body.id);
  };

  it('the table is made when a worker starts', async () => {
    await eventually(async () => (await network.nft('list', 'tables')).includes('table inet riposte'));
  });

  it('drops packets until it is reverted', async () => {
    expect(await network.reaches(SERVER)).toBe(true);
    const action = await block(CLIENT);
    expect(action).toMatchObject({ status: 'Completed' });
    expect(await network.reaches(SERVER)).toBe(false);
    expect(await network.reaches(SERVER, { address: OTHER_CLIENT })).toBe(true);
    expect(await revert(action.id)).toMatchObject({ status: 'Completed' });
    expect(await network.reaches(SERVER)).toBe(true);
  });

  it('drops packets until its time is over', async () => {
    const until = new Date(Date.now() + 6000).toISOString();
    const action = await block(CLIENT, { '@riposte.effectUntil': until });
    expect(action).toMatchObject({ status: 'Completed' });
    expect(await network.reaches(SERVER)).toBe(false);
    await eventually(() => network.reaches(SERVER), 30_000);
    expect(Date.now()).toBeGreaterThan(new Date(until).getTime() - 1500);
  });

  it('two of an address: it passes again when both are reverted', async () => {
    const [first, second] = [await block(CLIENT), await block(CLIENT)];
    await revert(first.id);
    expect(await network.reaches(SERVER)).toBe(false);
    await revert(second.id);
    expect(await network.reaches(SERVER)).toBe(true);
  });

  it('leaves what somebody blocked by hand', async () => {
    const element = ['element', 'inet', 'riposte', 'block_v4', `{ ${CLIENT} }`];
    await network.nft('add', ...element);
    const action = await block(CLIENT);
    expect(action).toMatchObject({ status: 'Completed' });
    await revert(action.id);
    expect(await network.reaches(SERVER)).toBe(false);
    await network.nft('delete', ...element);
  });

  it('is refused where it would cut off what is listed', async () => {
    const answer = await client.post<GraphError & { readonly id?: string }>(request(GATEWAY));
    const message =
      answer.status === 201
        ? (await client.ended(answer.body.id ?? '')).errorInfo?.message
        : answer.body.error.message;
    expect(message).toContain('settings.neverBlock');
  });

  it('1,000 in a burst are written in far fewer batches', async () => {
    await watch.forget();
    const ids: string[] = [];
    const values = Array.from({ length: 1000 }, (_, index) => `198.18.${index >> 8}.${index & 255}`);
    for (let at = 0; at < values.length; at += 50)
      ids.push(
        ...(await Promise.all(
          values.slice(at, at + 50).map(async (ip) => (await client.post(request(ip))).body.id),
        )),
      );
    for (const id of ids) expect(await client.ended(id, 60_000)).toMatchObject({ status: 'Completed' });
    const changes = await watch.changes();
    expect(changes.flatMap(({ added }) => added)).toHaveLength(1000);
    process.stderr.write(`1,000 blocks came in ${changes.length} batches\n`);
    expect(changes.length).toBeLessThan(100);
  }, 300_000);

  it('is put back after all rules were lost, when the worker starts again', async () => {
    await block(CLIENT);
    await Promise.all(stack.workers.splice(0).map((worker) => worker.end()));
    await network.nft('flush', 'ruleset');
    expect(await network.reaches(SERVER)).toBe(true);
    await stack.startWorker().ready();
    await eventually(async () => !(await network.reaches(SERVER)), 30_000);
  });
});
