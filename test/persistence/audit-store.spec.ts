import { randomBytes, randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, describe, expect, it } from 'vitest';
import {
  AuditChainer,
  CheckpointSigner,
  INSTALLATION,
  cancelBeside,
  eventsOf,
  exportLines,
  verifyAudit,
  type AuditChainerOptions,
  type AuditChains,
  type AuditEntry,
  type NewAuditEvent,
} from '#audit';
import type { SharedLease } from '#domain';
import { connectDatabase, type Database } from '#persistence';
import { APP, claimOf, freshDatabaseUri, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const SIGNER = new CheckpointSigner(randomBytes(32));
const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined };
/** As two that each believe to hold it. */
const HELD = { take: () => Promise.resolve(true), giveBack: () => Promise.resolve() };

interface Opened {
  readonly database: Database;
  /** Another connection to the same one. */
  readonly another: () => Promise<Database>;
  readonly raw: () => Promise<mongoose.mongo.Db>;
}

async function opened(): Promise<Opened> {
  const uri = freshDatabaseUri();
  const another = async (): Promise<Database> => {
    const database = await connectDatabase(uri, { appName: 'riposte-test' });
    afterAll(() => database.close());
    return database;
  };
  return {
    database: await another(),
    another,
    raw: async () => {
      const connection = await mongoose.createConnection(uri).asPromise();
      afterAll(() => connection.close());
      return connection.getClient().db(connection.name);
    },
  };
}

function chainer(
  chains: AuditChains,
  options: Partial<Pick<AuditChainerOptions, 'checkpointMs' | 'periodMs' | 'lease'>> = {},
): AuditChainer {
  return new AuditChainer({
    chains,
    lease: HELD,
    owner: randomUUID(),
    signer: SIGNER,
    heads: null,
    log: LOG,
    checkpointMs: 0,
    ...options,
  });
}

/** The record, but for what is asked of it here. */
function differing(audit: AuditChains, other: Partial<AuditChains>): AuditChains {
  return new Proxy(audit, {
    get: (target, name: keyof AuditChains) => {
      const method = (other[name] ?? target[name]) as (...given: readonly unknown[]) => unknown;
      return method.bind(target);
    },
  });
}

/** A record, and the lease on it, by a clock that each look at a tenant's actions moves: it is slow. */
function slow(audit: AuditChains, stepMs: number) {
  let aheadMs = 0;
  let held = { owner: '', until: 0 };
  const looks: string[] = [];
  const takes: string[] = [];
  const now = (): Date => new Date(audit.now().getTime() + aheadMs);
  const lease: SharedLease = {
    take: (owner, ms) => {
      const isOurs = held.owner === owner || held.until <= now().getTime();
      if (isOurs) held = { owner, until: now().getTime() + ms };
      if (isOurs) takes.push(owner);
      return Promise.resolve(isOurs);
    },
    giveBack: () => {
      held = { owner: '', until: 0 };
      return Promise.resolve();
    },
  };
  const chains = differing(audit, {
    now,
    changed: (by, tenantId, ...given) => {
      aheadMs += stepMs;
      looks.push(tenantId);
      return audit.changed(by, tenantId, ...given);
    },
  });
  return { chains, lease, takes, looks, pass: (ms: number) => (aheadMs += ms) };
}

/** Tenants with an action each. */
async function tenantsWithActions({ actions }: Database, count: number): Promise<readonly string[]> {
  const tenants = Array.from({ length: count }, () => randomUUID());
  await Promise.all(
    tenants.map((tenantId) => actions.create(newAction({ caller: { tenantId, appId: APP, user: null } }))),
  );
  return tenants;
}

/** All that the database has of the record, verified, with its lines. */
async function verified({ audit }: Database): Promise<readonly AuditEntry[]> {
  const lines: string[] = [];
  for await (const line of exportLines(audit, null)) lines.push(line.trimEnd());
  expect((await verifyAudit(lines, { keys: [SIGNER.key.publicKey] })).broken).toEqual([]);
  return lines
    .map((line) => JSON.parse(line) as AuditEntry & { readonly type: string })
    .filter(({ type }) => type === 'entry');
}

function kinds(entries: readonly AuditEntry[], actionId: string): readonly string[] {
  return entries.filter(({ about }) => about['actionId'] === actionId).map(({ kind }) => kind);
}

function paused(instance: string): NewAuditEvent {
  return {
    chain: INSTALLATION,
    kind: 'provider.paused',
    by: { appId: APP, user: 'alice', address: '192.0.2.1' },
    about: { instance },
  };
}

/** An action whose outcome nobody knows. */
async function unknownOutcome({ actions }: Database, tenantId: string): Promise<string> {
  const { id } = await actions.create(newAction({ caller: { tenantId, appId: APP, user: null } }));
  const claim = await claimOf(actions.claim(id, randomUUID(), 60_000, '1.0.0'));
  if (claim === null) throw new Error('it cannot be claimed');
  await actions.fail(claim.lease, {
    phase: 'outcomeUnknown',
    errorInfo: { code: 520, subcode: 0, message: 'Nobody knows.' },
  });
  return id;
}

describe('the audit record', () => {
  it('tells what was done with an action out of its history, each once and in order', async () => {
    const { database } = await opened();
    const tenantId = randomUUID();
    const caller = { tenantId, appId: APP, user: 'alice' };
    const { id } = await database.actions.create(
      newAction({ caller, parameters: [{ name: 'IP', value: '203.0.113.99' }] }),
    );
    const one = chainer(database.audit);
    await one.pass();
    await database.actions.requestCancel({ ...caller, user: 'bob' }, id);
    const unknown = await unknownOutcome(database, tenantId);
    await one.pass();
    await database.actions.resolve(caller, unknown, { verdict: 'applied', note: 'I looked.' });
    await one.pass();
    await one.pass();

    const entries = await verified(database);
    expect(kinds(entries, id)).toEqual(['action.created', 'action.cancelRequested', 'action.ended']);
    expect(kinds(entries, unknown)).toEqual(['action.created', 'action.ended', 'action.resolved']);
    const [created, cancelled, ended] = entries.filter(({ about }) => about['actionId'] === id);
    expect(created).toMatchObject({
      chain: tenantId,
      by: { appId: APP, user: 'alice' },
      details: { name: 'BlockIp', parameters: ['IP'] },
    });
    expect(cancelled).toMatchObject({ by: { user: 'bob' }, details: { answer: 'cancelled' } });
    expect(ended).toMatchObject({ details: { status: 'Failed', phase: 'cancelled', code: 499 } });
    expect(JSON.stringify(entries)).not.toMatch(/203\.0\.113|I looked/);
  });

  it('is one chain without a gap whoever appends at the same time, and whoever dies over it', async () => {
    const { database, another } = await opened();
    const tenantId = randomUUID();
    const caller = { tenantId, appId: APP, user: null };
    const appenders = [chainer(database.audit), chainer((await another()).audit)];
    const mortal = (await another()).audit;
    const seen = { isDead: false, isDone: false };
    // Dies with the first half of what it appends on record, and is asked no more.
    const dying = chainer(
      differing(mortal, {
        append: async (entries) => {
          await mortal.append(entries.slice(0, Math.ceil(entries.length / 2)));
          seen.isDead = true;
          throw new Error('killed');
        },
      }),
    );
    const ids: string[] = [];
    const work = (async () => {
      for (let round = 0; round < 15; round += 1) {
        const made = await Promise.all(
          Array.from({ length: 10 }, () => database.actions.create(newAction({ caller }))),
        );
        ids.push(...made.map(({ id }) => id));
        await Promise.all(made.slice(0, 5).map(({ id }) => database.actions.requestCancel(caller, id)));
        await database.audit.record([paused(`mock-${round}`)]);
      }
    })();
    const appending = [...appenders, dying].map(async (one) => {
      const isOver = (): boolean => seen.isDone || (one === dying && seen.isDead);
      while (!isOver()) await one.pass().catch(() => undefined);
    });
    await work.finally(() => (seen.isDone = true));
    await Promise.all(appending);
    for (const one of appenders) await one.pass();
    expect(seen.isDead).toBe(true);

    const entries = await verified(database);
    const expected = (await database.audit.actions(ids)).flatMap(eventsOf).map(({ source }) => source);
    expect(
      entries
        .filter(({ chain }) => chain === tenantId)
        .map(({ source }) => source)
        .toSorted(),
    ).toEqual(expected.toSorted());
    expect(expected).toHaveLength(150 + 75 + 75);
    const pauses = entries
      .filter(({ chain }) => chain === INSTALLATION)
      .map(({ about }) => about['instance'] ?? '');
    expect(pauses.toSorted()).toEqual(Array.from({ length: 15 }, (_, round) => `mock-${round}`).toSorted());
  });

  it('holds what showed late, and what was brought in from another time', async () => {
    const { database, raw } = await opened();
    const tenantId = randomUUID();
    const create = () => database.actions.create(newAction({ caller: { tenantId, appId: APP, user: null } }));
    const [late, imported, now] = [await create(), await create(), await create()];
    const actions = (await raw()).collection<{ _id: mongoose.mongo.UUID }>('actions');
    const takeOut = async ({ id }: { readonly id: string }, ageMs: number) => {
      const document = await actions.findOneAndDelete({ _id: new mongoose.mongo.UUID(id) });
      if (document === null) throw new Error('it is not there');
      const at = new Date(Date.now() - ageMs);
      return { ...document, createdAt: at, lastActionAt: at };
    };
    const [lateDocument, importedDocument] = [
      await takeOut(late, 20_000),
      await takeOut(imported, 86_400_000),
    ];
    const one = chainer(database.audit);
    await one.pass();
    await actions.insertOne(lateDocument);
    await actions.insertOne(importedDocument);
    for (let pass = 0; pass < 10; pass += 1) await one.pass();
    let entries = await verified(database);
    expect(kinds(entries, now.id)).toEqual(['action.created']);
    expect(kinds(entries, late.id)).toEqual(['action.created']);

    await database.audit.lookAgain(tenantId);
    await one.pass();
    entries = await verified(database);
    expect(kinds(entries, imported.id)).toEqual(['action.created']);
    expect(entries).toHaveLength(3);
  });

  it('hears at once of a resolution where nothing else changes, and looks at no history of who does nothing', async () => {
    const { database, raw } = await opened();
    const [quiet, busy] = [randomUUID(), randomUUID()];
    const unknown = await unknownOutcome(database, quiet);
    for (let index = 0; index < 50; index += 1)
      await database.actions.create(newAction({ caller: { tenantId: busy, appId: APP, user: null } }));
    const db = await raw();
    const longAgo = new Date(Date.now() - 3_600_000);
    await db.collection('actions').updateMany({}, { $set: { createdAt: longAgo, lastActionAt: longAgo } });
    const one = chainer(database.audit);
    await one.pass();
    await db.command({ profile: 2 });
    await one.pass();
    await db.command({ profile: 0 });
    const reads = await db
      .collection('system.profile')
      .find({ ns: `${db.databaseName}.actions` })
      .toArray();
    expect(reads.length).toBeGreaterThan(0);
    for (const { keysExamined, docsExamined } of reads)
      // A seek for each of the two tenants.
      expect([Number(keysExamined ?? 0) <= 4, Number(docsExamined ?? 0)]).toEqual([true, 0]);

    await database.actions.resolve({ tenantId: quiet, appId: APP, user: null }, unknown, {
      verdict: 'applied',
      note: 'I looked.',
    });
    await one.pass();
    expect(kinds(await verified(database), unknown)).toContain('action.resolved');
  });

  it('has a resolution of the time in which a long pass went through what had changed', async () => {
    const { database, raw } = await opened();
    const caller = { tenantId: randomUUID(), appId: APP, user: null };
    const unknown = await unknownOutcome(database, caller.tenantId);
    const other = await database.actions.create(newAction({ caller }));
    const { chains, pass } = slow(database.audit, 0);
    const takesLong = { isNext: false };
    const one = chainer(
      differing(chains, {
        changed: async (by, ...given) => {
          if (by === 'lastActionAt' && takesLong.isNext) {
            takesLong.isNext = false;
            await database.actions.resolve(caller, unknown, { verdict: 'applied', note: 'I looked.' });
            pass(120_000);
            await (
              await raw()
            )
              .collection<{ _id: mongoose.mongo.UUID }>('actions')
              .updateOne(
                { _id: new mongoose.mongo.UUID(other.id) },
                { $set: { lastActionAt: new Date(chains.now().getTime() - 1000) } },
              );
          }
          return chains.changed(by, ...given);
        },
      }),
    );
    await one.pass();
    takesLong.isNext = true;
    await one.pass();
    await one.pass();
    expect(kinds(await verified(database), unknown)).toContain('action.resolved');
  });

  it('has each who asked for the end of an action, once, also after its deadline had it cancelled', async () => {
    const { database } = await opened();
    const { actions, audit } = database;
    const tenantId = randomUUID();
    const caller = (user: string | null) => ({ tenantId, appId: APP, user });
    const ask = async (id: string, user: string | null): Promise<void> => {
      const answer = await actions.requestCancel(caller(user), id);
      if (!('action' in answer)) throw new Error(answer.kind);
      const beside = cancelBeside(answer.action, { appId: APP, user, address: '192.0.2.1' }, answer.kind);
      if (beside !== null) await audit.record([beside]);
    };
    const { id } = await actions.create(newAction({ caller: caller('alice') }));
    const late = await actions.create(newAction({ caller: caller('alice') }));
    const claim = await claimOf(actions.claim(late.id, randomUUID(), 60_000, '1.0.0'));
    if (claim === null) throw new Error('it cannot be claimed');
    await actions.wishCancelAtDeadline(claim.lease);

    const one = chainer(audit);
    for (const user of ['bob', 'bob', 'carol', null]) await ask(id, user);
    await one.pass();
    for (const user of ['carol', 'dave', 'bob']) await ask(id, user);
    await ask(late.id, 'alice');
    await one.pass();

    const asked = (await verified(database)).filter(({ kind }) => kind === 'action.cancelRequested');
    const of = (actionId: string) =>
      asked
        .filter(({ about }) => about['actionId'] === actionId)
        .map(({ by, details }) => `${by.user} at ${by.address}: ${JSON.stringify(details)}`)
        .toSorted();
    expect(of(id)).toEqual([
      // Its history, which has no address.
      'bob at null: {"answer":"cancelled"}',
      'carol at 192.0.2.1: {"answer":"cancelled"}',
      'dave at 192.0.2.1: {"answer":"cancelled"}',
      'null at 192.0.2.1: {"answer":"cancelled"}',
    ]);
    expect(of(late.id)).toEqual(['alice at 192.0.2.1: {"answer":"requested"}']);
  });

  it('takes what was recorded once, however often it is given', async () => {
    const { database } = await opened();
    const event = { ...paused('mock'), id: randomUUID(), at: new Date().toISOString() };
    await database.audit.recordLate([event]);
    await database.audit.recordLate([event, { ...event, id: randomUUID() }]);
    const one = chainer(database.audit);
    await one.pass();
    await database.audit.recordLate([event]);
    await one.pass();
    expect(await verified(database)).toHaveLength(2);
  });

  it('is signed after a while, after many entries, and at a stop; also what another left unsigned', async () => {
    const { database } = await opened();
    const signedUpTo = async () => (await database.audit.lastCheckpoint(INSTALLATION))?.seq ?? 0;
    const one = chainer(database.audit, { checkpointMs: 3_600_000 });
    await database.audit.record([paused('a')]);
    await one.pass();
    expect(await signedUpTo()).toBe(0);
    await database.audit.record(Array.from({ length: 1000 }, (_, index) => paused(`b${index}`)));
    await one.pass();
    expect(await signedUpTo()).toBeGreaterThanOrEqual(1000);
    await database.audit.record([paused('c')]);
    await one.pass();
    await chainer(database.audit).pass();
    expect(await signedUpTo()).toBe(1002);
    await database.audit.record([paused('d')]);
    const last = chainer(database.audit, { checkpointMs: 3_600_000 });
    await last.pass();
    await last.stop();
    expect(await signedUpTo()).toBe(1003);
    await verified(database);
  });

  it('signs what a pass that failed left unsigned, though nothing more happens in that chain', async () => {
    const { database } = await opened();
    const failing = { isNext: false };
    const one = chainer(
      differing(database.audit, {
        addCheckpoint: (checkpoint) => {
          if (!failing.isNext) return database.audit.addCheckpoint(checkpoint);
          failing.isNext = false;
          return Promise.reject(new Error('no primary'));
        },
      }),
      { periodMs: 5 },
    );
    await one.pass();
    await database.audit.record([paused('a')]);
    failing.isNext = true;
    one.start();
    await eventually(async () => (await database.audit.lastCheckpoint(INSTALLATION))?.seq === 1 || null);
    await one.stop();
    expect(failing.isNext).toBe(false);
    await verified(database);
  });

  it('is kept by one process also through a pass that outlasts its lease, which it renews now and then', async () => {
    const { database } = await opened();
    const tenants = await tenantsWithActions(database, 12);
    const periodMs = 3_600_000;
    const leaseMs = 8 * periodMs;
    // Two looks at each tenant: a sixth of the lease.
    const { chains, lease, takes } = slow(database.audit, leaseMs / 12);
    const others: boolean[] = [];
    const watched = differing(chains, {
      actions: async (ids) => {
        others.push(await lease.take('another', leaseMs));
        return chains.actions(ids);
      },
    });
    expect(await chainer(watched, { lease, periodMs }).pass()).toBe(tenants.length);
    expect(others).toEqual(tenants.map(() => false));
    expect(takes.length).toBeGreaterThan(3);
    expect(takes.length).toBeLessThan(tenants.length);
    expect(await verified(database)).toHaveLength(tenants.length);
  });

  it('is left to the other process in the middle of a pass, once that has the lease', async () => {
    const { database } = await opened();
    const tenants = await tenantsWithActions(database, 4);
    const periodMs = 3_600_000;
    const { chains, lease, looks, pass } = slow(database.audit, 1);
    const hangs = { isNext: true };
    const one = chainer(
      differing(chains, {
        actions: async (ids) => {
          if (hangs.isNext) {
            hangs.isNext = false;
            pass(8 * periodMs);
            expect(await lease.take('another', 8 * periodMs)).toBe(true);
          }
          return chains.actions(ids);
        },
      }),
      { lease, periodMs },
    );
    expect(await one.pass()).toBeNull();
    expect(new Set(looks).size).toBe(1);
    expect(await one.pass()).toBeNull();
    await lease.giveBack('another');
    expect(await one.pass()).toBe(tenants.length - 1);
    expect(await verified(database)).toHaveLength(tenants.length);
  });

  it('has the end of an action that is stamped as what was seen of it before', async () => {
    const { database, raw } = await opened();
    const caller = { tenantId: randomUUID(), appId: APP, user: null };
    const { id, lastActionAt } = await database.actions.create(newAction({ caller }));
    const one = chainer(database.audit);
    await one.pass();
    await database.actions.requestCancel(caller, id);
    await (
      await raw()
    )
      .collection<{ _id: mongoose.mongo.UUID }>('actions')
      .updateOne(
        { _id: new mongoose.mongo.UUID(id) },
        { $set: { lastActionAt, completedAt: lastActionAt, 'cancel.at': lastActionAt } },
      );
    await one.pass();
    expect(kinds(await verified(database), id)).toEqual([
      'action.created',
      'action.cancelRequested',
      'action.ended',
    ]);
  });

  it('says of which actions all is in it: those may be removed', async () => {
    const { database } = await opened();
    const tenantId = randomUUID();
    const caller = { tenantId, appId: APP, user: null };
    const { id } = await database.actions.create(newAction({ caller }));
    const one = chainer(database.audit);
    await one.pass();
    expect(await database.audit.inChain([id])).toEqual([id]);
    await database.actions.requestCancel(caller, id);
    expect(await database.audit.inChain([id])).toEqual([]);
    await one.pass();
    expect(await database.audit.inChain([id])).toEqual([id]);
  });
});
