import { describe, expect, it } from 'vitest';
import { grouped } from '#grouping';

/** A call whose groups are recorded, and end when told to. */
function recorded(limits: Parameters<typeof grouped>[1] = {}) {
  const groups: { readonly items: readonly number[]; readonly end: (error?: Error) => void }[] = [];
  const call = grouped<number, number>((items) => {
    return new Promise((resolve, reject) => {
      groups.push({
        items,
        end: (error) => {
          if (error === undefined)
            resolve(items.map((item) => (item < 0 ? new Error(`bad ${item}`) : item * 10)));
          else reject(error);
        },
      });
    });
  }, limits);
  return { groups, call };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe('calls made in a group', () => {
  it('go at once when they are alone, each with its own answer', async () => {
    const { groups, call } = recorded();
    const answer = call(1);
    await turn();
    groups[0]?.end();
    expect(await answer).toBe(10);
  });

  it('gather while others are under way, and go together when the next may', async () => {
    const { groups, call } = recorded({ parallel: 1 });
    const first = call(1);
    await turn();
    const later = [call(2), call(3)];
    await turn();
    later.push(call(4));
    await turn();
    expect(groups.map(({ items }) => items)).toEqual([[1]]);
    groups[0]?.end();
    await first;
    await turn();
    expect(groups.map(({ items }) => items)).toEqual([[1], [2, 3, 4]]);
    groups[1]?.end();
    expect(await Promise.all(later)).toEqual([20, 30, 40]);
  });

  it('are split where there are more than a group holds', async () => {
    const { groups, call } = recorded({ size: 2, parallel: 10 });
    const answers = [call(1), call(2), call(3)];
    await turn();
    expect(groups.map(({ items }) => items)).toEqual([[1, 2], [3]]);
    for (const group of groups) group.end();
    expect(await Promise.all(answers)).toEqual([10, 20, 30]);
  });

  it('fail alone where only one of them is wrong, and together where all of it failed', async () => {
    const { groups, call } = recorded();
    const answers = Promise.allSettled([call(1), call(-2)]);
    await turn();
    groups[0]?.end();
    expect((await answers).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    const all = Promise.allSettled([call(1), call(2)]);
    await turn();
    groups[1]?.end(new Error('gone'));
    expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const again = call(3);
    await turn();
    groups[2]?.end();
    expect(await again).toBe(30);
  });

  it('are not held up for long by a group that is stuck', async () => {
    const { groups, call } = recorded({ parallel: 1, holdMs: 20 });
    const stuck = call(1);
    await turn();
    const next = call(2);
    await expect.poll(() => groups.length).toBe(2);
    groups[1]?.end();
    expect(await next).toBe(20);
    groups[0]?.end();
    expect(await stuck).toBe(10);
  });
});
