import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { InstanceCalls, MaintainInstances, ProviderRegistry } from '#engine';
import { connectDatabase } from '#persistence';
import { Type, defineProvider } from '#provider-sdk';
import { createLogger } from '#telemetry';
import { freshDatabaseUri } from '../support/database.js';
import { eventually } from '../support/eventually.js';

/** Comparing devices with what they should have: who does it, and how often. */

const log = createLogger('riposte-test', 'silent');
const FOUND = { checked: 3, added: 1, removed: 0, problems: [] };

describe('maintenance', async () => {
  const database = await connectDatabase(freshDatabaseUri(), { appName: 'riposte-test' });
  afterAll(() => database.close());

  /** Workers of one installation with an instance whose plugin notes who maintained it. */
  function scene(periodMs: number, maintain: () => Promise<typeof FOUND> = () => Promise.resolve(FOUND)) {
    const instance = `device-${randomUUID().slice(0, 8)}`;
    const visits: string[] = [];
    const worker = (owner: string): MaintainInstances => {
      const provider = defineProvider({
        manifest: {
          vendor: 'Acme',
          provider: 'Device',
          version: '1.0.0',
          settings: Type.Object({}),
          actions: {
            Block: {
              title: 'Blocks.',
              parameters: Type.Object({}),
              idempotency: 'natural',
              cancellable: false,
            },
          },
        },
        execute: () => Promise.resolve({ kind: 'completed' }),
        cancel: () => Promise.resolve('notSupported'),
        maintain: () => {
          visits.push(owner);
          return maintain();
        },
      });
      const config = {
        id: instance,
        plugin: 'device',
        tenants: ['*'],
        settings: {},
        secrets: {},
        concurrency: 1,
      };
      const maintenance = new MaintainInstances({
        registry: new ProviderRegistry([config], { device: provider }),
        calls: new InstanceCalls({ log }),
        records: database.instances,
        lease: (name) => database.lease(name),
        owner,
        log,
        periodMs,
      });
      maintenance.start();
      onTestFinished(() => maintenance.stop());
      return maintenance;
    };
    const record = async () =>
      (await database.instances.list()).find((one) => one.instance === instance)?.maintained ?? null;
    return { visits, worker, record };
  }

  it('is done by each worker when it starts, and after that by one for all', async () => {
    const { visits, worker } = scene(2000);
    worker('first');
    await eventually(() => visits.length > 0);
    worker('second');
    await eventually(() => visits.length >= 4);
    expect(visits.filter((owner) => owner === 'second')).toHaveLength(1);
  });

  it('is gone on with by another when the one that did it stops', async () => {
    const { visits, worker } = scene(300);
    const first = worker('first');
    await eventually(() => visits.includes('first'));
    worker('second');
    await eventually(() => visits.includes('second'));
    await first.stop();
    await eventually(() => visits.filter((owner) => owner === 'second').length > 2);
  });

  it('is on record with what it found, or why it could not', async () => {
    const well = scene(60_000);
    well.worker('one');
    await eventually(async () => (await well.record()) !== null);
    expect(await well.record()).toMatchObject({ ...FOUND, at: expect.any(Date) as Date });
    const ill = scene(60_000, () => Promise.reject(new Error('secret detail')));
    ill.worker('one');
    await eventually(async () => (await ill.record()) !== null);
    expect(await ill.record()).toMatchObject({
      checked: 0,
      problems: ['The plugin failed unexpectedly; the log of the worker says how.'],
    });
  });
});
