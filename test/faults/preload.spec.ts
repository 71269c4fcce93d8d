import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connectDatabase } from '#persistence';
import { TENANT_A, freshDatabaseUri, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';

/** As a process of the product gets it: compiled, and loaded before everything else. */

const PRELOAD = pathToFileURL(path.resolve(import.meta.dirname, '../../dist/test/faults/preload.js')).href;

function processOf(script: string, env: Readonly<Record<string, string>> = {}): ChildProcess {
  const child = spawn(process.execPath, ['--import', PRELOAD, '--input-type=module', '-e', script], {
    cwd: path.resolve(import.meta.dirname, '../..'),
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function told(child: ChildProcess): Promise<unknown> {
  const [message] = (await once(child, 'message')) as [unknown];
  return message;
}

/** A server that greets with its name, on a port of its own. */
async function greeter(name: string, protocol: 'text' | 'http'): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (protocol === 'text') socket.end(name);
    else
      socket.once('data', () =>
        socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${name.length}\r\nconnection: close\r\n\r\n${name}`),
      );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe('a rerouted connection', () => {
  it.each([
    ['net.connect with options', "net.connect({ port, host: '127.0.0.1' })"],
    ['net.connect with arguments', "net.connect(port, 'localhost')"],
    ['net.connect with a port alone', 'net.connect(port)'],
    ['a socket of its own', "new net.Socket().connect(port, '127.0.0.1', () => undefined)"],
    ['a socket with options', "new net.Socket().connect({ port, host: 'localhost' })"],
  ])('%s ends at the other port', async (_how, expression) => {
    const [real, proxy] = [await greeter('real', 'text'), await greeter('proxy', 'text')];
    const child = processOf(
      `import net from 'node:net'; import { text } from 'node:stream/consumers';
       const port = ${real}; process.send(await text(${expression}));`,
      { FAULTS_REROUTE: JSON.stringify({ [real]: proxy }) },
    );
    expect(await told(child)).toBe('proxy');
  });

  it('of undici, fetch and ioredis ends there, and of another port does not', async () => {
    const [real, proxy, other] = [
      await greeter('real', 'http'),
      await greeter('proxy', 'http'),
      await greeter('other', 'http'),
    ];
    const child = processOf(
      `import { request } from 'undici'; import { Redis } from 'ioredis';
       const url = (port) => 'http://127.0.0.1:' + port + '/';
       const redis = new Redis(url(${real}), { lazyConnect: true, retryStrategy: () => null });
       redis.on('error', () => undefined);
       await redis.connect().catch(() => undefined);
       process.send([
         await (await request(url(${real}))).body.text(),
         await (await fetch(url(${real}))).text(),
         await (await fetch(url(${other}))).text(),
       ]);`,
      { FAULTS_REROUTE: JSON.stringify({ [real]: proxy }) },
    );
    expect(await told(child)).toEqual(['proxy', 'proxy', 'other']);
  });
});

describe('a clock that is wrong', () => {
  const facts = `({
    now: Date.now(), made: new Date().getTime(), called: Date.parse(Date()), performance: performance.timeOrigin + performance.now(),
    given: new Date(0).toISOString(), parts: new Date(2020, 0, 2).getDate(), utc: Date.UTC(2020, 0), parsed: Date.parse('2020-01-01T00:00:00Z'),
    isDate: new Date() instanceof Date, constructor: new Date().constructor === Date, sub: new (class extends Date {})() instanceof Date,
  })`;

  it('shows in Date alone, which is otherwise as it was', async () => {
    const child = processOf(`process.send(${facts})`, { FAULTS_SKEW_MS: '300000' });
    const seen = (await told(child)) as Record<'now' | 'made' | 'called' | 'performance', number>;
    expect(seen).toMatchObject({
      given: '1970-01-01T00:00:00.000Z',
      parts: 2,
      utc: Date.UTC(2020, 0),
      parsed: Date.UTC(2020, 0),
      isDate: true,
      constructor: true,
      sub: true,
    });
    for (const time of [seen.now, seen.made, seen.called])
      expect(Math.abs(time - seen.performance - 300_000)).toBeLessThan(60_000);
  });

  it('is set by message, also back', async () => {
    const child = processOf(
      `process.on('message', ({ ask }) => ask && process.send(Date.now() - performance.timeOrigin - performance.now()));
       process.send('ready');`,
    );
    expect(await told(child)).toBe('ready');
    for (const skewMs of [-300_000, 0]) {
      child.send({ faults: { skewMs } });
      child.send({ ask: true });
      expect(Math.abs(Number(await told(child)) - skewMs)).toBeLessThan(60_000);
    }
  });
});

describe('a blocked event loop', () => {
  it('does nothing else for as long as it was told', async () => {
    const child = processOf(
      `let last = performance.now(); let longest = 0;
       setInterval(() => { longest = Math.max(longest, performance.now() - last); last = performance.now(); if (longest > 400) process.send(longest); }, 10);
       process.send('ready');`,
    );
    await told(child);
    child.send({ faults: { blockMs: 500 } });
    expect(await told(child)).toBeGreaterThan(400);
  });

  it('stands between a claim and its intent', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'riposte-preload-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    const [untilFile, idFile] = [path.join(dir, 'go'), path.join(dir, 'id')];
    const uri = freshDatabaseUri();
    const database = await connectDatabase(uri, { appName: 'riposte-test' });
    onTestFinished(() => database.close());
    const { actions } = database;
    const { id } = await actions.create(newAction({ idempotency: 'none' }));
    const child = processOf(
      `import { connectDatabase } from '#persistence';
       const database = await connectDatabase(${JSON.stringify(uri)}, { appName: 'riposte-test' });
       process.on('message', async ({ id }) => {
         if (id === undefined) return;
         const { claim } = await database.actions.claim(id, 'one', 60_000, '1.0.0');
         await database.actions.recordIntent(claim.lease, '1.0.0');
         await database.close();
         process.exit(0);
       });
       process.send('ready');`,
    );
    await told(child);
    child.send({ faults: { blockBeforeIntent: { untilFile, idFile, mostMs: 10_000 } } });
    child.send({ id });
    const found = await eventually(() => readFile(idFile, 'utf8').catch(() => null));
    expect(found).toBe(id.replaceAll('-', ''));
    expect(await actions.find(TENANT_A, id)).toMatchObject({ status: 'Running', epoch: 1, intent: null });
    const ended = once(child, 'exit');
    await writeFile(untilFile, '');
    expect(await ended).toEqual([0, null]);
    expect(await actions.find(TENANT_A, id)).toMatchObject({ intent: { epoch: 1 } });
  });
});

describe('a process that was preloaded', () => {
  it('ends when it has nothing more to do', async () => {
    const child = processOf(`process.send('ready')`);
    const ended = once(child, 'exit');
    await told(child);
    expect(await ended).toEqual([0, null]);
  });

  it('hears that its supervisor is gone', async () => {
    const child = processOf(
      `setInterval(() => undefined, 1000); process.on('disconnect', () => process.exit(7)); process.send('ready');`,
    );
    await told(child);
    const ended = once(child, 'exit');
    child.disconnect();
    expect(await ended).toEqual([7, null]);
  });
});
