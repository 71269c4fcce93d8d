import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { MongoServer, findMongod, portIsFree, type MongoOptions } from '#embedded-servers';

const { MongoClient } = mongoose.mongo;
const silent = (): void => undefined;
let binary: string;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-mongo-'));
  binary = await findMongod(silent);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function options(name: string): MongoOptions {
  return { binary, dbPath: path.join(dir, name), cacheSizeGB: 0.25, report: silent };
}

async function start(name: string): Promise<MongoServer> {
  const server = await MongoServer.start(options(name));
  onTestFinished(() => server.stop());
  return server;
}

/** The collection of the test, at this address. */
function things(uri: string): mongoose.mongo.Collection<{ n: number }> {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 15_000 });
  onTestFinished(() => client.close());
  return client.db('test').collection('things');
}

const majority = { writeConcern: { w: 'majority' } } as const;

describe('a replica set of one', () => {
  it('takes majority writes at once, and keeps port and data over a restart', async () => {
    const first = await start('kept');
    await things(first.uri).insertOne({ n: 1 }, majority);
    await first.stop();
    expect(await portIsFree('127.0.0.1', first.port)).toBe(true);

    const second = await start('kept');
    expect(second.port).toBe(first.port);
    await things(second.uri).insertOne({ n: 2 }, majority);
    expect(await things(second.uri).countDocuments()).toBe(2);
  });

  it('runs no JavaScript', async () => {
    const { uri } = await start('scriptless');
    await expect(things(uri).find({ $where: 'true' }).toArray()).rejects.toThrow(/script|javascript/i);
  });

  it('keeps its data when its port is taken and it has to move to another', async () => {
    const first = await start('moved');
    await things(first.uri).insertOne({ n: 1 }, majority);
    await first.kill();
    const squatter = createServer((connection) => connection.destroy()).listen(first.port, '127.0.0.1');
    await once(squatter, 'listening');
    onTestFinished(() => void squatter.close());

    const second = await start('moved');
    expect(second.port).not.toBe(first.port);
    expect(second.uri).toContain('replicaSet=');
    expect(second.uri).not.toContain('directConnection');
    await things(second.uri).insertOne({ n: 2 }, majority);
    expect(await things(second.uri).countDocuments()).toBe(2);
  });

  it('starts again on the same port after a crash, and its clients go on', async () => {
    const server = await start('crashed');
    const collection = things(server.uri);
    await collection.insertOne({ n: 1 }, majority);
    const { pid } = server;
    await server.kill();
    await server.restart();
    expect(server.pid).not.toBe(pid);
    await collection.insertOne({ n: 2 }, majority);
    expect(await collection.countDocuments()).toBe(2);
  });
});

describe('a mongod that does not start says why', () => {
  it('with the end of its log, when its data is damaged', async () => {
    await mkdir(path.join(dir, 'damaged'));
    for (const file of ['WiredTiger', 'WiredTiger.turtle'])
      await writeFile(path.join(dir, 'damaged', file), 'no database');
    const error = await failure(MongoServer.start(options('damaged')));
    expect(error.message).toMatch(/mongod ended with code \d+ before it served\..*(damaged|another version)/);
    const log = path.join(dir, 'damaged.log');
    expect(error.message).toContain(log);
    const last = (await readFile(log, 'utf8')).trimEnd().split('\n').at(-1) ?? 'none';
    expect(error.message).toContain(last);
  });

  it('when another one works on its data', async () => {
    await start('shared');
    // The port that is remembered is taken, by the other one.
    expect((await failure(MongoServer.start(options('shared')))).message).toContain(
      'Another mongod runs on the same data directory.',
    );
  });

  it('when its directory cannot be made', async () => {
    await writeFile(path.join(dir, 'a-file'), '');
    expect((await failure(MongoServer.start(options('a-file/data')))).message).toMatch(
      /a-file.*ENOTDIR|EEXIST/,
    );
  });

  it('when the program cannot be run at all', async () => {
    const error = await failure(
      MongoServer.start({ ...options('no-program'), binary: path.join(dir, 'nowhere', 'mongod') }),
    );
    expect(error.message).toMatch(/ended with code 127 .*\n[\s\S]*not found/);
  });
});

async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}
