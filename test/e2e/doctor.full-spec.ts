import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { MongoReplicaSet, findMongod, freePort, type MongoReplicaSetOptions } from '#embedded-servers';
import { connectDatabase } from '#persistence';
import { newKey } from '#secrets';
import { riposte } from '../support/cli.js';
import { freshDatabaseUri } from '../support/database.js';
import { eventually } from '../support/eventually.js';

/** What `riposte doctor` finds of what is in trouble: servers of its own, to be hurt. */

const SELECT_WITHIN_MS = 2000;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-doctor-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

interface Finding {
  readonly level: string;
  readonly code: string;
  readonly message: string;
}

async function startSet(
  name: string,
  members: number,
  options: Pick<MongoReplicaSetOptions, 'parameters'> = {},
) {
  const set = await MongoReplicaSet.start({
    binary: await findMongod(() => undefined),
    dir: path.join(dir, name),
    members,
    cacheSizeGB: 0.25,
    ...options,
    report: () => undefined,
  });
  onTestFinished(() => set.stop());
  return set;
}

/** Its findings, by code. */
async function doctor(
  mongodbUri: string,
  providers: readonly object[] = [{ id: 'mock', plugin: 'mock' }],
): Promise<ReadonlyMap<string, Finding>> {
  const dataDir = path.join(dir, `data-${await freePort()}`);
  await mkdir(dataDir, { mode: 0o700 });
  const config = path.join(dataDir, 'riposte.config.yaml');
  await writeFile(config, JSON.stringify({ providers }));
  const { stdout } = await riposte(
    {
      MONGODB_URI: mongodbUri,
      REDIS_URL: inject('redisUrl'),
      RIPOSTE_DATA_DIR: dataDir,
      RIPOSTE_CONFIG: config,
      RIPOSTE_SECRETS_KEY: newKey(),
    },
    'doctor',
    '--json',
  );
  const { findings } = JSON.parse(stdout) as { readonly findings: readonly Finding[] };
  return new Map(findings.map((finding) => [finding.code, finding]));
}

describe('riposte doctor on a replica set', () => {
  it('tells members that are away, then that there is no primary, and all else at once', async () => {
    const set = await startSet('three', 3);
    const primary = await set.primary();
    const [one, other] = set.members.filter((member) => member !== primary);
    await one?.kill();
    const names = async () => (await doctor(set.uri)).get('mongodb.members')?.message ?? '';
    await eventually(async () => (await names()).startsWith('not well: 127.0.0.1:'), 30_000);
    const limping = await doctor(set.uri);
    expect(limping.get('mongodb.members')?.level).toBe('warning');
    expect(limping.get('mongodb.topology')?.message).toContain('replica set rs0 of 3, primary 127.0.0.1:');
    expect(limping.get('mongodb.write')?.level).not.toBe('problem');

    await other?.kill();
    await eventually(
      async () => (await doctor(set.uri)).get('mongodb.topology')?.level === 'problem',
      30_000,
    );
    const found = await doctor(set.uri);
    expect(found.get('mongodb.topology')?.message).toContain('no primary');
    expect(found.get('mongodb.version')?.level).toBe('ok');
    expect(found.get('redis.reachable')?.level).toBe('ok');
    expect(found.get('workers.alive')?.level).toBe('unknown');
  });

  it('tells a majority write that does not end, in time', async () => {
    const set = await startSet('two', 2, { parameters: ['enableTestCommands=1'] });
    const primary = await set.primary();
    const other = set.members.find((member) => member !== primary);
    // It is there, and takes nothing over any more.
    await other?.command({ configureFailPoint: 'stopReplProducer', mode: 'alwaysOn' });
    const found = await doctor(set.uri);
    expect(found.get('mongodb.write')).toMatchObject({ level: 'problem' });
    expect(found.get('mongodb.indexes')?.message).toContain('there are none');
    expect(found.get('redis.write')?.level).toBe('ok');
  });

  it('tells an index that is still being built', async () => {
    const set = await startSet('one', 1, { parameters: ['enableTestCommands=1'] });
    const database = await connectDatabase(set.uri, { appName: 'riposte-test' });
    await database.close();
    const client = new mongoose.mongo.MongoClient(set.uri, { serverSelectionTimeoutMS: SELECT_WITHIN_MS });
    const [actions, admin] = [client.db('test').collection('actions'), client.db('admin')];
    const failPoint = (mode: string) =>
      admin.command({ configureFailPoint: 'hangAfterStartingIndexBuild', mode });
    // A build of nothing is done at once.
    await actions.insertOne({ instance: 'mock' });
    await actions.dropIndex('instance_1_status_1');
    await failPoint('alwaysOn');
    const built = actions.createIndex(
      { instance: 1, status: 1 },
      { partialFilterExpression: { status: 'NotStarted' } },
    );
    const found = await eventually(async () => {
      const seen = (await doctor(set.uri)).get('mongodb.indexes');
      return seen?.level === 'warning' ? seen : null;
    }, 30_000);
    expect(found.message).toBe('being built: actions.instance_1_status_1');
    await failPoint('off');
    await built;
    expect((await doctor(set.uri)).get('mongodb.indexes')?.level).toBe('ok');
    await client.close();
  });
});

describe('riposte doctor on a vendor that does not answer', () => {
  it('tells so when its time is over, and all else', async () => {
    const vendor = createServer(() => undefined);
    await new Promise<void>((resolve) => void vendor.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => vendor.close().closeAllConnections());
    const { port } = vendor.address() as AddressInfo;
    const hanging = {
      id: 'mock',
      plugin: 'mock',
      settings: { baseUrl: `http://127.0.0.1:${port}` },
      network: { allow: ['127.0.0.0/8'] },
    };
    const found = await doctor(freshDatabaseUri(), [hanging]);
    expect(found.get('providers.instance')?.level).toBe('ok');
    expect(found.get('providers.health')).toMatchObject({
      level: 'problem',
      message: 'The vendor did not answer within 10 s.',
    });
    expect(found.get('mongodb.topology')?.level).toBe('ok');
  });
});
