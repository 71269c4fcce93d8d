import { describe, expect, it } from 'vitest';
import { Permits } from '#engine';

describe('permits', () => {
  it('are given up to the concurrency, and then not', async () => {
    const permits = new Permits(2);
    const given = await Promise.all([permits.acquire(10), permits.acquire(10), permits.acquire(10)]);
    expect(given.map((release) => release !== null)).toEqual([true, true, false]);
  });

  it('go to who waited longest', async () => {
    const permits = new Permits(1);
    const first = await permits.acquire(1000);
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (number) => {
      const release = await permits.acquire(1000);
      order.push(number);
      release?.();
    });
    first?.();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
  });

  it('given back twice count once', async () => {
    const permits = new Permits(1);
    const release = await permits.acquire(10);
    release?.();
    release?.();
    expect(await permits.acquire(10)).not.toBeNull();
    expect(await permits.acquire(10)).toBeNull();
  });

  it('are not lost by one who stopped waiting', async () => {
    const permits = new Permits(1);
    const release = await permits.acquire(10);
    expect(await permits.acquire(10)).toBeNull();
    release?.();
    expect(await permits.acquire(10)).not.toBeNull();
  });
});
