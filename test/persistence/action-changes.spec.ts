import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type ActionChanges, type Database, type Told } from '#persistence';
import {
  APP,
  CALLER,
  TENANT_A,
  TENANT_B,
  claimOf,
  freshDatabaseUri,
  newAction,
} from '../support/database.js';
import { eventually } from '../support/eventually.js';

let database: Database;
const ending: (() => void)[] = [];

const uri = freshDatabaseUri();

beforeAll(async () => {
  database = await connectDatabase(uri, { appName: 'riposte-test' });
});
afterAll(() => database.close());
afterEach(() => {
  for (const end of ending.splice(0)) end();
});

function openChanges(options: { readonly lingerMs?: number; readonly kept?: number } = {}): ActionChanges {
  const changes = database.changes(options);
  ending.push(() => changes.close());
  return changes;
}

/** Somebody who listens, and what that one was told. */
class Listener {
  readonly told: Told[] = [];
  readonly ended: Promise<void>;
  readonly #leaving = new AbortController();

  constructor(
    changes: ActionChanges,
    options: { readonly tenantId?: string; readonly after?: string; readonly quietMs?: number } = {},
  ) {
    ending.push(() => this.leave());
    const { tenantId = TENANT_A, after = null, quietMs = 60_000 } = options;
    this.ended = this.#listen(changes.follow({ tenantId, after, quietMs, signal: this.#leaving.signal }));
  }

  async #listen(telling: AsyncIterable<Told>): Promise<void> {
    for await (const one of telling) this.told.push(one);
  }

  leave(): void {
    this.#leaving.abort();
  }

  /** Waits until it has come to the present. */
  async present(): Promise<this> {
    await eventually(() => this.told.some(({ kind }) => kind === 'upToDate'));
    return this;
  }

  /** The statuses it was told of an action. */
  statusesOf(id: string): string[] {
    return this.told.flatMap((one) =>
      one.kind === 'changed'
        ? one.changes.actions.filter((action) => action.id === id).map(({ status }) => status)
        : [],
    );
  }

  hears(id: string, status: string): Promise<unknown> {
    return eventually(() => this.statusesOf(id).at(-1) === status);
  }

  get instances(): string[] {
    return this.told.flatMap((one) => (one.kind === 'changed' ? one.changes.instances : []));
  }

  /** Where it has come to. */
  get position(): string {
    const last = this.told.findLast((one) => one.kind !== 'waiting');
    if (last === undefined) throw new Error('it was told nothing yet');
    return last.position;
  }
}

async function create(overrides: Parameters<typeof newAction>[0] = {}): Promise<string> {
  return (await database.actions.create(newAction(overrides))).id;
}

async function complete(id: string): Promise<void> {
  const claim = await claimOf(database.actions.claim(id, 'worker', 60_000, '1.0.0'));
  if (claim === null) throw new Error(`${id} could not be claimed`);
  await database.actions.complete(claim.lease, null);
}

describe('what changes', () => {
  it('is told in the latest state, and many changes of one action once', async () => {
    const listener = await new Listener(openChanges()).present();
    const id = await create();
    await listener.hears(id, 'NotStarted');
    await complete(id);
    await listener.hears(id, 'Completed');
    expect(listener.statusesOf(id).length).toBeLessThanOrEqual(3);
    const last = listener.told.findLast((one) => one.kind === 'changed');
    const stored = await database.actions.find(TENANT_A, id);
    expect(last?.changes.actions).toEqual([
      {
        id,
        name: 'BlockIp',
        instance: 'mock',
        status: 'Completed',
        phase: 'done',
        createdAt: stored?.createdAt,
        lastActionAt: stored?.lastActionAt,
        unresolved: false,
      },
    ]);
  });

  it('is told to the listeners of its tenant alone', async () => {
    const changes = openChanges();
    const stranger = await new Listener(changes, { tenantId: TENANT_B }).present();
    const listener = await new Listener(changes).present();
    const id = await create();
    const theirs = await create({ caller: { ...CALLER, tenantId: TENANT_B } });
    await Promise.all([listener.hears(id, 'NotStarted'), stranger.hears(theirs, 'NotStarted')]);
    expect([listener.statusesOf(theirs), stranger.statusesOf(id)]).toEqual([[], []]);
  });

  it('is told of a pause and of another health, and not that a health was looked at again', async () => {
    const listener = await new Listener(openChanges()).present();
    const [seen, last] = [`seen-${randomUUID()}`, `last-${randomUUID()}`];
    const health = { ok: true, message: 'fine' };
    await database.instances.reportHealth(seen, health);
    await eventually(() => listener.instances.includes(seen));
    for (let again = 0; again < 3; again += 1) await database.instances.reportHealth(seen, health);
    await database.instances.pause(last, { tenantId: TENANT_A, appId: APP, user: null }, 'test');
    await eventually(() => listener.instances.includes(last));
    expect(listener.instances).toEqual([seen, last]);
  });

  it('is not the renewal of a lease', async () => {
    const listener = await new Listener(openChanges()).present();
    const id = await create();
    const claim = await claimOf(database.actions.claim(id, 'worker', 60_000, '1.0.0'));
    await listener.hears(id, 'Running');
    const before = listener.statusesOf(id).length;
    if (claim !== null) await database.actions.renew(claim.lease, 60_000);
    await listener.hears(await create(), 'NotStarted');
    expect(listener.statusesOf(id)).toHaveLength(before);
  });
});

describe('a listener that takes its time', () => {
  it('is told the latest states later, also of what is not kept for it', async () => {
    const changes = openChanges({ kept: 0 });
    const slow = changes.follow({
      tenantId: TENANT_A,
      after: null,
      quietMs: 60_000,
      signal: AbortSignal.timeout(30_000),
    });
    expect((await slow.next()).value).toMatchObject({ kind: 'upToDate' });
    const quick = await new Listener(changes).present();
    const ids = [await create(), await create()];
    await Promise.all(ids.map((id) => quick.hears(id, 'NotStarted')));
    for (const id of ids) await complete(id);
    await Promise.all(ids.map((id) => quick.hears(id, 'Completed')));
    const { value } = await slow.next();
    if (value?.kind !== 'changed') throw new Error(`it was told ${value?.kind}`);
    const told = value.changes.actions.map(({ id, status }) => `${id} ${status}`);
    expect(new Set(told)).toEqual(new Set(ids.map((id) => `${id} Completed`)));
    await slow.return();
  });
});

describe('a listener that comes back', () => {
  it('is told what changed meanwhile, and that it is up to date', async () => {
    const changes = openChanges();
    const before = await new Listener(changes).present();
    const position = before.position;
    before.leave();
    const ids = [await create(), await create()];
    await complete(ids[0] ?? '');
    const back = new Listener(changes, { after: position });
    await Promise.all([back.hears(ids[0] ?? '', 'Completed'), back.hears(ids[1] ?? '', 'NotStarted')]);
    await back.present();
  });

  it('is told so by another process, too, that did not listen then', async () => {
    const before = await new Listener(openChanges()).present();
    const first = await create();
    await before.hears(first, 'NotStarted');
    const position = before.position;
    const id = await create();
    await complete(id);
    const others = openChanges();
    // Thousands come back at the same time: one reading serves them all.
    const back = [undefined, position, position].map(
      (after) => new Listener(others, { after: after ?? position }),
    );
    for (const one of back) {
      await one.hears(id, 'Completed');
      await one.present();
    }
    const late = await create();
    for (const one of back) await one.hears(late, 'NotStarted');
  });

  it('is told that the history is lost where it is, and goes on from there', async () => {
    const listener = await new Listener(openChanges(), { after: '00 is no token' }).present();
    expect(listener.told.map(({ kind }) => kind)).toEqual(['lost', 'upToDate']);
    const id = await create();
    await listener.hears(id, 'NotStarted');
  });
});

/** Whether the server keeps a change stream on the database. */
async function hasStream(): Promise<boolean> {
  const client = new mongoose.mongo.MongoClient(uri);
  try {
    const open = await client
      .db('admin')
      .aggregate([
        { $currentOp: { idleCursors: true } },
        {
          $match: {
            ns: { $regex: `^${new URL(uri).pathname.slice(1)}\\.` },
            'cursor.originatingCommand.pipeline.0.$changeStream': { $exists: true },
          },
        },
      ])
      .toArray();
    return open.length > 0;
  } finally {
    await client.close();
  }
}

describe('the change stream', () => {
  it('is open only while somebody listens', async () => {
    const changes = openChanges({ lingerMs: 0 });
    const listener = await new Listener(changes).present();
    const position = listener.position;
    listener.leave();
    await eventually(async () => !(await hasStream()));
    const id = await create();
    const again = await new Listener(changes, { after: position }).present();
    expect(again.statusesOf(id)).toEqual(['NotStarted']);
    expect(await hasStream()).toBe(true);
  });

  it('ends whenever it is closed, also while it is being opened', async () => {
    // The driver says of a stream that was closed then that nothing happens, for ever and at once.
    for (let ms = 0; ms < 6; ms += 1) {
      const changes = openChanges();
      const listener = new Listener(changes);
      await sleep(ms);
      changes.close();
      await listener.ended;
    }
    await eventually(async () => !(await hasStream()));
  });

  it('says every so often that there is nothing new, and from where to go on', async () => {
    const listener = new Listener(openChanges(), { quietMs: 50 });
    await eventually(() => listener.told.length >= 3);
    expect(new Set(listener.told.map(({ kind }) => kind))).toEqual(new Set(['upToDate']));
  });
});
