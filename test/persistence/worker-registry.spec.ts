import { beforeAll, describe, expect, it } from 'vitest';
import type { WorkerRegistry } from '#persistence';
import { freshDatabase } from '../support/database.js';

let workers: WorkerRegistry;
beforeAll(async () => {
  workers = (await freshDatabase()).workers;
});

describe('the list of workers', () => {
  it('shows what each said last, by the time of the database, and not who left', async () => {
    await workers.beat('gone', { running: 0, lastSweep: null });
    await workers.leave('gone');
    await workers.beat('busy', {
      running: 1,
      lastSweep: { agoMs: 0, due: 1, hinted: 1, closed: 1, ms: 1 },
    });
    await workers.beat('new', { running: 0, lastSweep: null });
    await workers.beat('busy', {
      running: 7,
      lastSweep: { agoMs: 60_000, due: 3, hinted: 2, closed: 0, ms: 12 },
    });
    const [busy, fresh, ...others] = await workers.list();
    expect(others).toEqual([]);
    expect(fresh).toMatchObject({ id: 'new', running: 0, lastSweep: null });
    expect(busy).toMatchObject({ id: 'busy', running: 7 });
    const at = new Date((busy?.seenAt.getTime() ?? 0) - 60_000);
    expect(busy?.lastSweep).toEqual({ at, due: 3, hinted: 2, closed: 0, ms: 12 });
    expect(await workers.countAlive(15_000)).toBe(2);
  });
});
