import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { eventually } from '../support/eventually.js';

const run = promisify(execFile);
const SYSTEM_PATH = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };

/**
 * Why packets cannot be filtered for real here; null where they can. Says so loudly: who reads the result of a run should
 * know what it did not try.
 */
export async function whyNoPackets(): Promise<string | null> {
  const why = await reasonAgainst();
  if (why !== null) process.stderr.write(`\n*** SKIPPED: nothing is tried with real packets: ${why} ***\n\n`);
  return why;
}

async function reasonAgainst(): Promise<string | null> {
  if (process.env['CI'] !== undefined) return 'never in CI';
  if (process.getuid?.() !== 0) return 'the tests do not run as root';
  try {
    await system('nft', '--version');
    const name = `riposte-try-${randomBytes(3).toString('hex')}`;
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

/** Runs a program to its good end, and gives what it said. */
async function system(file: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(file, args, { env: SYSTEM_PATH });
  return stdout;
}

/** Echoes what it gets, on port 8080 of all addresses. */
const ECHO = `require('net').createServer((s) => { s.on('error', () => {}); s.pipe(s); }).listen(8080, '::', () => console.log('listening'))`;
/** Says `echo` whenever a byte came back of those that it sends all the time. */
const TALK = `const [, to, from] = process.argv; const s = require('net').connect({ host: to, port: 8080, localAddress: from });
s.on('error', () => process.exit(1)); s.on('data', () => console.log('echo')); s.on('connect', () => setInterval(() => s.write('.'), 50))`;
/** Ends with 0 when a byte came back, with 1 when it was refused, and with 2 when nothing came within 1 s. */
const TRY = `const [, to, from] = process.argv; const s = require('net').connect({ host: to, port: 8080, localAddress: from });
s.on('error', () => process.exit(1)); s.on('data', () => process.exit(0)); s.on('connect', () => s.write('.')); setTimeout(() => process.exit(2), 1000)`;

export const CLIENT = '198.51.100.2';
export const OTHER_CLIENT = '198.51.100.3';
export const CLIENT_V6 = '2001:db8:77::2';
export const GATEWAY = '198.51.100.1';
export const GATEWAY_V6 = '2001:db8:77::1';
export const SERVER = '203.0.113.2';

/** Three machines: clients, a gateway, and a server behind it. Each echoes on port 8080. */
export class Network {
  readonly #children: ChildProcess[] = [];

  private constructor(
    readonly client: string,
    readonly gateway: string,
    readonly server: string,
  ) {}

  static async start(): Promise<Network> {
    const id = randomBytes(3).toString('hex');
    const network = new Network(`riposte-${id}-c`, `riposte-${id}-g`, `riposte-${id}-s`);
    const { client, gateway, server } = network;
    for (const name of [client, gateway, server]) {
      await system('ip', 'netns', 'add', name);
      await network.ip(name, 'link', 'set', 'lo', 'up');
    }
    await network.ip(client, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'c0', 'netns', gateway);
    await network.ip(server, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 's0', 'netns', gateway);
    const addresses = [
      [client, 'up0', `${CLIENT}/24`],
      [client, 'up0', `${OTHER_CLIENT}/24`],
      [client, 'up0', `${CLIENT_V6}/64`],
      [gateway, 'c0', `${GATEWAY}/24`],
      [gateway, 'c0', `${GATEWAY_V6}/64`],
      [gateway, 's0', '203.0.113.1/24'],
      [server, 'up0', `${SERVER}/24`],
    ] as const;
    for (const [name, device, address] of addresses) {
      const isNew = address.includes(':') ? ['nodad'] : [];
      await network.ip(name, 'addr', 'add', address, 'dev', device, ...isNew);
      await network.ip(name, 'link', 'set', device, 'up');
    }
    await network.ip(client, 'route', 'add', 'default', 'via', GATEWAY);
    await network.ip(server, 'route', 'add', 'default', 'via', '203.0.113.1');
    await system('ip', 'netns', 'exec', gateway, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    for (const name of [client, gateway, server]) await once(network.node(name, ECHO).stdout, 'data');
    return network;
  }

  async stop(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const name of [this.client, this.gateway, this.server])
      await system('ip', 'netns', 'del', name).catch(() => undefined);
  }

  ip(namespace: string, ...args: readonly string[]): Promise<string> {
    return system('ip', '-n', namespace, ...args);
  }

  /** `nft` on the gateway. */
  nft(...args: readonly string[]): Promise<string> {
    return system('ip', 'netns', 'exec', this.gateway, 'nft', ...args);
  }

  /** Whether a byte goes there and comes back. */
  async reaches(
    to: string,
    from: { readonly address: string; readonly namespace?: string } = { address: CLIENT },
  ): Promise<boolean> {
    const child = this.node(from.namespace ?? this.client, TRY, to, from.address);
    const [code] = (await once(child, 'exit')) as [number | null];
    return code === 0;
  }

  /** A connection that is used all the time; counts the bytes that came back. */
  talk(to: string): { readonly echoes: () => number } {
    let echoes = 0;
    const child = this.node(this.client, TALK, to, CLIENT);
    child.stdout.on('data', (text: Buffer) => (echoes += text.toString().split('\n').length - 1));
    return { echoes: () => echoes };
  }

  /** A program of Node in a namespace. */
  node(namespace: string, program: string, ...args: readonly string[]) {
    return this.spawn(namespace, process.execPath, '-e', program, ...args);
  }

  /** A program in a namespace, ended with the network at the latest. */
  spawn(namespace: string, ...command: readonly string[]) {
    const child = spawn('ip', ['netns', 'exec', namespace, ...command], {
      env: SYSTEM_PATH,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#children.push(child);
    return child;
  }
}

/** What one transaction changed in the sets, on the whole. */
interface SetChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** Watches what is changed in the sets of the gateway, as the kernel tells it. */
export class SetWatch {
  readonly #network: Network;
  #changes: SetChange[] = [];
  /** By value, whether it was there before the transaction under way, and whether it is now. */
  #current = new Map<string, { readonly before: boolean; now: boolean }>();
  readonly #seen = new Set<string>();
  #rest = '';

  private constructor(network: Network) {
    this.#network = network;
    const monitor = network.spawn(network.gateway, 'nft', 'monitor');
    monitor.stdout.on('data', (text: Buffer) => {
      const lines = `${this.#rest}${text.toString()}`.split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#hear(line);
    });
  }

  static async start(network: Network): Promise<SetWatch> {
    const watch = new SetWatch(network);
    await watch.changes();
    return watch;
  }

  /** Transactions that changed a set since it was last forgotten. */
  async changes(): Promise<readonly SetChange[]> {
    await eventually(async () => {
      const mark = `mark_${randomBytes(4).toString('hex')}`;
      await this.#network.nft('add', 'table', 'inet', mark);
      await this.#network.nft('delete', 'table', 'inet', mark);
      await sleep(10);
      return this.#seen.has(mark);
    });
    return this.#changes;
  }

  async forget(): Promise<void> {
    await this.changes();
    this.#changes = [];
  }

  #hear(line: string): void {
    const mark = /^delete table inet (mark_\w+)/.exec(line)?.[1];
    if (mark !== undefined) this.#seen.add(mark);
    const [, verb, value] = /^(add|delete) element inet \S+ \S+ \{ (\S+)/.exec(line) ?? [];
    if (value !== undefined) {
      const now = verb === 'add';
      const known = this.#current.get(value);
      if (known === undefined) this.#current.set(value, { before: !now, now });
      else known.now = now;
    }
    if (!line.startsWith('# new generation')) return;
    const all = [...this.#current];
    const added = all.flatMap(([of, { before, now }]) => (!before && now ? [of] : []));
    const removed = all.flatMap(([of, { before, now }]) => (before && !now ? [of] : []));
    if (added.length + removed.length > 0) this.#changes.push({ added, removed });
    this.#current = new Map();
  }
}
