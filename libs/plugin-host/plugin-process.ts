import { spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Duplex, Readable } from 'node:stream';
import path from 'node:path';
import { PluginDefect, ProviderError, StopRequested, compileSchema } from '#provider-sdk';
import { withoutSecrets, type Logger } from '#telemetry';
import { PRODUCT, type StagedPackage } from './plugin-package.js';
import {
  MESSAGE_LIMIT,
  errorOf,
  fromChild,
  lineSplitter,
  type CallFacts,
  type FromChild,
  type ToChild,
} from './protocol.js';

/** Milliseconds to load and describe itself. */
const READY_WITHIN_MS = 30_000;
/** Milliseconds an aborted call may go on: as long as the engine waits for it. */
const ABORTED_FOR_MS = 2000;
const MESSAGES_PER_SECOND = 5000;
/** Questions of one call that wait for the host at a time. */
const ASKS_AT_A_TIME = 100;
const LOG_LINES_PER_SECOND = 50;
const LOG_LINE_CHARS = 4000;
const SECRETS_KEPT = 2000;
const MEMORY_CHECK_MS = 250;
/** Beside the heap: code, buffers, the runtime itself. In MiB. */
const BESIDE_THE_HEAP = 128;
const PAGE_BYTES = 4096;

export interface PluginProcessOptions {
  readonly name: string;
  readonly staged: StagedPackage;
  /** MiB of heap. */
  readonly memoryMb: number;
  readonly log: Logger;
  /** Milliseconds between pings, and after which an unanswered one ends the process. */
  readonly pingMs: number;
  readonly hungAfterMs: number;
}

/** What a plugin says of itself. Nothing of it has been checked but its form. */
export interface Description {
  readonly manifest: unknown;
  readonly calls: readonly string[];
}

/** What a call may ask of the host. */
export interface CallHooks {
  /**
   * @param ask the question's number, unless the plugin is hostile another one each time
   * @returns for a `spend`, what is to be sent along where the request is watched; else null
   */
  readonly ask: (
    what: 'saveOperation' | 'heartbeat' | 'spend',
    value: unknown,
    ask: number,
  ) => Promise<Readonly<Record<string, string>> | null>;
  /** How a watched request ended that was spent for by question `ask`. */
  readonly ended: (
    answer: Pick<Extract<FromChild, { type: 'ended' }>, 'ask' | 'status' | 'errorType'>,
  ) => void;
  readonly log: (level: 'info' | 'warn', facts: Readonly<Record<string, unknown>>, event: string) => void;
  readonly signal: AbortSignal;
  readonly hidden: readonly string[];
}

/** All there are: none outlives this process where it can be helped. */
const alive = new Set<PluginProcess>();
process.on('exit', () => {
  for (const one of alive) one.kill('the host ended');
});

/** The process that ran a call ended before its answer. */
export class ProcessEnded extends Error {
  constructor(
    readonly why: string,
    /** Whether no other calls were under way in it. */
    readonly alone: boolean,
    /** Whether it can have got the call. */
    readonly sent = true,
  ) {
    super(`the plugin's process ended: ${why}`);
    this.name = 'ProcessEnded';
  }
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly hooks: CallHooks;
  asking: number;
}

/**
 * A process of its own for one plugin: almost no environment, Node's permission model, a cap on its memory, and a socket
 * over which it is called. Whatever the plugin does in it costs this process at most.
 */
export class PluginProcess {
  readonly ended: Promise<string>;
  readonly #options: PluginProcessOptions;
  readonly #child: ChildProcess;
  readonly #channel: Duplex;
  readonly #pending = new Map<number, Pending>();
  readonly #secrets = new Set<string>();
  readonly #timers: NodeJS.Timeout[];
  #described: ((answer: Description | Error) => void) | undefined;
  #nextId = 0;
  #why: string | null = null;
  #over = false;
  #pingSentAt: number | null = null;
  #window = { startedAt: 0, messages: 0, lines: 0 };

  private constructor(options: PluginProcessOptions) {
    this.#options = options;
    const { staged, memoryMb } = options;
    const runner = path.join(PRODUCT, 'dist/libs/plugin-host/runner.js');
    this.#child = spawn(process.execPath, [...nodeFlags(staged, memoryMb), runner, staged.entry], {
      cwd: staged.folder,
      env: minimalEnv(),
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true,
    });
    alive.add(this);
    this.#channel = this.#child.stdio[3] as Duplex;
    this.ended = new Promise((resolve) => {
      const over = (why: string) => {
        this.#finish(why);
        resolve(this.#why ?? why);
      };
      this.#child.once('error', (error) => over(`it could not be started: ${error.message}`));
      this.#child.once('exit', (code, signal) =>
        over(signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`),
      );
    });
    this.#channel.on('error', () => undefined);
    this.#guarded(this.#channel, MESSAGE_LIMIT, (line) => this.#hear(line));
    for (const stream of [this.#child.stdout, this.#child.stderr])
      if (stream !== null) this.#logLines(stream);
    this.#timers = [
      setInterval(() => void this.#checkMemory(), MEMORY_CHECK_MS).unref(),
      setInterval(() => this.#ping(), options.pingMs).unref(),
    ];
  }

  /**
   * Starts a process and has the plugin loaded.
   * @throws Error whose message says in one line why it did not load
   */
  static async start(
    options: PluginProcessOptions,
  ): Promise<{ readonly process: PluginProcess; readonly description: Description }> {
    const started = new PluginProcess(options);
    const answer = await new Promise<Description | Error>((resolve) => {
      started.#described = resolve;
      const timer = setTimeout(
        () => resolve(new Error(`it did not load within ${READY_WITHIN_MS / 1000} s`)),
        READY_WITHIN_MS,
      );
      void started.ended.then((why) => {
        clearTimeout(timer);
        resolve(new Error(why));
      });
    });
    started.#described = undefined;
    if (answer instanceof Error) {
      started.kill(answer.message);
      throw answer;
    }
    return { process: started, description: answer };
  }

  /** Calls under way. */
  get busy(): number {
    return this.#pending.size;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * One call of the plugin.
   * @throws ProviderError, or another Error for a defect, as the plugin threw it; ProcessEnded
   */
  call(call: string, facts: CallFacts, args: readonly unknown[], hooks: CallHooks): Promise<unknown> {
    if (this.#over || this.#why !== null)
      return Promise.reject(new ProcessEnded(this.#why ?? 'before', false, false));
    this.#nextId += 1;
    const id = this.#nextId;
    this.#hide(hooks.hidden);
    return new Promise((resolve, reject) => {
      let abandon: NodeJS.Timeout | undefined;
      const abort = () => {
        const reason: unknown = hooks.signal.reason;
        this.#say({ type: 'abort', id, why: reason instanceof StopRequested ? reason.why : 'shutdown' });
        abandon = setTimeout(
          () => this.kill(`a call did not come back within ${ABORTED_FOR_MS} ms of being asked to stop`),
          ABORTED_FOR_MS,
        );
      };
      const done = () => {
        clearTimeout(abandon);
        hooks.signal.removeEventListener('abort', abort);
        this.#pending.delete(id);
      };
      this.#pending.set(id, {
        resolve: (value) => (done(), resolve(value)),
        reject: (error) => (done(), reject(error)),
        hooks,
        asking: 0,
      });
      this.#say({ type: 'call', id, call, facts, args });
      if (hooks.signal.aborted) abort();
      else hooks.signal.addEventListener('abort', abort);
    });
  }

  /** Ends the process, with all that it may have started, now. Its calls end with `why`. */
  kill(why: string): void {
    this.#why ??= why;
    const { pid } = this.#child;
    if (this.#over || pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      this.#child.kill('SIGKILL');
    }
  }

  #finish(why: string): void {
    if (this.#over) return;
    this.#over = true;
    alive.delete(this);
    this.#why ??= why;
    for (const timer of this.#timers) clearInterval(timer);
    const pending = [...this.#pending.values()];
    for (const { reject } of pending) reject(new ProcessEnded(this.#why, pending.length === 1));
    this.#channel.destroy();
  }

  /** The latest are kept: those of the instance come with every call. */
  #hide(secrets: readonly string[]): void {
    for (const secret of secrets) {
      this.#secrets.delete(secret);
      this.#secrets.add(secret);
    }
    for (const oldest of this.#secrets) {
      if (this.#secrets.size <= SECRETS_KEPT) return;
      this.#secrets.delete(oldest);
    }
  }

  #say(message: ToChild): void {
    if (!this.#over && this.#channel.writable) this.#channel.write(`${JSON.stringify(message)}\n`);
  }

  #hear(line: string): void {
    if (this.#why !== null) return;
    this.#tick();
    this.#window.messages += 1;
    if (this.#window.messages > MESSAGES_PER_SECOND)
      return this.kill(`it sent over ${MESSAGES_PER_SECOND} messages within a second`);
    const message = parseMessage(line);
    if (message === null) return this.kill('it sent what is no message');
    switch (message.type) {
      case 'pong':
        this.#pingSentAt = null;
        return;
      case 'ready':
        return this.#described?.({ manifest: message.manifest, calls: message.calls });
      case 'refused':
        return this.#described?.(new Error(message.message));
      case 'returned':
        return this.#pending.get(message.id)?.resolve(message.value);
      case 'threw':
        return this.#pending.get(message.id)?.reject(errorOf(message.failure));
      case 'log': {
        this.#window.lines += 1;
        if (this.#window.lines <= LOG_LINES_PER_SECOND)
          this.#pending.get(message.id)?.hooks.log(message.level, message.facts, message.event);
        return;
      }
      case 'ended':
        return this.#pending.get(message.id)?.hooks.ended(message);
      case 'ask':
        void this.#answer(message);
    }
  }

  async #answer({ id, ask, what, value }: Extract<FromChild, { type: 'ask' }>): Promise<void> {
    const pending = this.#pending.get(id);
    const say = (problem: string | null, headers: Readonly<Record<string, string>> | null = null): void =>
      this.#say({ type: 'answer', ask, problem, headers });
    if (pending === undefined) return say('the call is over');
    pending.asking += 1;
    if (pending.asking > ASKS_AT_A_TIME)
      return this.kill(`a call asked over ${ASKS_AT_A_TIME} things of the host at a time`);
    try {
      say(null, await pending.hooks.ask(what, value, ask));
    } catch (error) {
      say(this.#problemOf(what, error));
    } finally {
      pending.asking -= 1;
    }
  }

  /** What a plugin is told of what failed. All else is the host's own: an error of the database names its servers. */
  #problemOf(what: string, error: unknown): string {
    if (error instanceof ProviderError || error instanceof StopRequested || error instanceof PluginDefect)
      return error.message;
    this.#window.lines += 1;
    if (this.#window.lines <= LOG_LINES_PER_SECOND)
      this.#options.log.warn(
        { plugin: this.#options.name, asked: what, error: withoutSecrets(error, [...this.#secrets]) },
        'what a plugin asked of the host failed',
      );
    return `${what} failed in Riposte, whose log says why`;
  }

  #ping(): void {
    const now = performance.now();
    if (this.#pingSentAt === null) {
      this.#pingSentAt = now;
      this.#say({ type: 'ping' });
    } else if (now - this.#pingSentAt > this.#options.hungAfterMs && this.#described === undefined) {
      this.kill(`it did not react for ${Math.round(now - this.#pingSentAt)} ms`);
    }
  }

  /** The heap's cap does not count buffers. Where there is no /proc, the heap's cap is all there is. */
  async #checkMemory(): Promise<void> {
    const text = await readFile(`/proc/${this.#child.pid}/statm`, 'utf8').catch(() => null);
    if (text === null || this.#over) return;
    const mib = (Number(text.split(' ')[1]) * PAGE_BYTES) / 1024 / 1024;
    const most = this.#options.memoryMb + BESIDE_THE_HEAP;
    if (mib > most) this.kill(`it used ${Math.round(mib)} MiB of memory, over its ${most}`);
  }

  /** What it prints goes to the log, so much of it as a log can bear. */
  #logLines(stream: Readable): void {
    let rest = '';
    const redacted = (text: string) => String(withoutSecrets(text, [...this.#secrets]));
    const write = (line: string) => {
      this.#tick();
      this.#window.lines += 1;
      if (line === '' || this.#window.lines > LOG_LINES_PER_SECOND) return;
      const text = redacted(line).slice(0, LOG_LINE_CHARS);
      this.#options.log.info({ plugin: this.#options.name, line: text }, 'a plugin printed');
    };
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      // A line without an end is cut, or it would be kept for ever; never within a secret.
      if (rest.length > LOG_LINE_CHARS) rest = redacted(rest).slice(-LOG_LINE_CHARS);
      for (const line of lines) write(line);
    });
    stream.on('end', () => write(rest));
  }

  #guarded(stream: Readable, limit: number, onLine: (line: string) => void): void {
    const split = lineSplitter(limit, onLine);
    stream.on('data', (chunk: Buffer) => {
      if (this.#why !== null) return;
      try {
        split(chunk);
      } catch (error) {
        this.kill(`it sent ${error instanceof RangeError ? error.message : 'what cannot be read'}`);
      }
    });
  }

  #tick(): void {
    const now = performance.now();
    if (now - this.#window.startedAt > 1000) this.#window = { startedAt: now, messages: 0, lines: 0 };
  }
}

function parseMessage(line: string): FromChild | null {
  try {
    // A key of this name becomes a prototype where somebody copies the object key by key.
    const value: unknown = JSON.parse(line, (key, item: unknown) => (key === '__proto__' ? undefined : item));
    return compileSchema(fromChild)(value) ? (value as FromChild) : null;
  } catch {
    return null;
  }
}

/** Under Node's permission model: it reads its own copy and the SDK, and writes, starts and loads nothing. */
function nodeFlags(staged: StagedPackage, memoryMb: number): string[] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const stable = major > 23 || (major === 23 && minor >= 5) || (major === 22 && minor >= 13);
  const readable = [
    path.join(path.dirname(staged.folder), '*'),
    path.join(PRODUCT, 'dist', 'libs', '*'),
    path.join(PRODUCT, 'node_modules', '*'),
    path.join(PRODUCT, 'package.json'),
  ];
  return [
    stable ? '--permission' : '--experimental-permission',
    ...readable.map((place) => `--allow-fs-read=${place}`),
    // The network is what a provider is for; newer versions of Node would deny it.
    ...(process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : []),
    '--no-addons',
    '--disable-proto=throw',
    '--disable-warning=ExperimentalWarning',
    `--max-old-space-size=${memoryMb}`,
  ];
}

/** What Node itself needs to reach a vendor behind a private certificate authority; nothing else of ours. */
function minimalEnv(): Record<string, string> {
  const authorities = process.env['NODE_EXTRA_CA_CERTS'];
  return { TZ: 'UTC', ...(authorities === undefined ? {} : { NODE_EXTRA_CA_CERTS: authorities }) };
}
