import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '#embedded-servers';
import type { Measurement } from '../findings.js';
import type { Section } from '../section.js';
import { cpuMs, residentMiB } from '../usage.js';
import { PROJECT_DIR } from '../../support/project-dir.js';

const SUBJECT = 'riposte';
const READY = 'Riposte is ready.';
const READY_WITHIN_MS = 120_000;
/** Milliseconds after it is ready until it counts as idle: what a start leaves to do is done. */
const SETTLED_AFTER_MS = 3000;
const MIB = 1024 * 1024;

/** By what stands in its command line. */
const PROCESSES: Readonly<Record<string, RegExp>> = {
  API: /dist\/apps\/api\/main\.js/,
  worker: /dist\/apps\/worker\/main\.js/,
  mongod: /^\S*mongod\0/,
  'redis-server': /^\S*(redis|valkey)-server/,
  launcher: /apps\/launcher\/start\.mjs/,
};

/** `npm start` on data that is there: until it is ready, what it uses while nothing is asked, and what is installed. */
export const start: Section = async ({ rounds, seconds }, say) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'riposte-bench-start-'));
  const measurements: Measurement[] = [];
  const note = (load: string, round: number, figures: Measurement['figures']): void =>
    void measurements.push({ load, subject: SUBJECT, round, figures });
  try {
    // The first makes the data directory.
    await (await Started.begin(dir)).stop();
    for (let round = 0; round < rounds; round += 1) {
      const begunAt = performance.now();
      const started = await Started.begin(dir);
      try {
        const readyMs = performance.now() - begunAt;
        note('warm npm start', round, { readyMs });
        say(`round ${round + 1}, warm npm start: ready after ${readyMs.toFixed(0)} ms`);
        await sleep(SETTLED_AFTER_MS);
        for (const [name, figures] of await idle(started.pids(), seconds))
          note(`idle: ${name}`, round, figures);
      } finally {
        await started.stop();
      }
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  for (const [name, figures] of Object.entries(installation())) note(name, 0, figures);
  return {
    title: 'Start, rest and size',
    note: 'npm start on an existing data directory; its processes while nothing is asked of them; what a production installation holds.',
    measurements,
    comparisons: [],
    charts: ['readyMs', 'cpuPercent', 'mib'],
  };
};

/** `npm start`, as a user runs it. */
class Started {
  readonly #child: ChildProcess;
  readonly #kill: () => void;

  private constructor(child: ChildProcess) {
    this.#child = child;
    // It is no child that ends with its parent.
    this.#kill = () => child.kill('SIGTERM');
    process.on('exit', this.#kill);
  }

  /** @throws Error with what it printed when it ends, or is not ready in two minutes */
  static async begin(dataDir: string): Promise<Started> {
    const { MONGODB_URI: _mongo, REDIS_URL: _redis, RIPOSTE_CONFIG: _config, ...env } = process.env;
    const child = spawn('npm', ['start'], {
      cwd: PROJECT_DIR,
      env: { ...env, PORT: String(await freePort()), HOST: '127.0.0.1', RIPOSTE_DATA_DIR: dataDir },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const started = new Started(child);
    let output = '';
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`npm start is not ready:\n${output}`)),
          READY_WITHIN_MS,
        );
        child.once('exit', () => reject(new Error(`npm start ended:\n${output}`)));
        for (const stream of [child.stdout, child.stderr])
          stream.on('data', (data: Buffer) => {
            output += data.toString();
            if (!output.includes(READY)) return;
            clearTimeout(timer);
            resolve();
          });
      });
      return started;
    } catch (error) {
      await started.stop();
      throw error;
    }
  }

  /** Its processes by name. */
  pids(): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    for (const pid of descendantsOf(this.#child.pid ?? 0)) {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      const name = Object.keys(PROCESSES).find((one) => PROCESSES[one]?.test(command));
      if (name !== undefined) found.set(name, pid);
    }
    return found;
  }

  async stop(): Promise<void> {
    process.off('exit', this.#kill);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exit;
  }
}

async function idle(
  pids: ReadonlyMap<string, number>,
  seconds: number,
): Promise<readonly (readonly [string, Measurement['figures']])[]> {
  const before = new Map([...pids.values()].map((pid) => [pid, cpuMs(pid)]));
  const startedAt = performance.now();
  await sleep(seconds * 1000);
  const elapsedMs = performance.now() - startedAt;
  return [...pids].map(([name, pid]) => [
    name,
    { cpuPercent: ((cpuMs(pid) - (before.get(pid) ?? 0)) / elapsedMs) * 100, mib: residentMiB(pid) },
  ]);
}

function descendantsOf(root: number): readonly number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8').replace(/^.*\) /s, '');
        return [{ pid: Number(name), parent: Number(stat.split(' ')[1]) }];
      } catch {
        // It has just ended.
        return [];
      }
    });
  const of = (parent: number): readonly number[] =>
    parents.flatMap((one) => (one.parent === parent ? [one.pid, ...of(one.pid)] : []));
  return [root, ...of(root)];
}

/** What a production installation holds, as the Dockerfile makes it, without Node itself. */
function installation(): Readonly<Record<string, Measurement['figures']>> {
  const lock = JSON.parse(readFileSync(path.join(PROJECT_DIR, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<
      Record<string, { readonly dev?: boolean; readonly dependencies?: Readonly<Record<string, string>> }>
    >;
  };
  const packages = Object.keys(lock.packages).filter(
    // Optional ones for other machines are not there.
    (name) => name !== '' && lock.packages[name]?.dev !== true && existsSync(path.join(PROJECT_DIR, name)),
  );
  const bytesOf = (folder: string): number =>
    readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
      const file = path.join(folder, entry.name);
      // A package in a package counts by itself.
      if (entry.isDirectory()) return entry.name === 'node_modules' ? sum : sum + bytesOf(file);
      return entry.isFile() && !entry.name.endsWith('.map') ? sum + statSync(file).size : sum;
    }, 0);
  const sum = (folders: readonly string[]): number =>
    folders.reduce((total, folder) => total + bytesOf(path.join(PROJECT_DIR, folder)), 0) / MIB;
  return {
    'installed: production node_modules': { mib: sum(packages), packages: packages.length },
    'installed: dist': { mib: sum(['dist/apps', 'dist/libs', 'dist/plugins']) },
    'declared: dependencies': { packages: Object.keys(lock.packages['']?.dependencies ?? {}).length },
  };
}
