import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, NativeAction } from '../support/client.js';
import { Stack } from '../support/stack.js';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';

/** The whole way to a vendor of its own process, whose ledger says what really happened. */

const MODES = ['key', 'natural', 'lookup', 'none'] as const;
type Mode = (typeof MODES)[number];

const vendors = new Map<Mode, RunningVendor>();
let stack: Stack;
let client: Client;

beforeAll(async () => {
  for (const mode of MODES) vendors.set(mode, await startMockVendor(mode));
  const instances = MODES.map(
    (mode) =>
      `  - { id: ${mode}, plugin: mock, subProvider: ${mode}, attemptTimeoutMs: 1000, network: { allow: ['127.0.0.0/8'] }, settings: { mode: ${mode}, baseUrl: '${vendors.get(mode)?.baseUrl}' } }`,
  );
  stack = await Stack.start({ config: `providers:\n${instances.join('\n')}\n` });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  for (const vendor of vendors.values()) await vendor.stop();
});

const vendorOf = (mode: Mode): RunningVendor => {
  const vendor = vendors.get(mode);
  if (vendor === undefined) throw new Error(mode);
  return vendor;
};
const at = (mode: Mode): object => ({
  vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider: mode },
});
const executions = (mode: Mode, id: string): number =>
  vendorOf(mode)
    .ledger()
    .filter(({ event, key }) => event === 'executed' && key === id).length;

/** Runs an action while the vendor misbehaves on each first submission. */
async function endedWhile(mode: Mode, behaviour: Record<string, number>, ip: string): Promise<NativeAction> {
  await vendorOf(mode).behave(behaviour);
  try {
    const id = await client.act('BlockIp', { IP: ip }, at(mode));
    if (mode === 'key' || mode === 'natural') {
      await client.inPhase(id, 'retrying');
      await vendorOf(mode).behave({});
    }
    return await client.ended(id);
  } finally {
    await vendorOf(mode).behave({});
  }
}

describe('a vendor that carries it out and never answers', () => {
  it.each(['executeAndReset', 'executeAndHang', 'garbage'])(
    '(%s): where a repeat does no harm, the action completes and was done once',
    async (behaviour) => {
      for (const [index, mode] of (['key', 'natural'] as const).entries()) {
        const ended = await endedWhile(mode, { [behaviour]: 1 }, `10.0.${index}.${behaviour.length}`);
        expect(ended.status).toBe('Completed');
        expect(ended.attempts[0]?.outcome).toBe('unknown');
        expect(executions(mode, ended.id)).toBe(1);
      }
    },
  );

  it('where it can be looked up, it is found and not sent again', async () => {
    const ended = await endedWhile('lookup', { executeAndReset: 1 }, '10.1.0.1');
    expect(ended.status).toBe('Completed');
    expect(executions('lookup', ended.id)).toBe(1);
  });

  it('where nothing can tell, the action says so (520), and it is not sent again', async () => {
    const ended = await endedWhile('none', { executeAndReset: 1 }, '10.1.0.2');
    expect(ended).toMatchObject({ status: 'Failed', phase: 'outcomeUnknown', errorInfo: { code: 520 } });
    expect(executions('none', ended.id)).toBe(1);
  });
});

describe('a vendor that asks to come back later', () => {
  it('is asked again when it said, and nothing is done twice', async () => {
    await vendorOf('none').behave({ rateLimit: 1 });
    const id = await client.act('BlockIp', { IP: '10.2.0.1' }, at('none'));
    const waiting = await client.inPhase(id, 'throttled');
    expect(waiting.status).toBe('Running');
    await vendorOf('none').behave({});
    expect((await client.ended(id)).status).toBe('Completed');
    expect(executions('none', id)).toBe(1);
  });
});

describe('a long operation at the vendor', () => {
  it.each(MODES)('in mode %s is cancelled there, and only then reported as cancelled', async (mode) => {
    const id = await client.act('LongRunning', { durationMs: 600_000 }, at(mode));
    await client.inPhase(id, 'waitingOnVendor');
    await client.cancel(id);
    expect(await client.ended(id)).toMatchObject({
      status: 'Failed',
      phase: 'cancelledAtProvider',
      errorInfo: { code: 499 },
    });
    expect(
      vendorOf(mode)
        .ledger()
        .filter(({ key }) => key === id)
        .map(({ event }) => event),
    ).toEqual(['executed', 'cancelled']);
  });
});
