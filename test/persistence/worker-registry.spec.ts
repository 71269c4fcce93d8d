import { beforeAll, describe, expect, it } from 'vitest';
import type { WorkerRegistry } from '#persistence';
import { freshDatabase } from '../support/database.js';

let workers: WorkerRegistry;
beforeAll(async () => {
  workers = (await freshDatabase()).workers;
});

describe('the list of workers', () => {
  it('shows what each said last, by the time of the database, and not who left', async () => {
    await workers.beat('gone', { version: '1.2.3', running: 0, instances: [], lastSweep: null });
    await workers.leave('gone');
    await workers.beat('busy', {
      version: '1.2.2',
      running: 1,
      instances: [],
      lastSweep: { agoMs: 0, due: 1, hinted: 1, closed: 1, ms: 1 },
    });
    await workers.beat('new', { version: '1.2.3', running: 0, instances: [], lastSweep: null });
    await workers.beat('busy', {
      version: '1.2.3',
      running: 7,
      instances: [{ id: 'mock', startsPerMinute: 4 }],
      lastSweep: { agoMs: 60_000, due: 3, hinted: 2, closed: 0, ms: 12 },
    });
    const [busy, fresh, ...others] = await workers.list();
    expect(others).toEqual([]);
    expect(fresh).toMatchObject({ id: 'new', version: '1.2.3', running: 0, instances: [], lastSweep: null });
    expect(busy).toMatchObject({ id: 'busy', version: '1.2.3', running: 7, instances: ['mock'] });
    expect(busy?.silentMs).toBeLessThan(60_000);
    const at = new Date((busy?.seenAt.getTime() ?? 0) - 60_000);
    expect(busy?.lastSweep).toEqual({ at, due: 3, hinted: 2, closed: 0, ms: 12 });
    expect(await workers.countAlive(15_000)).toBe(2);
  });

  it('tells who carries out the actions of an instance, and how many they start', async () => {
    const at = (id: string, startsPerMinute: number) => ({
      version: '1.2.3',
      running: 0,
      lastSweep: null,
      instances: [
        { id, startsPerMinute },
        { id: 'other', startsPerMinute: 1 },
      ],
    });
    await workers.beat('one', at('edge.$x', 30));
    await workers.beat('two', at('edge.$x', 12));
    await workers.beat('three', at('core', 7));
    expect(await workers.carriers('edge.$x', 15_000)).toEqual({ workers: 2, startsPerMinute: 42 });
    expect(await workers.carriers('nobody', 15_000)).toEqual({ workers: 0, startsPerMinute: 0 });
    await workers.leave('one');
    expect(await workers.carriers('edge.$x', 15_000)).toEqual({ workers: 1, startsPerMinute: 12 });
  });
});
