import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { RedisServer, findRedisServer, freePort, type RedisOptions } from '#embedded-servers';

const silent = (): void => undefined;
let binary: string;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-redis-'));
  binary = await findRedisServer(silent);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function options(name: string): RedisOptions {
  return { binary, dir: path.join(dir, name), report: silent };
}

async function start(name: string): Promise<RedisServer> {
  const server = await RedisServer.start(options(name));
  onTestFinished(() => server.stop());
  return server;
}

function client(server: RedisServer): Redis {
  const redis = new Redis(server.url);
  redis.on('error', silent);
  onTestFinished(() => redis.disconnect());
  return redis;
}

describe('a Redis of our own', () => {
  it('keeps what it was given over a stop, and never evicts', async () => {
    const first = await start('kept');
    await client(first).set('a', '1');
    await first.stop();
    const second = client(await start('kept'));
    expect(await second.get('a')).toBe('1');
    expect(await second.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
    expect(await second.config('GET', 'appendfsync')).toEqual(['appendfsync', 'everysec']);
    expect(await second.config('GET', 'save')).toEqual(['save', '']);
  });

  it('starts from an append-only file whose last write a crash has cut short', async () => {
    const first = await start('cut');
    const redis = client(first);
    await redis.set('whole', '1');
    await redis.set('cut', 'x'.repeat(100));
    await first.stop();
    const file = await appendOnlyFile(path.join(dir, 'cut'));
    await truncate(file, (await stat(file)).size - 20);

    const second = client(await start('cut'));
    expect(await second.get('whole')).toBe('1');
    expect(await second.get('cut')).toBeNull();
  });

  it('serves again at the same address after it was killed, to the same clients', async () => {
    const server = await start('killed');
    const redis = client(server);
    await redis.set('a', '1');
    const { pid, url } = server;
    await server.kill();
    await server.restart();
    expect(server.pid).not.toBe(pid);
    expect(server.url).toBe(url);
    await redis.set('a', '2');
    expect(await redis.get('a')).toBe('2');
  });
});

describe('a redis-server that does not start says why', () => {
  it('when the port it has to have is taken', async () => {
    const port = await freePort();
    const squatter = createServer().listen(port, '127.0.0.1');
    await once(squatter, 'listening');
    onTestFinished(() => void squatter.close());
    await expect(RedisServer.start({ ...options('taken'), port })).rejects.toThrow(
      /redis-server ended with code 1 before it served\. Its port was taken/,
    );
  });

  it('with the end of its log, when its data is damaged', async () => {
    const first = await start('damaged');
    await client(first).set('a', '1');
    await first.stop();
    await writeFile(await appendOnlyFile(path.join(dir, 'damaged')), 'no append-only file\n');
    await expect(RedisServer.start(options('damaged'))).rejects.toThrow(
      /Its data is damaged[\s\S]*damaged\.log\n[\s\S]*append only file/,
    );
  });
});

/** Redis 7 keeps it in a directory, of which the increments hold the newest writes. */
async function appendOnlyFile(data: string): Promise<string> {
  const files = (await readdir(data, { recursive: true })).filter((file) => file.endsWith('.aof'));
  const name = files.find((file) => file.endsWith('.incr.aof')) ?? files[0];
  if (name === undefined) throw new Error(`${data} holds no append-only file`);
  return path.join(data, name);
}
