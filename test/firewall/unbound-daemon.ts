import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Resolver } from 'node:dns/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '#embedded-servers';
import { eventually } from '../support/eventually.js';

const run = promisify(execFile);
const ENV = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };

/** Why there is no Unbound to be tried here; null where there is. Says so loudly. */
export async function whyNoUnbound(): Promise<string | null> {
  try {
    await run('unbound', ['-V'], { env: ENV });
    await run('which', ['unbound-control'], { env: ENV });
    return null;
  } catch (error) {
    const why = `unbound and unbound-control are not to be had (${(error as Error).message.split('\n')[0]})`;
    process.stderr.write(`\n*** SKIPPED: nothing is tried with a real resolver: ${why} ***\n\n`);
    return why;
  }
}

/** What the world answers: every name below `example` is at this address. */
export const WORLD = '203.0.113.80';

/** A resolver, and behind it the world. */
export class UnboundDaemon {
  #child: ChildProcess | null = null;
  #world: ChildProcess | null = null;

  private constructor(
    readonly folder: string,
    readonly port: number,
    readonly worldPort: number,
  ) {}

  static async start(): Promise<UnboundDaemon> {
    const folder = await mkdtemp(path.join(tmpdir(), 'riposte-unbound-'));
    const daemon = new UnboundDaemon(folder, await freePort(), await freePort());
    await writeFile(
      path.join(folder, 'world.conf'),
      daemon.#config(
        daemon.worldPort,
        'world',
        `local-zone: "example." redirect
  local-data: "example. A ${WORLD}"`,
      ),
    );
    await writeFile(
      daemon.config,
      daemon.#config(
        daemon.port,
        'control',
        `do-not-query-localhost: no
  local-zone: "corp.test." static
  local-data: "www.corp.test. A 192.0.2.9"
  local-zone: "ads.example." always_refuse
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@${daemon.worldPort}`,
      ),
    );
    daemon.#world = daemon.#spawn('world.conf');
    await daemon.restart();
    return daemon;
  }

  get config(): string {
    return path.join(this.folder, 'unbound.conf');
  }

  /** As after a reboot: it has forgotten what it was told. */
  async restart(): Promise<void> {
    await this.end();
    this.#child = this.#spawn('unbound.conf');
    await eventually(() => this.control('status'));
    await eventually(async () => (await this.answers('www.example')).includes(WORLD));
  }

  async end(): Promise<void> {
    await ended(this.#child);
    this.#child = null;
  }

  async stop(): Promise<void> {
    await this.end();
    await ended(this.#world);
    await rm(this.folder, { recursive: true });
  }

  async control(...command: readonly string[]): Promise<string> {
    const { stdout } = await run('unbound-control', ['-c', this.config, ...command], { env: ENV });
    return stdout;
  }

  /** Addresses of a name; or the resolver's refusal, as `ENOTFOUND`. */
  async answers(name: string, type: 'A' | 'AAAA' = 'A'): Promise<readonly string[] | string> {
    const resolver = new Resolver({ timeout: 2000, tries: 2 });
    resolver.setServers([`127.0.0.1:${this.port}`]);
    try {
      return type === 'A' ? await resolver.resolve4(name) : await resolver.resolve6(name);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? 'no code';
    }
  }

  /** `unbound-control` as a program that notes which zones each command made and took away. */
  async watched(): Promise<{
    readonly path: string;
    readonly effects: () => Promise<readonly { readonly what: 'did' | 'undid'; readonly target: string }[]>;
    readonly forget: () => Promise<void>;
  }> {
    const [script, log] = [path.join(this.folder, 'watched'), path.join(this.folder, 'effects')];
    const list = `unbound-control -c ${this.config} list_local_zones | sort`;
    await writeFile(
      script,
      `#!/bin/sh
case "$*" in
*" local_zones" | *" local_zones_remove")
  ${list} > ${log}.$$.before
  unbound-control "$@"
  code=$?
  ${list} > ${log}.$$.after
  comm -13 ${log}.$$.before ${log}.$$.after | sed 's/^/did /' >> ${log}
  comm -23 ${log}.$$.before ${log}.$$.after | sed 's/^/undid /' >> ${log}
  exit $code ;;
*) exec unbound-control "$@" ;;
esac
`,
      { mode: 0o755 },
    );
    return {
      path: script,
      effects: async () =>
        (await readFile(log, 'utf8'))
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => ({
            what: line.startsWith('did ') ? ('did' as const) : ('undid' as const),
            target: line.replace(/^\w+ /, ''),
          })),
      forget: () => writeFile(log, ''),
    };
  }

  #spawn(config: string): ChildProcess {
    return spawn('unbound', ['-d', '-c', path.join(this.folder, config)], { env: ENV, stdio: 'ignore' });
  }

  #config(port: number, socket: string, server: string): string {
    return `server:
  directory: "${this.folder}"
  username: ""
  chroot: ""
  pidfile: "${this.folder}/${socket}.pid"
  interface: 127.0.0.1@${port}
  use-syslog: no
  num-threads: 1
  module-config: "iterator"
  ${server}
remote-control:
  control-enable: yes
  control-interface: ${this.folder}/${socket}.sock
  control-use-cert: no
`;
  }
}

async function ended(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
