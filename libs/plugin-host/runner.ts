import { syncBuiltinESMExports } from 'node:module';
import { Socket } from 'node:net';
import os from 'node:os';
import traceEvents from 'node:trace_events';
import { pathToFileURL } from 'node:url';
import v8 from 'node:v8';
import {
  StopRequested,
  refusalError,
  vendorHttp,
  type NetworkPolicy,
  type Provider,
  type RequestRefusal,
  type SentRequest,
  type VendorHttp,
  type WatchedRequest,
} from '#provider-sdk';
import { failureOf, lineSplitter, type CallFacts, type FromChild, type ToChild } from './protocol.js';

/**
 * The child's side: loads one plugin and answers the host's calls. Started by `PluginProcess` with the entry's path;
 * ends with the host.
 */

/** The host's own messages are not bounded by the plugin's limit: parameters and settings are what they are. */
const HOST_LINE_LIMIT = 64 * 1024 * 1024;

const channel = new Socket({ fd: 3, readable: true, writable: true });
const aborts = new Map<number, AbortController>();
const asks = new Map<
  number,
  {
    readonly resolve: (headers: WatchedRequest['headers'] | null) => void;
    readonly reject: (error: Error) => void;
  }
>();
let asked = 0;
/** The policy of the last call. Connections are kept by it, and it hardly ever changes. */
let network: NetworkPolicy = { allow: [], ports: [] };
let provider: Provider | undefined;

// Kept before the plugin is loaded, which may replace what it can reach.
const exit = process.exit.bind(process);
const stringify = JSON.stringify.bind(JSON);
const parse = JSON.parse.bind(JSON);

// Without the host nobody waits for an answer.
channel.on('close', () => exit(0));
channel.on('error', () => exit(0));
channel.on(
  'data',
  lineSplitter(HOST_LINE_LIMIT, (line) => hear(parse(line) as ToChild)),
);

const entry = process.argv[2] ?? '';
process.argv.length = 1;
lockDown();
try {
  const module = (await import(pathToFileURL(entry).href)) as { readonly provider?: Partial<Provider> };
  if (typeof module.provider?.calls !== 'object' || module.provider.manifest === undefined)
    throw new Error('it exports no `provider` made by defineProvider');
  provider = module.provider as Provider;
  const calls = Object.entries(provider.calls).flatMap(([name, call]) =>
    typeof call === 'function' ? [name] : [],
  );
  say({ type: 'ready', manifest: provider.manifest, calls });
} catch (error) {
  const [message] = (error instanceof Error ? error.message : String(error)).split('\n');
  // What is only among its devDependencies works where it is built, and is left behind there.
  const isMissing = (error as NodeJS.ErrnoException | null)?.code === 'ERR_MODULE_NOT_FOUND';
  const hint = isMissing
    ? '; a package that it imports has to be installed and among its "dependencies"'
    : '';
  say({ type: 'refused', message: `${message ?? ''}${hint}` });
}

function say(message: FromChild): void {
  channel.write(`${stringify(message)}\n`);
}

function hear(message: ToChild): void {
  switch (message.type) {
    case 'ping':
      return say({ type: 'pong' });
    case 'abort':
      return aborts.get(message.id)?.abort(new StopRequested(message.why));
    case 'answer': {
      const waiting = asks.get(message.ask);
      asks.delete(message.ask);
      return message.problem === null
        ? waiting?.resolve(message.headers)
        : waiting?.reject(new Error(message.problem));
    }
    case 'call':
      void answer(message);
  }
}

async function answer({ id, call, facts, args }: Extract<ToChild, { type: 'call' }>): Promise<void> {
  const abort = new AbortController();
  aborts.set(id, abort);
  try {
    const calls = (provider?.calls ?? {}) as unknown as Readonly<
      Record<string, (...args: readonly unknown[]) => unknown>
    >;
    const given = args.map(revived);
    // The API, which asks it of other plugins, runs none of this code.
    if (call === 'execute') requireUnrefused(calls['validate']?.(facts.settings, ...given) ?? null);
    const value = await calls[call]?.(contextOf(id, facts, abort.signal), ...given);
    say({ type: 'returned', id, value: plain(value) ?? null });
  } catch (error) {
    say({ type: 'threw', id, failure: failureOf(error) });
  } finally {
    aborts.delete(id);
  }
}

/** @throws ProviderError in the words of what `validate` told, where that speaks against the request */
function requireUnrefused(told: unknown): void {
  if (told === null) return;
  if (typeof (told as Partial<RequestRefusal>).message !== 'string')
    throw new TypeError('validate() gave neither null nor a refusal with a message');
  throw refusalError(told as RequestRefusal);
}

/** What the plugin sees: the engine's context, with what acts going through the host. */
function contextOf(id: number, facts: CallFacts, signal: AbortSignal) {
  const ask = (
    what: 'saveOperation' | 'heartbeat' | 'spend',
    value: unknown,
  ): Promise<{ readonly number: number; readonly headers: WatchedRequest['headers'] | null }> =>
    new Promise((resolve, reject) => {
      asked += 1;
      const number = asked;
      asks.set(number, { resolve: (headers) => resolve({ number, headers }), reject });
      say({ type: 'ask', id, ask: number, what, value: value ?? null });
    });
  const log = (level: 'info' | 'warn') => (extra: Readonly<Record<string, unknown>>, event: string) =>
    say({ type: 'log', id, level, facts: extra, event });
  if (stringify(network) !== stringify(facts.network)) network = facts.network;
  const watched = new WeakMap<SentRequest, WatchedRequest>();
  const http: VendorHttp = vendorHttp({
    network,
    signal,
    spend: async (_signal, request) => {
      if (!facts.watched || request === undefined) return void (await ask('spend', null));
      const { method, url, resend } = request;
      const { number, headers } = await ask('spend', { method, origin: url.origin, resend });
      if (headers === null) return;
      const ended: WatchedRequest['ended'] = ({ status = null, errorType = null }) =>
        say({ type: 'ended', id, ask: number, status, errorType });
      watched.set(request, { headers, ended });
    },
    watch: (request) => watched.get(request),
    secrets: facts.hidden,
  });
  const { instance, settings, secrets, action, lastCheckpoint } = facts;
  const common = { instance, settings, secrets, signal, http, log: { info: log('info'), warn: log('warn') } };
  if (action === null) return common;
  return {
    ...common,
    ...action,
    issuedAt: action.issuedAt === null ? null : new Date(action.issuedAt),
    deadlineAt: new Date(action.deadlineAt),
    lastCheckpoint,
    saveOperation: async (operation: unknown) => void (await ask('saveOperation', operation)),
    heartbeat: async (report: unknown) => void (await ask('heartbeat', report ?? {})),
  };
}

/** Times of an action are Dates again: in a request, of a completed one, and in what is asked about together. */
function revived(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revived);
  if (typeof value !== 'object' || value === null) return value;
  const { completedAt, effectUntil, request } = value as {
    readonly completedAt?: string;
    readonly effectUntil?: string;
    readonly request?: unknown;
  };
  return {
    ...value,
    ...(completedAt === undefined ? {} : { completedAt: new Date(completedAt) }),
    ...(effectUntil === undefined ? {} : { effectUntil: new Date(effectUntil) }),
    ...(request === undefined ? {} : { request: revived(request) }),
  };
}

/** An outcome as it crosses: errors as what they say, a map as its entries. */
function plain(value: unknown): unknown {
  if (value instanceof Map) return [...value].map(([key, item]) => [String(key), plain(item)]);
  if (typeof value !== 'object' || value === null) return value;
  const { kind, error } = value as { readonly kind?: unknown; readonly error?: unknown };
  return kind === 'failed' ? { kind, error: failureOf(error) } : value;
}

/**
 * Takes away what Node's permission model leaves: signals to other processes (the host's pid is easy to find), and their
 * priority; files that V8 and the tracing write without asking it; and sockets that are files, such as a container
 * engine's. The user is the host's, so the system would let it.
 */
function lockDown(): void {
  const denied = (what: string) => () => {
    throw Object.assign(new Error(`${what} is not for a plugin`), { code: 'ERR_ACCESS_DENIED' });
  };
  const take = (from: object, names: readonly string[]): void => {
    for (const name of names)
      if (name in from)
        Object.defineProperty(from, name, { value: denied(name), writable: false, configurable: false });
  };
  take(process, ['kill', '_kill', '_debugProcess', '_debugEnd', 'binding', '_linkedBinding', 'dlopen']);
  take(os, ['setPriority']);
  take(v8, ['setFlagsFromString', 'setHeapSnapshotNearHeapLimit']);
  take(traceEvents, ['createTracing']);
  // The channel is of the same kind, and there is no other way to its class.
  const { _handle: pipe } = channel as unknown as { readonly _handle: object };
  take(Object.getPrototypeOf(pipe) as object, ['connect', 'bind', 'listen', 'fchmod']);
  syncBuiltinESMExports();
}
