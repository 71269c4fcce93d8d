import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EntryLedger, ExecutionContext } from '#provider-sdk';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { firewallMakers } from '../../plugins/firewall/index.js';
import { OpenC2Consumer } from '../simulators/openc2-consumer/consumer.js';
import { callContext } from '../support/call-context.js';
import { eventually } from '../support/eventually.js';
import { entryLedgers } from './device-calls.js';
import { CLIENT, Network, OTHER_CLIENT, SERVER, whyNoPackets } from './namespaces.js';
import { nftRules } from './nft-rules.js';

const provider = firewallMakers.openc2();
const { execute, revert, maintain, health, observe } = provider.calls;

const why = await whyNoPackets();

const [first, second] = ['token-of-the-first', 'token-of-the-second'];
const ADDRESS = '198.18.0.7';

const fresh = await entryLedgers();

describe('OpenC2', () => {
  let consumer: OpenC2Consumer;
  let ledger: EntryLedger;

  beforeAll(async () => {
    consumer = await OpenC2Consumer.start([first, second]);
  });
  afterAll(() => consumer.stop());
  beforeEach(async () => {
    ledger = fresh();
    await consumer.reset();
  });

  const defaults = { dropProcess: 'none', direction: 'both', checkRules: false };
  const contextAt = (baseUrl: string, settings: object = {}, token: string = first): ExecutionContext => ({
    ...callContext({
      settings: { baseUrl, ...defaults, ...settings },
      secrets: { token },
      key: randomUUID(),
    }),
    ledger,
  });
  const context = (settings: object = {}, token: string = first) =>
    contextAt(consumer.baseUrl, settings, token);
  const request = (value: string, effectUntil?: Date) => ({
    action: 'BlockIp',
    parameters: { IP: value },
    ...(effectUntil === undefined ? {} : { effectUntil }),
  });
  const block = async (value: string, until?: Date, own: ExecutionContext = context()) => {
    const outcome = await execute(own, request(value, until));
    if (outcome.kind !== 'completed') throw new TypeError(`it ended as ${outcome.kind}`);
    return { ...outcome, actionId: own.actionId };
  };
  const undo = (value: string, actionId: string, own: ExecutionContext = context()) =>
    revert?.(own, {
      ...request(value),
      actionId,
      completedAt: new Date(),
      result: null,
      effect: { changed: true },
    });
  const sent = (at = -1) => JSON.parse(consumer.seen.at(at)?.body ?? '{}') as unknown;
  const requestOf = (body: string) =>
    (
      JSON.parse(body) as {
        body: { openc2: { request: Record<'args' | 'target', Record<string, unknown>> } };
      }
    ).body.openc2.request;

  it('denies an address by a message as the specifications have it', async () => {
    await block(ADDRESS, new Date(Date.now() + 3_600_000), context({ assetId: 'edge-1' }));
    const { headers, url } = consumer.seen.at(-1) ?? {};
    expect(url?.pathname).toBe('/.well-known/openc2');
    expect(headers).toMatchObject({
      'content-type': 'application/openc2+json;version=1.0',
      'x-request-id': expect.any(String) as string,
    });
    expect(sent()).toEqual({
      headers: {
        request_id: headers?.['x-request-id'],
        created: expect.any(Number) as number,
        from: 'riposte',
      },
      body: {
        openc2: {
          request: {
            action: 'deny',
            target: { ipv4_net: ADDRESS },
            args: { response_requested: 'complete', duration: expect.any(Number) as number },
            actuator: { slpf: { asset_id: 'edge-1' } },
            command_id: headers?.['x-request-id'],
          },
        },
      },
    });
  });

  it('deletes the rule by its number when the last owner has left', async () => {
    const [one, other] = [await block(ADDRESS), await block(ADDRESS)];
    const [number] = consumer.rules().keys();
    expect(consumer.rules().size).toBe(1);
    await undo(ADDRESS, one.actionId);
    expect(consumer.rules().size).toBe(1);
    await undo(ADDRESS, other.actionId);
    expect(consumer.rules().size).toBe(0);
    expect(sent()).toMatchObject({
      body: { openc2: { request: { action: 'delete', target: { 'slpf:rule_number': number } } } },
    });
    const asked = consumer.seen.length;
    expect(await undo(ADDRESS, other.actionId)).toMatchObject({ kind: 'completed' });
    expect(consumer.seen).toHaveLength(asked);
  });

  it('networks and IPv6 are targets, too', async () => {
    await block('198.18.4.0/24');
    await block('2001:db8:5::/64');
    expect([...consumer.rules().values()]).toEqual(['198.18.4.0/24', '2001:db8:5::/64']);
    expect(sent()).toMatchObject({
      body: { openc2: { request: { target: { ipv6_net: '2001:db8:5::/64' } } } },
    });
  });

  it('puts a rule with the longer time in the place of the one with the shorter', async () => {
    await block(ADDRESS, new Date(Date.now() + 60_000));
    const [before] = consumer.rules().keys();
    await block(ADDRESS, new Date(Date.now() + 3_600_000));
    const [after, ...more] = consumer.rules().keys();
    expect(more).toEqual([]);
    expect(after).not.toBe(before);
  });

  it('knows that a rule is gone when its time is over', async () => {
    await block(ADDRESS, new Date(Date.now() + 700));
    expect(await observe?.(context(), request(ADDRESS))).toMatchObject({ inPlace: true });
    await eventually(() => consumer.rules().size === 0);
    await eventually(async () => (await observe?.(context(), request(ADDRESS)))?.inPlace === false);
    expect(await maintain?.(context())).toMatchObject({ problems: [] });
  });

  it.each([
    [400, 'invalidInput', /cannot read the command/],
    [500, 'transient', /could not do it/],
    [501, 'unsupported', /does not support the command/],
    [102, 'unknownOutcome', /has not come to an end yet/],
  ] as const)('status %d is %s', async (status, errorClass, message) => {
    consumer.say({ status, status_text: 'as told' });
    await expect(execute(context(), request(ADDRESS))).rejects.toMatchObject({
      errorClass,
      message: expect.stringMatching(message) as string,
    });
  });

  it('asks once more by the same command after an answer that was none', async () => {
    const own = context();
    consumer.say({ status: 102 });
    await expect(execute(own, request(ADDRESS))).rejects.toMatchObject({ errorClass: 'unknownOutcome' });
    const before = consumer.seen.at(-1)?.headers['x-request-id'];
    consumer.say(null);
    expect(await execute(own, request(ADDRESS))).toMatchObject({ kind: 'completed' });
    expect(consumer.seen.at(-1)?.headers['x-request-id']).toBe(before);
    expect(consumer.rules().size).toBe(1);
  });

  it('takes back what may have been made, when nobody wants it any longer', async () => {
    const own = context();
    consumer.say({ status: 102 });
    await execute(own, request(ADDRESS)).catch(() => undefined);
    consumer.say(null);
    await ledger.release('rules', ADDRESS, { actionId: own.actionId });
    await maintain?.(context());
    expect(consumer.rules().size).toBe(0);
    expect(await ledger.handles('rules')).toEqual(new Map());
  });

  describe('a rule that the consumer lost', () => {
    const checking = () => context({ checkRules: true });

    it('is made again with its number and what is left of its time, and can be deleted by it', async () => {
      const { actionId } = await block(ADDRESS, new Date(Date.now() + 3_600_000));
      await block('198.18.0.8');
      const before = consumer.rules();
      await consumer.loseRules();
      expect(await maintain?.(checking())).toMatchObject({ added: 2, problems: [] });
      expect(consumer.rules()).toEqual(before);
      const commands = consumer.seen.map(({ body }) => requestOf(body));
      const durations = commands.flatMap(({ args, target }) =>
        target['ipv4_net'] === ADDRESS ? [args] : [],
      );
      expect(durations.at(-1)?.['duration']).toBeLessThanOrEqual(3_600_000);
      await undo(ADDRESS, actionId);
      expect([...consumer.rules().values()]).toEqual(['198.18.0.8']);
    });

    it('is none where the consumer says that its number is in use: nothing is made', async () => {
      await block(ADDRESS);
      const before = consumer.effects().length;
      expect(await maintain?.(checking())).toMatchObject({ added: 0, problems: [] });
      expect(consumer.effects()).toHaveLength(before);
    });

    it('is not looked for unless that is wanted', async () => {
      await block(ADDRESS);
      const asked = consumer.seen.length;
      await maintain?.(context());
      expect(consumer.seen).toHaveLength(asked);
    });

    it.each([
      ['never', /does not support it/],
      ['elsewhere', /made rule \d+ where it was asked for \d+/],
      ['again', /made rule \d+ twice/],
    ] as const)('cannot be found out where numbers are given %s: it is said so', async (inserts, message) => {
      await block(ADDRESS);
      const { actionId } = await block('198.18.0.8');
      consumer.inserts = inserts;
      await ledger.release('rules', '198.18.0.8', { actionId });
      const once = { ...checking(), instance: `openc2-${inserts}` };
      const maintained = await maintain?.(once);
      expect(maintained).toMatchObject({ added: 0, problems: [expect.stringMatching(message) as string] });
      // What else is to be done is done, and the consumer is not tried again.
      expect([...consumer.rules().values()]).toEqual([ADDRESS]);
      const asked = consumer.seen.length;
      expect(await maintain?.(once)).toEqual({ ...maintained, checked: 1, removed: 0 });
      expect(consumer.seen).toHaveLength(asked);
    });
  });

  describe('what is wrong is said so', () => {
    it.each([
      ['a wrong token', {}, 'wrong-token', 'auth', /401/],
      ['nobody there', { baseUrl: 'http://127.0.0.1:1' }, first, 'unreachable', /./],
    ] as const)('%s', async (_title, settings, token, errorClass, message) => {
      const own = context(settings, token);
      await expect(execute(own, request(ADDRESS))).rejects.toMatchObject({
        errorClass,
        message: expect.stringMatching(message) as string,
      });
      expect((await health?.(own))?.ok).toBe(false);
    });

    it('an option that the consumer does not know', async () => {
      const own = context({ dropProcess: 'reject' });
      await expect(execute(own, request(ADDRESS))).rejects.toMatchObject({ errorClass: 'unsupported' });
    });
  });

  it('asks for the features to see whether it is well', async () => {
    expect(await health?.(context())).toMatchObject({ ok: true });
    expect(sent()).toMatchObject({
      body: { openc2: { request: { action: 'query', target: { features: ['profiles', 'pairs'] } } } },
    });
  });

  it.each(['BlockDomain', 'BlockUrl'])('cannot do %s, and says what can', async (action) => {
    const parameters = { Domain: 'evil.example', URL: 'https://evil.example/x' };
    await expect(execute(context(), { action, parameters })).rejects.toThrow(/cannot block a/);
  });

  it('passes the conformance kit', async () => {
    const instance = (token: string): object => ({
      settings: { baseUrl: consumer.baseUrl },
      secrets: { token },
    });
    const refused = (what: string) => `refused: the profile knows no ${what}`;
    const report = await checkConformance({
      provider: firewallMakers.openc2,
      instances: [instance(first), instance(second)] as never,
      samples: { BlockIp: { IP: ADDRESS }, UnblockIp: { IP: ADDRESS } },
      leaveOut: {
        BlockDomain: refused('domain'),
        UnblockDomain: refused('domain'),
        BlockUrl: refused('URL'),
        UnblockUrl: refused('URL'),
      },
      vendor: consumer,
      interleavings: 40,
    });
    expect(formatReport(report)).toContain(' 0 failed,');
  });

  describe.skipIf(why !== null)('with a consumer in front of nftables', () => {
    let network: Network;
    let filtering: OpenC2Consumer;
    beforeAll(async () => {
      network = await Network.start();
      filtering = await OpenC2Consumer.start([first], await nftRules(network));
    });
    afterAll(async () => {
      await filtering.stop();
      await network.stop();
    });
    const there = () => contextAt(filtering.baseUrl);

    it('drops packets until it is reverted', async () => {
      expect(await network.reaches(SERVER)).toBe(true);
      const { actionId } = await block(CLIENT, undefined, there());
      expect(await network.reaches(SERVER)).toBe(false);
      expect(await network.reaches(SERVER, { address: OTHER_CLIENT })).toBe(true);
      await undo(CLIENT, actionId, there());
      expect(await network.reaches(SERVER)).toBe(true);
    });

    it('drops packets until its time is over, by the consumer alone', async () => {
      await block(CLIENT, new Date(Date.now() + 2500), there());
      expect(await network.reaches(SERVER)).toBe(false);
      await eventually(() => network.reaches(SERVER));
    });
  });
});
