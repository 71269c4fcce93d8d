import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { EntryLedger, ExecutionContext } from '#provider-sdk';
import { feedListName, firewalls } from '../../plugins/firewall/index.js';
import { callContext } from '../support/call-context.js';
import { TENANT_A, TENANT_B, freshDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

/** What a feed publishes, by its plugin and the ledger alone. */

const { feed } = firewalls;
if (feed === undefined) throw new TypeError('there is no plugin feed');
const { execute, cancel, revert, plan, observe, health, maintain } = feed.calls;

describe('a feed', async () => {
  const database = await freshDatabase();

  const scene = (settings: object = {}) => {
    const instance = `feed-${randomUUID().slice(0, 8)}`;
    const ledger: EntryLedger = database.entryLedger(instance);
    const context = (over: Partial<ExecutionContext> = {}): ExecutionContext => ({
      ...callContext({
        settings: { maxEntries: 10_000, consumers: [], ...settings },
        secrets: {},
        key: randomUUID(),
        instance,
      }),
      tenantId: TENANT_A,
      ledger,
      ...over,
    });
    const published = async (tenantId = TENANT_A, list: 'ip' | 'domain' | 'url' = 'ip') =>
      (await database.feeds.published(instance, feedListName(tenantId, list))).values.toSorted();
    const fetched = (name: string, upTo: Date | null) =>
      database.feeds.recordFetches([
        {
          instance,
          list: feedListName(TENANT_A, 'ip'),
          name,
          address: '192.0.2.10',
          userAgent: null,
          agoMs: 0,
          status: 200,
          got: { etag: '"x"', upTo },
        },
      ]);
    return { instance, ledger, context, published, fetched };
  };
  const block = (value: string, effectUntil?: Date) => ({
    action: 'BlockIp',
    parameters: { IP: value },
    ...(effectUntil === undefined ? {} : { effectUntil }),
  });
  const done = (actionId: string, value: string) => ({
    ...block(value),
    actionId,
    completedAt: new Date(),
    result: null,
    effect: null,
  });

  it('publishes what is completed, once, whoever repeats it', async () => {
    const { context, published } = scene();
    const one = context();
    expect(await execute(one, block('203.0.113.7'))).toMatchObject({
      kind: 'completed',
      result: { list: `${TENANT_A}/ip`, message: expect.stringContaining('is published') as string },
      effect: { changed: true },
    });
    expect(await execute(one, block('203.0.113.7'))).toMatchObject({ effect: { changed: true } });
    expect(await published()).toEqual(['203.0.113.7']);
    expect(await published(TENANT_B)).toEqual([]);
    await revert?.(context(), done(one.actionId, '203.0.113.7'));
    await revert?.(context(), done(one.actionId, '203.0.113.7'));
    expect(await published()).toEqual([]);
    expect(await execute(one, block('203.0.113.7'))).toEqual({ kind: 'stopped' });
  });

  it('publishes nothing of a worker that died before it noted it, and the next attempt does', async () => {
    const { context, published, ledger } = scene();
    const one = context();
    const owner = { actionId: one.actionId, tenantId: TENANT_A, until: null, claimMs: 60_000 };
    await ledger.hold(`${TENANT_A}/ip`, '203.0.113.7', owner);
    await ledger.asOnlyWriter(`${TENANT_A}/ip`, one.signal, async (held) =>
      held.note(
        (await held.entries()).map(({ value, revision }) => ({ value, revision, written: 'intended' })),
      ),
    );
    expect(await published()).toEqual([]);
    expect(await execute(one, block('203.0.113.7'))).toMatchObject({ effect: { changed: true } });
    expect(await published()).toEqual(['203.0.113.7']);
  });

  it('does not publish what is over, though no worker is there to take it away', async () => {
    const { context, published, ledger } = scene();
    await execute(context(), block('203.0.113.7', new Date(Date.now() + 1500)));
    await execute(context(), block('203.0.113.8'));
    expect(await published()).toEqual(['203.0.113.7', '203.0.113.8']);
    await eventually(async () => (await published()).length === 1);
    expect(await published()).toEqual(['203.0.113.8']);
    expect(await maintain?.(context())).toMatchObject({ problems: [] });
    expect(await ledger.entry(`${TENANT_A}/ip`, '203.0.113.7')).toMatchObject({ owners: 0, written: 'no' });
  });

  it('keeps a narrower block beside a wider one, whose end leaves no gap', async () => {
    const { context, published } = scene();
    await execute(context(), block('203.0.113.7'));
    await execute(context(), block('203.0.113.0/24'));
    expect(await published()).toEqual(['203.0.113.0/24', '203.0.113.7']);
  });

  it('takes as many entries as settings.maxEntries says, and a repeat of one of them', async () => {
    const { context, published, ledger } = scene({ maxEntries: 2 });
    await execute(context(), block('203.0.113.1'));
    await execute(context(), block('203.0.113.2'));
    await expect(execute(context(), block('203.0.113.3'))).rejects.toMatchObject({ errorClass: 'capacity' });
    expect(await execute(context(), block('203.0.113.2'))).toMatchObject({ kind: 'completed' });
    expect(await published()).toEqual(['203.0.113.1', '203.0.113.2']);
    expect((await ledger.entry(`${TENANT_A}/ip`, '203.0.113.3'))?.owners).toBe(0);
  });

  it('takes the whole of a burst, or says of each entry that there was no room', async () => {
    const { context, published } = scene({ maxEntries: 20 });
    const values = Array.from({ length: 30 }, (_, index) => `203.0.113.${index}`);
    const ends = await Promise.allSettled(values.map((value) => execute(context(), block(value))));
    const taken = values.filter((_, index) => ends[index]?.status === 'fulfilled');
    expect(taken).toHaveLength(20);
    expect(await published()).toEqual(taken.toSorted());
  });

  it('refuses a URL that firewalls would cut', async () => {
    const { context } = scene();
    const parameters = { URL: `https://evil.example/${'a'.repeat(2000)}` };
    await expect(execute(context(), { action: 'BlockUrl', parameters })).rejects.toThrow(
      'A URL of a feed may have 2000 characters',
    );
  });

  it('does not publish what was cancelled before it came, nor what comes of it late', async () => {
    const { context, published } = scene();
    const one = context();
    expect(await cancel(one, null, block('203.0.113.7'))).toBe('cancelled');
    expect(await execute(one, block('203.0.113.7'))).toEqual({ kind: 'stopped' });
    expect(await published()).toEqual([]);
  });

  it('plans without publishing', async () => {
    const { context, published } = scene();
    expect(await plan?.(context(), block('203.0.113.7'))).toMatchObject({
      changes: [`add 203.0.113.7 to ${TENANT_A}/ip`],
    });
    expect(await published()).toEqual([]);
  });

  it('tells who has an entry: who came since it is there without a gap', async () => {
    const { context, fetched, instance } = scene();
    const upTo = async () => (await database.feeds.published(instance, `${TENANT_A}/ip`)).upTo;
    const message = async (value: string) => (await observe?.(context(), block(value)))?.message;
    const one = context();
    await execute(one, block('203.0.113.7'));
    expect(await message('203.0.113.7')).toContain('No firewall has fetched the list yet.');
    await fetched('fw1', await upTo());
    await fetched('fw2', null);
    expect(await message('203.0.113.7')).toMatch(
      /Picked up by fw1 \(192\.0\.2\.10\) at \S+Z\. Not yet by fw2 \(192\.0\.2\.10\)\.$/,
    );
    await execute(context(), block('203.0.113.8'));
    expect(await message('203.0.113.8')).toMatch(/Not yet by fw\d .*, fw\d /);
    expect(await message('203.0.113.7')).toContain('Picked up by fw1');
    // Away, and back before any worker has looked: fw1 may have fetched it without.
    await database.entryLedger(instance).release(`${TENANT_A}/ip`, '203.0.113.7', { tenantId: TENANT_A });
    await execute(context(), block('203.0.113.7'));
    expect(await message('203.0.113.7')).not.toContain('Picked up');
  });

  it('says in its health which lists nobody fetches', async () => {
    const { context, fetched } = scene();
    expect(await health?.(context())).toMatchObject({ ok: true });
    await execute(context(), block('203.0.113.7'));
    const unread = await health?.(context());
    expect(unread?.message).toContain(`no firewall fetches ${TENANT_A}/ip`);
    await fetched('fw1', null);
    expect(await health?.(context())).toMatchObject({ message: 'The feed is published.' });
  });
});
