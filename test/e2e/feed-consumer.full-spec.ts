import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../support/client.js';
import { TENANT_A } from '../support/database.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';

/** A gateway that fetches the feed by the script of the documentation, with real packets in network namespaces. */

const run = promisify(execFile);
const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
const system = async (file: string, ...args: readonly string[]): Promise<string> =>
  (await run(file, args, { env })).stdout;

/** Why there are no packets to be had; null where there are. */
async function whyNot(): Promise<string | null> {
  if (process.env['CI'] !== undefined) return 'never in CI';
  if (process.getuid?.() !== 0) return 'the tests do not run as root';
  const name = `riposte-try-${randomBytes(3).toString('hex')}`;
  try {
    await Promise.all([system('nft', '--version'), system('curl', '--version')]);
    await system('ip', 'netns', 'add', name);
    try {
      await system('ip', 'netns', 'exec', name, 'nft', 'list', 'ruleset');
    } finally {
      await system('ip', 'netns', 'del', name);
    }
    return null;
  } catch (error) {
    return `network namespaces with nftables are not to be had (${(error as Error).message.split('\n')[0]})`;
  }
}

const why = await whyNot();
if (why !== null)
  process.stderr.write(`\n*** SKIPPED: no firewall fetches the feed for real: ${why} ***\n\n`);

const PASSWORD = 'password-of-the-feed-of-the-test';
const GATEWAY = '198.51.100.1';
const CLIENT = '198.51.100.2';
const OTHER_CLIENT = '198.51.100.3';
const LISTEN = `require('net').createServer((s) => s.end('.')).listen(8080, '${GATEWAY}', () => console.log('listening'))`;
const TRY = `const [, from] = process.argv; const s = require('net').connect({ host: '${GATEWAY}', port: 8080, localAddress: from });
s.on('error', () => process.exit(1)); s.on('data', () => process.exit(0)); setTimeout(() => process.exit(2), 1500)`;

describe.skipIf(why !== null)('a gateway that fetches the feed', () => {
  const mark = randomBytes(3).toString('hex');
  const [gateway, clients] = [`riposte-${mark}-g`, `riposte-${mark}-c`];
  let dir: string;
  let stack: Stack;
  let client: Client;
  let server: ChildProcess;

  beforeAll(async () => {
    for (const name of [gateway, clients]) await system('ip', 'netns', 'add', name);
    await system(
      'ip',
      '-n',
      clients,
      'link',
      'add',
      'up0',
      'type',
      'veth',
      'peer',
      'name',
      'c0',
      'netns',
      gateway,
    );
    for (const [name, device, address] of [
      [gateway, 'c0', GATEWAY],
      [clients, 'up0', CLIENT],
      [clients, 'up0', OTHER_CLIENT],
    ] as const) {
      await system('ip', '-n', name, 'addr', 'add', `${address}/24`, 'dev', device);
      await system('ip', '-n', name, 'link', 'set', device, 'up');
    }
    server = spawn('ip', ['netns', 'exec', gateway, process.execPath, '-e', LISTEN], {
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(server.stdout as NodeJS.ReadableStream, 'data');
    dir = await mkdtemp(path.join(tmpdir(), 'riposte-gateway-'));
    await writeFile(path.join(dir, 'netrc'), `machine 127.0.0.1 login gateway password ${PASSWORD}\n`, {
      mode: 0o600,
    });
    stack = await Stack.start({
      config: `
providers:
  - { id: feed, plugin: feed, tenants: ['${TENANT_A}'], secrets: { feedPassword: 'env:FEED' } }
`,
      env: { FEED: PASSWORD },
    });
    client = await stack.client();
  });
  afterAll(async () => {
    server.kill('SIGKILL');
    for (const name of [gateway, clients]) await system('ip', 'netns', 'del', name).catch(() => undefined);
    await stack.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const load = async (): Promise<boolean> =>
    run(
      path.join(PROJECT_DIR, 'docs/examples/feed/nftables-feed.sh'),
      [`${stack.baseUrl}/feeds/${TENANT_A}/ip.txt`],
      {
        env: {
          ...env,
          NETRC: path.join(dir, 'netrc'),
          STATE_DIR: path.join(dir, 'state'),
          NFT: `ip netns exec ${gateway} nft`,
        },
      },
    ).then(
      () => true,
      () => false,
    );
  const reaches = async (from: string): Promise<boolean> =>
    run('ip', ['netns', 'exec', clients, process.execPath, '-e', TRY, from], { env }).then(
      () => true,
      () => false,
    );
  const block = async (value: string): Promise<string> => {
    const { body } = await client.post({
      name: 'BlockIp',
      actionReason: 'Test',
      parameters: [{ name: 'IP', value }],
      vendorInformation: { vendor: 'Riposte', provider: 'Feed' },
    });
    expect(await client.ended(body.id)).toMatchObject({ status: 'Completed' });
    return body.id;
  };

  it('drops what is blocked, lets the others through, and lets go what is not blocked any more', async () => {
    expect(await load()).toBe(true);
    expect(await reaches(CLIENT)).toBe(true);
    const id = await block(CLIENT);
    // A network over it, and another family: the list is loaded as it comes.
    await block('198.51.100.128/25');
    await block('2001:db8::/64');
    expect(await load()).toBe(true);
    expect(await reaches(CLIENT)).toBe(false);
    expect(await reaches(OTHER_CLIENT)).toBe(true);

    // Nothing is new.
    expect(await load()).toBe(true);
    expect(await reaches(CLIENT)).toBe(false);

    // The gateway was restarted, and its sets are gone.
    await system('ip', 'netns', 'exec', gateway, 'nft', 'flush', 'ruleset');
    expect(await load()).toBe(true);
    expect(await reaches(CLIENT)).toBe(false);

    const { body } = await client.request<{ id: string }>('POST', `/api/v1/actions/${id}/revert`);
    expect(await client.ended(body.id)).toMatchObject({ status: 'Completed' });
    expect(await load()).toBe(true);
    expect(await reaches(CLIENT)).toBe(true);
  });

  it('keeps what it has while nobody serves the feed', async () => {
    await block(CLIENT);
    expect(await load()).toBe(true);
    await stack.api.end();
    expect(await load()).toBe(false);
    expect(await reaches(CLIENT)).toBe(false);
  });
});
