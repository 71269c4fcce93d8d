import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { connectDatabase } from '#persistence';
import { ProviderError, type EntryLedger } from '#provider-sdk';
import {
  ListWriter,
  type DeviceEntry,
  type FirewallDriver,
  type ListChanges,
} from '../../plugins/firewall/index.js';
import { callContext } from '../support/call-context.js';
import { TENANT_A, freshDatabaseUri } from '../support/database.js';
import { eventually } from '../support/eventually.js';

/** What the writer of a list promises, whatever device it writes to and whoever dies meanwhile. */

/** A device that can lie, refuse and lose its power. */
class Device {
  readonly lists = new Map<string, Map<string, DeviceEntry>>();
  readonly batches: ListChanges[] = [];
  /** Called before a batch is applied. */
  before: () => void = () => undefined;
  /** Called after a batch was applied. */
  after: () => void = () => undefined;
  refuses = new Map<string, ProviderError>();
  isLying = false;

  list(name: string): Map<string, DeviceEntry> {
    const list = this.lists.get(name) ?? new Map<string, DeviceEntry>();
    this.lists.set(name, list);
    return list;
  }

  get driver(): FirewallDriver {
    return {
      listOf: () => ({ list: 'ip' }),
      expires: true,
      covers: true,
      read: (_context, list) => Promise.resolve([...this.list(list).values()]),
      write: async (_context, list, changes) => {
        await Promise.resolve();
        this.before();
        this.batches.push(changes);
        if (!this.isLying) {
          for (const value of changes.remove) this.list(list).delete(value);
          for (const { value, leftMs } of changes.add)
            if (!this.refuses.has(value)) this.list(list).set(value, { value, leftMs });
        }
        this.after();
        return new Map([...this.refuses].filter(([value]) => changes.add.some((one) => one.value === value)));
      },
      health: () => Promise.resolve({ ok: true, message: 'well' }),
    };
  }

  values(): readonly string[] {
    return [...this.list('ip').keys()].toSorted((a, b) => a.localeCompare(b));
  }
}

describe('the writer of a list', async () => {
  const database = await connectDatabase(freshDatabaseUri(), { appName: 'riposte-test' });
  afterAll(() => database.close());

  const scene = () => {
    const device = new Device();
    const instance = randomUUID();
    const ledger: EntryLedger = database.entryLedger(instance);
    const context = { ...callContext({ settings: {}, secrets: {} }), instance };
    return { device, ledger, context, writer: new ListWriter(device.driver) };
  };
  const owner = () => ({ actionId: randomUUID(), tenantId: TENANT_A, until: null, claimMs: 60_000 });
  const settled = async (ledger: EntryLedger, value: string, one = owner()): Promise<void> => {
    await ledger.hold('ip', value, one);
    await ledger.settle('ip', value, one.actionId);
  };

  it('writes what comes together in few batches, and everybody gets the answer of a batch with his own in it', async () => {
    const { device, ledger, context, writer } = scene();
    const values = Array.from({ length: 200 }, (_, index) => `198.51.100.${index}`);
    const states = await Promise.all(
      values.map(async (value) => {
        await ledger.hold('ip', value, owner());
        return (await writer.write(context, ledger, 'ip')).states.get(value)?.kind;
      }),
    );
    expect(new Set(states)).toEqual(new Set(['written']));
    expect(device.values()).toHaveLength(200);
    expect(device.batches.length).toBeLessThan(20);
  });

  it('of two processes writes the same list one after the other', async () => {
    const { device, ledger, context, writer } = scene();
    const other = new ListWriter(device.driver);
    let writing = 0;
    device.before = () => expect((writing += 1)).toBe(1);
    device.after = () => (writing -= 1);
    for (const value of ['192.0.2.1', '192.0.2.2']) await ledger.hold('ip', value, owner());
    await Promise.all([writer.write(context, ledger, 'ip'), other.write(context, ledger, 'ip')]);
    expect(device.values()).toEqual(['192.0.2.1', '192.0.2.2']);
  });

  it('removes an entry when its last owner leaves, and not before', async () => {
    const { device, ledger, context, writer } = scene();
    const [first, second] = [owner(), owner()];
    for (const one of [first, second]) await ledger.hold('ip', '192.0.2.1', one);
    await writer.write(context, ledger, 'ip');
    await ledger.release('ip', '192.0.2.1', first);
    await writer.write(context, ledger, 'ip');
    expect(device.values()).toEqual(['192.0.2.1']);
    await ledger.release('ip', '192.0.2.1', second);
    await writer.write(context, ledger, 'ip');
    expect(device.values()).toEqual([]);
  });

  it('never removes what was there before', async () => {
    const { device, ledger, context, writer } = scene();
    device.list('ip').set('192.0.2.1', { value: '192.0.2.1', leftMs: null });
    const one = owner();
    await ledger.hold('ip', '192.0.2.1', one);
    expect((await writer.write(context, ledger, 'ip')).states.get('192.0.2.1')).toEqual({ kind: 'foreign' });
    await ledger.release('ip', '192.0.2.1', one);
    await writer.write(context, ledger, 'ip');
    await writer.maintain(context, ledger, 'ip');
    expect(device.values()).toEqual(['192.0.2.1']);
  });

  it('that dies between the device and its note leaves an entry that is known to be ours', async () => {
    const { device, ledger, context, writer } = scene();
    const one = owner();
    await ledger.hold('ip', '192.0.2.1', one);
    device.after = () => {
      throw new Error('killed');
    };
    await expect(writer.write(context, ledger, 'ip')).rejects.toThrow('killed');
    device.after = () => undefined;
    const next = new ListWriter(device.driver);
    expect((await next.write(context, ledger, 'ip')).states.get('192.0.2.1')?.kind).toBe('written');
    await ledger.release('ip', '192.0.2.1', one);
    await next.write(context, ledger, 'ip');
    expect(device.values()).toEqual([]);
  });

  it('that dies before the device leaves nothing that would be taken for ours', async () => {
    const { device, ledger, context, writer } = scene();
    const one = owner();
    await ledger.hold('ip', '192.0.2.1', one);
    device.before = () => {
      throw new Error('killed');
    };
    await expect(writer.write(context, ledger, 'ip')).rejects.toThrow('killed');
    device.before = () => undefined;
    await ledger.release('ip', '192.0.2.1', one);
    await writer.write(context, ledger, 'ip');
    expect(await ledger.entry('ip', '192.0.2.1')).toMatchObject({ owners: 0, written: 'no' });
  });

  it('lets one bad entry fail alone', async () => {
    const { device, ledger, context, writer } = scene();
    device.refuses.set('192.0.2.2', new ProviderError('capacity', 'The list is full.'));
    for (const value of ['192.0.2.1', '192.0.2.2']) await ledger.hold('ip', value, owner());
    const { states } = await writer.write(context, ledger, 'ip');
    expect(states.get('192.0.2.1')?.kind).toBe('written');
    expect(states.get('192.0.2.2')).toMatchObject({ kind: 'failed', error: { errorClass: 'capacity' } });
  });

  it('does not believe a device that says it did what its list does not show', async () => {
    const { device, ledger, context, writer } = scene();
    device.isLying = true;
    await ledger.hold('ip', '192.0.2.1', owner());
    const state = (await writer.write(context, ledger, 'ip')).states.get('192.0.2.1');
    expect(state).toMatchObject({ kind: 'failed', error: { errorClass: 'transient' } });
  });

  it('repairs a device that lost its list, and one that was changed by hand', async () => {
    const { device, ledger, context, writer } = scene();
    const gone = owner();
    for (const value of ['192.0.2.1', '192.0.2.2']) await settled(ledger, value);
    await settled(ledger, '192.0.2.3', gone);
    await writer.write(context, ledger, 'ip');
    await ledger.release('ip', '192.0.2.3', gone);
    device.list('ip').delete('192.0.2.1');
    expect(await writer.maintain(context, ledger, 'ip')).toMatchObject({ checked: 3, added: 1, removed: 1 });
    expect(device.values()).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(await writer.maintain(context, ledger, 'ip')).toMatchObject({ added: 0, removed: 0 });
  });

  it('does not carry out later, by maintenance, what an action has not brought about', async () => {
    const { device, ledger, context, writer } = scene();
    await ledger.hold('ip', '192.0.2.1', owner());
    await writer.maintain(context, ledger, 'ip');
    expect(device.values()).toEqual([]);
    expect((await writer.write(context, ledger, 'ip')).states.get('192.0.2.1')?.kind).toBe('written');
  });

  it('takes away what a failed action may have left, once its claim is over', async () => {
    const { device, ledger, context, writer } = scene();
    await ledger.hold('ip', '192.0.2.1', { ...owner(), claimMs: 300 });
    await writer.write(context, ledger, 'ip');
    await eventually(async () => {
      await writer.maintain(context, ledger, 'ip');
      return device.values().length === 0;
    });
  });

  it('goes on for the others when the call that leads a batch is stopped', async () => {
    const { device, ledger, context, writer } = scene();
    const stop = new AbortController();
    for (const value of ['192.0.2.1', '192.0.2.2']) await ledger.hold('ip', value, owner());
    let inside: Promise<unknown> = Promise.resolve();
    await ledger.asOnlyWriter('ip', context.signal, async () => {
      const leader = writer.write({ ...context, signal: stop.signal }, ledger, 'ip');
      const follower = writer.write(context, ledger, 'ip');
      stop.abort(new Error('the leader is cancelled'));
      await expect(leader).rejects.toThrow('the leader is cancelled');
      inside = follower;
    });
    await inside;
    expect(device.values()).toEqual(['192.0.2.1', '192.0.2.2']);
  });
});
