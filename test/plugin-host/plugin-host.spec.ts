import { spawnSync } from 'node:child_process';
import { access, cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { ProviderRegistry } from '#engine';
import { OutsidePlugins, hashOfPlugin, type OutsidePluginConfig } from '#plugin-host';
import {
  AddressRefused,
  PluginDied,
  ProviderError,
  StopRequested,
  Type,
  checkManifest,
  vendorHttp,
  type ExecutionContext,
  type NetworkPolicy,
  type Provider,
} from '#provider-sdk';
import { createLogger, type Logger } from '#telemetry';
import { SimulatorServer, answerJson } from '../simulators/simulator-server.js';
import { eventually } from '../support/eventually.js';
import { Authority } from '../support/tls.js';

/** Plugins of others: what is refused, what they can do, and what they cannot. */

const FIXTURES = path.resolve(import.meta.dirname, '../fixtures/plugins');
const CONFIG_FILE = path.join(FIXTURES, 'riposte.config.yaml');
const silent = createLogger('riposte-test', 'silent');

let temporary: string;
beforeAll(async () => {
  temporary = await mkdtemp(path.join(tmpdir(), 'riposte-test-'));
  process.env['RIPOSTE_TEST_SECRET'] = 'of-the-host';
});
afterAll(() => rm(temporary, { recursive: true, force: true }));

async function load(
  plugins: Readonly<Record<string, Partial<OutsidePluginConfig>>>,
  options: {
    readonly log?: Logger;
    readonly hungAfterMs?: number;
    readonly shipped?: readonly string[];
  } = {},
): Promise<OutsidePlugins> {
  const { log = silent, hungAfterMs = 15_000, shipped = ['mock'] } = options;
  const configs = Object.entries(plugins).map(
    ([name, config]) => [name, { memoryMb: 64, watch: false, ...config }] as const,
  );
  const loaded = await OutsidePlugins.load({
    plugins: Object.fromEntries(configs),
    configFile: CONFIG_FILE,
    shipped: new Set(shipped),
    log,
    pingMs: 100,
    hungAfterMs,
  });
  onTestFinished(() => loaded.close());
  return loaded;
}

async function loadOne(folder: string, options: Parameters<typeof load>[1] = {}): Promise<Provider> {
  const { one } = (await load({ one: { package: folder } }, options)).providers;
  if (one === undefined) throw new Error('not loaded');
  return one;
}

let actions = 0;
function context(overrides: Partial<ExecutionContext> = {}): ExecutionContext {
  actions += 1;
  const { signal } = new AbortController();
  return {
    instance: 'one',
    actionId: `action-${actions}`,
    tenantId: 'tenant',
    settings: {},
    secrets: {},
    signal,
    attempt: 1,
    idempotencyKey: `action-${actions}`,
    issuedAt: new Date(0),
    deadlineAt: new Date(3_600_000),
    lastCheckpoint: null,
    http: vendorHttp({
      network: { allow: [], ports: [] },
      signal,
      spend: () => Promise.resolve(),
      secrets: [],
    }),
    log: { info: () => undefined, warn: () => undefined },
    saveOperation: () => Promise.resolve(),
    heartbeat: () => Promise.resolve(),
    ...overrides,
  };
}

/** A way to vendors of this machine whose requests are watched, and what was seen of each. */
function watchedHttp(signal: AbortSignal = new AbortController().signal) {
  const seen: object[] = [];
  const http = vendorHttp({
    network: { allow: ['127.0.0.0/8'], ports: [] },
    signal,
    spend: () => Promise.resolve(),
    secrets: [],
    watch: ({ method, url, resend }) => {
      const index = seen.length;
      seen.push({ method, url: url.href, resend });
      return {
        headers: { traceparent: `of-request-${index}` },
        ended: (answer) => (seen[index] = { ...seen[index], ends: answer }),
      };
    },
  });
  return { seen, http };
}

const isolate = (provider: Provider, machineId: string, overrides: Partial<ExecutionContext> = {}) =>
  provider.calls.execute(context(overrides), { action: 'Isolate', parameters: { machineId } });

describe('a plugin in a process of its own', () => {
  let shared: Provider;
  beforeAll(async () => {
    const plugins = await OutsidePlugins.load({
      plugins: { one: { package: './acme', memoryMb: 64, watch: false } },
      configFile: CONFIG_FILE,
      shipped: new Set(),
      log: silent,
    });
    shared = plugins.providers['one'] as Provider;
    return () => plugins.close();
  });

  it('is called as a shipped one is', async () => {
    const provider = shared;
    expect(provider.manifest).toMatchObject({ vendor: 'Acme', version: '1.2.3' });
    const told: unknown[] = [];
    const outcome = await isolate(provider, 'm1', {
      settings: { site: 'HQ' },
      secrets: { apiKey: 'k' },
      log: { info: (facts, event) => void told.push([event, facts]), warn: () => undefined },
      heartbeat: (report) => Promise.resolve(void told.push(report)),
      saveOperation: (operation) => Promise.resolve(void told.push(operation)),
    });
    expect(outcome).toEqual({ kind: 'completed', result: { site: 'HQ', key: 'k', hours: 1 } });
    expect(told).toEqual([['isolating', { machineId: 'm1' }], { progress: 'half' }, { id: 'op-1' }]);
    const request = { action: 'Isolate', parameters: { machineId: 'm1' } };
    const timed = { ...request, effectUntil: new Date(0) };
    expect(await provider.calls.execute(context(), timed)).toMatchObject({
      result: { until: '1970-01-01T00:00:00.000Z' },
    });
    expect(
      await provider.calls.pollMany?.(context(), [{ actionId: 'a', operation: { id: 'o' }, request }]),
    ).toEqual(new Map([['a', { kind: 'completed' }]]));
    const done = { ...request, actionId: 'a', completedAt: new Date(0), result: null, effect: null };
    expect(await provider.calls.revert?.(context(), done)).toMatchObject({
      result: '1970-01-01T00:00:00.000Z',
    });
    expect(await provider.calls.observe?.(context(), request)).toMatchObject({ inPlace: true });
    expect(await provider.calls.health?.(context())).toMatchObject({ ok: true });
    expect(await provider.calls.cancel(context(), null, request)).toBe('cancelled');
    await expect(isolate(provider, 'limited')).rejects.toMatchObject({
      errorClass: 'rateLimited',
      message: 'slow down',
      httpStatus: 429,
      retryAfterMs: 7000,
    });
    const refused = await isolate(provider, 'refused');
    expect(refused.kind === 'failed' && refused.error).toBeInstanceOf(ProviderError);
    const nowhere = await isolate(provider, 'private').catch((error: unknown) => error);
    expect(nowhere).toBeInstanceOf(AddressRefused);
    expect(nowhere).toMatchObject({ errorClass: 'unreachable' });
    const defect = await isolate(provider, 'defect').catch((error: unknown) => error);
    expect(defect).toBeInstanceOf(Error);
    expect(defect).not.toBeInstanceOf(ProviderError);
    expect(String(defect)).toMatch(
      /^thrown by the plugin: TypeError: x is not a function \(at .*index\.js:\d+:\d+\)\)$/,
    );
  });

  it('is asked by its own `validate` before it does anything, and refuses in its words', async () => {
    const saved: unknown[] = [];
    const options = {
      settings: { site: 'HQ' },
      saveOperation: (operation: unknown) => Promise.resolve(void saved.push(operation)),
    };
    await expect(isolate(shared, 'crown-jewel', options)).rejects.toMatchObject({
      errorClass: 'permission',
      message: 'Never the crown jewel of HQ.',
    });
    await expect(isolate(shared, '', options)).rejects.toMatchObject({
      errorClass: 'invalidInput',
      message: 'No machine has no name.',
    });
    expect(saved).toEqual([]);
  });

  it('trusts at its vendor whom the instance trusts', async () => {
    const authority = await Authority.make();
    const vendor = await SimulatorServer.start(
      (_incoming, response) => answerJson(response, 200, {}),
      0,
      await authority.issue(),
    );
    onTestFinished(() => vendor.stop());
    const asks = (network: Partial<NetworkPolicy>) => {
      const { signal } = new AbortController();
      const allow = ['127.0.0.0/8'];
      const http = vendorHttp({
        network: { allow, ports: [], ...network },
        signal,
        spend: () => Promise.resolve(),
        secrets: [],
      });
      return isolate(shared, 'asks', { settings: { site: vendor.baseUrl }, http });
    };
    expect(await asks({ ca: authority.cert })).toEqual({ kind: 'completed' });
    await expect(asks({})).rejects.toMatchObject({
      errorClass: 'unreachable',
      message: expect.stringContaining('Set network.ca of the instance') as string,
    });
  });

  it('has its requests watched, of which no more than whom they go to is told', async () => {
    const heard: unknown[] = [];
    const vendor = await SimulatorServer.start(({ headers }, response) => {
      heard.push(headers['traceparent']);
      answerJson(response, heard.length === 1 ? 503 : 200, {});
    });
    onTestFinished(() => vendor.stop());
    const { seen, http } = watchedHttp();
    const site = `${vendor.baseUrl}/machines/m1?key=canary`;
    expect(await isolate(shared, 'asks', { settings: { site }, http })).toEqual({ kind: 'completed' });
    const told = { method: 'GET', url: `${vendor.baseUrl}/` };
    expect(seen).toEqual([
      { ...told, resend: 0, ends: { status: 503 } },
      { ...told, resend: 1, ends: { status: 200 } },
    ]);
    expect(heard).toEqual(['of-request-0', 'of-request-1']);
  });

  it('tells of a watched request that was stopped', async () => {
    let heard = 0;
    const vendor = await SimulatorServer.start(() => void (heard += 1));
    onTestFinished(() => vendor.stop());
    const abort = new AbortController();
    const { seen, http } = watchedHttp(abort.signal);
    const call = isolate(shared, 'asks', { settings: { site: vendor.baseUrl }, http, signal: abort.signal });
    const failed = call.catch((error: unknown) => error);
    await eventually(() => heard > 0);
    abort.abort(new StopRequested('cancel'));
    await failed;
    expect(seen).toMatchObject([{ ends: { errorType: 'stopped' } }]);
  });

  it('hears of a stop with its reason, and of a lost lease from what it saves', async () => {
    const provider = shared;
    const abort = new AbortController();
    const slow = isolate(provider, 'slow', { signal: abort.signal });
    abort.abort(new StopRequested('cancel'));
    await expect(slow).rejects.toThrow('true cancel');
    await expect(
      isolate(provider, 'm1', { saveOperation: () => Promise.reject(new StopRequested('leaseLost')) }),
    ).rejects.toThrow('stop requested: leaseLost');
  });

  it('hears nothing of an error that is the host’s own', async () => {
    const saveOperation = () => Promise.reject(new Error('connect ECONNREFUSED mongo.internal:27017'));
    const told = await isolate(shared, 'm1', { saveOperation }).catch(String);
    expect(told).toContain('saveOperation failed in Riposte, whose log says why');
    expect(told).not.toContain('mongo.internal');
  });

  it('has what it prints in the log, without secrets', async () => {
    const lines: unknown[] = [];
    const log = {
      ...silent,
      info: (facts: unknown) => void lines.push(facts),
      warn: () => undefined,
    } as never;
    const provider = await loadOne('./acme', { log });
    await isolate(provider, 'prints', { secrets: { apiKey: 's3cret-key' } });
    await eventually(() => expect(lines).toContainEqual({ plugin: 'one', line: 'the key is [redacted]' }));
    expect(JSON.stringify(lines)).not.toContain('s3cret-key');
    const hostile = await loadOne('./hostile', { log });
    const action = { action: 'Try', parameters: { what: 'longLine' } };
    await hostile.calls.execute(context({ secrets: { apiKey: 's3cret-key' } }), action);
    await eventually(() => expect(JSON.stringify(lines)).toContain('....'));
    expect(JSON.stringify(lines)).not.toContain('t-key');
  });
});

describe('a hostile plugin', () => {
  const attempt = (provider: Provider, what: string, overrides: Partial<ExecutionContext> = {}) =>
    provider.calls.execute(context(overrides), { action: 'Try', parameters: { what } });

  /** Loaded once; an instance of its own each time, so that none waits for another's restart. */
  let shared: OutsidePlugins;
  const sharedProvider = () => shared.providers['one'] as Provider;
  beforeAll(async () => {
    shared = await OutsidePlugins.load({
      plugins: { one: { package: './hostile', memoryMb: 64, watch: false } },
      configFile: CONFIG_FILE,
      shipped: new Set(),
      log: silent,
    });
  });
  afterAll(() => shared.close());

  it('finds nothing of the host, and cannot write, start or signal anything', async () => {
    const provider = sharedProvider();
    const result = async (what: string) => {
      const outcome = await attempt(provider, what, { secrets: { apiKey: 'other-instance' }, instance: 'a' });
      return JSON.stringify(outcome.kind === 'completed' ? outcome.result : outcome);
    };
    expect(await result('env')).not.toMatch(/of-the-host|PATH|MONGODB/);
    expect(await result('argv')).not.toContain('other-instance');
    const denied = [
      'readPasswd',
      'readHostEnv',
      'readHostMemory',
      'write',
      'writeOwnFolder',
      'spawn',
      'fork',
      'worker',
      'binding',
      'addon',
      'killHost',
      'killHostRaw',
      'debugHost',
      'slowHost',
      'writeByV8',
      'writeHeap',
      'writeTrace',
      'socketFile',
      'connectFile',
    ];
    for (const what of denied) expect(await result(what), what).toMatch(/denied.*(ACCESS_DENIED|restricted)/);
    await expect(access('/tmp/riposte-was-here')).rejects.toThrow('ENOENT');
    expect(await result('pollution')).not.toContain('__proto__');
    expect(({} as { readonly polluted?: boolean }).polluted).toBeUndefined();
  });

  it.each([
    ['outOfMemory', /ended/],
    ['buffers', /MiB of memory/],
    ['busyLoop', /did not react/],
    ['exit', /exited with code 0/],
    ['throwLater', /exited with code 1/],
    ['flood', /messages within a second/],
    ['bigMessage', /over 1048576 bytes/],
    ['malformed', /no message/],
    ['forged', /no message/],
  ])('that does %s costs its own process, and the call ends as unknown', async (what, why) => {
    const provider =
      what === 'busyLoop' ? await loadOne('./hostile', { hungAfterMs: 1000 }) : sharedProvider();
    const error: unknown = await attempt(provider, what, { instance: what }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(PluginDied);
    expect(error).toMatchObject({ errorClass: 'unknownOutcome' });
    expect((error as Error).message).toMatch(why);
  });

  it('that ends in the middle leaves no watched request open', async () => {
    const vendor = await SimulatorServer.start(({ url }, response) => {
      if (url.pathname === '/answers') answerJson(response, 200, {});
    });
    onTestFinished(() => vendor.stop());
    const { seen, http } = watchedHttp();
    const settings = { site: vendor.baseUrl };
    await expect(
      attempt(sharedProvider(), 'requestsAndExits', { instance: 'requests', settings, http }),
    ).rejects.toBeInstanceOf(PluginDied);
    expect(seen).toMatchObject([{ ends: { errorType: 'stopped' } }, { ends: {} }]);
  });

  it('that is being stopped has got a call or has not: it is never in doubt', async () => {
    const plugins = await load({ one: { package: './hostile' } });
    const provider = plugins.providers['one'] as Provider;
    await attempt(provider, 'nothing');
    const state = { isClosed: false };
    const closing = plugins.close().finally(() => (state.isClosed = true));
    const answers: unknown[] = [];
    while (!state.isClosed) {
      answers.push(attempt(provider, 'nothing').catch((error: ProviderError) => error.errorClass));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closing;
    for (const answer of await Promise.all(answers))
      expect(answer === 'unreachable' || (answer as { kind: string }).kind === 'completed').toBe(true);
  });

  it('that ignores a stop is ended, and the next call has a new process', async () => {
    const provider = sharedProvider();
    const abort = new AbortController();
    const call = attempt(provider, 'hang', { signal: abort.signal });
    const bystander = attempt(provider, 'hang');
    abort.abort(new StopRequested('deadline'));
    await expect(call).rejects.toThrow(/being asked to stop/);
    // Who was the cause cannot be told of two: neither is counted.
    expect(await bystander.catch((error: unknown) => error)).not.toBeInstanceOf(PluginDied);
    expect(await attempt(provider, 'nothing')).toEqual({ kind: 'completed' });
  });
});

describe('a package that is no plugin', () => {
  const good = `import { Type, defineProvider } from '@riposte/provider-sdk';
export const provider = defineProvider({
  manifest: {
    vendor: 'V', provider: 'P', version: '1.0.0', settings: Type.Object({}),
    actions: { Do: { title: 'Does.', parameters: Type.Object({ id: Type.String() }), idempotency: 'key', cancellable: false } },
  },
  async execute() { return { kind: 'completed' }; },
  async cancel() { return 'notSupported'; },
});
`;
  let made = 0;
  async function packageOf(
    source: string | null,
    facts: object = { riposteProvider: './i.js' },
  ): Promise<string> {
    made += 1;
    const folder = path.join(temporary, `p${made}`);
    await mkdir(folder);
    await writeFile(
      path.join(folder, 'package.json'),
      JSON.stringify({ name: 'p', type: 'module', ...facts }),
    );
    if (source !== null) await writeFile(path.join(folder, 'i.js'), source);
    return folder;
  }
  const refused = async (source: string | null, facts?: object) =>
    load({ one: { package: await packageOf(source, facts) } }).then(
      () => 'loaded',
      (error: Error) => `${error.name}: ${error.message}`,
    );
  it('stops the start with a message that names file, key and what is wrong', async () => {
    expect(await refused(good)).toBe('loaded');
    await expect(load({ one: { package: './nowhere' } })).rejects.toThrow(
      /riposte\.config\.yaml: plugins\.one\.package: no package "\.\/nowhere"/,
    );
    await expect(load({ one: { package: 'riposte-nowhere' } })).rejects.toThrow(/no package.*node_modules/);
    expect(await refused(good, { riposteProvider: undefined })).toMatch(/has no "riposteProvider"/);
    expect(await refused(null)).toMatch(/i\.js is not there.*build/);
    expect(await refused('export const x = ;')).toMatch(/does not load: Unexpected token/);
    expect(await refused(`import 'not-installed';\n${good}`)).toMatch(
      /Cannot find package 'not-installed' .*among its "dependencies"/,
    );
    expect(await refused('export const x = 1;')).toMatch(/exports no `provider`/);
    expect(await refused(good.replace(`'1.0.0'`, `'one'`))).toMatch(
      /version "one" is not a semantic version/,
    );
    expect(await refused(good.replace('cancellable: false', 'cancellable: false, revertible: true'))).toMatch(
      /plugins\.one\.package: .*provider V\/P: actions\.Do is declared revertible but.*no revert\(\)/,
    );
    expect(
      await refused(good, { riposteProvider: './i.js', dependencies: { '../../elsewhere': '1.0.0' } }),
    ).toMatch(/cannot be copied: its dependency "\.\.\/\.\.\/elsewhere" is no name of a package/);
    await expect(load({ mock: { package: './acme' } })).rejects.toThrow(/plugins\.mock: a shipped plugin/);
  });

  it.each<[RegExp, object, object?]>([
    [
      /actions\.Do\.parameters is not a valid JSON Schema/,
      { parameters: Type.Object({ id: { type: 'texte' } }) },
    ],
    [
      /actions\.Do\.parameters is not a valid JSON Schema: .*\$async/,
      { parameters: { $async: true, ...Type.Object({}) } },
    ],
    [/actions\.Do is declared revertible but the plugin has no revert\(\)/, { revertible: true }],
    [/actions\.Do is declared observable but the plugin has no observe\(\)/, { observable: true }],
    [/declares idempotency "lookup" but the plugin has no reconcile\(\)/, { idempotency: 'lookup' }],
    [/actions\.Do\.mutexKey names "host".*there are id/, { mutexKey: ['host'] }],
    [
      /actions\.Do\.mutexKey names "id", which is secret/,
      { mutexKey: ['id'], parameters: Type.Object({ id: Type.String({ writeOnly: true }) }) },
    ],
    [/actions\.Do\.surprise is not known/, { surprise: true }],
    [
      /rateLimits\[0\]\.actions names "Dont"/,
      {},
      { rateLimits: [{ calls: 1, perSeconds: 1, actions: ['Dont'] }] },
    ],
  ])('is refused, shipped or not: %s', (message, claim, more = {}) => {
    const parameters = Type.Object({ id: Type.String() });
    const Do = { title: 'Does.', parameters, idempotency: 'key', cancellable: false, ...claim };
    const manifest = {
      vendor: 'V',
      provider: 'P',
      version: '1.0.0',
      settings: Type.Object({}),
      actions: { Do },
      ...more,
    };
    expect(() => checkManifest(manifest as never, new Set(['execute', 'cancel']))).toThrow(message);
  });

  it('is refused when its files are not those that were pinned; the message tells their hash', async () => {
    const folder = await packageOf(good);
    const error = await load({ one: { package: folder, sha256: '0'.repeat(64) } }).catch((e: Error) => e);
    const [, sha256 = ''] = /hash to ([0-9a-f]{64})/.exec((error as Error).message) ?? [];
    expect(await hashOfPlugin(folder)).toBe(sha256);
    await load({ one: { package: folder, sha256 } });
    await writeFile(path.join(folder, 'more.js'), '');
    await expect(load({ one: { package: folder, sha256 } })).rejects.toThrow(/look at what changed/);
  });
});

describe('the private copy of a plugin', () => {
  const copies = async (pid: number) =>
    (await readdir(tmpdir())).filter((name) => new RegExp(`^riposte-plugins-[0-9a-f]{8}-${pid}-`).test(name));

  it('has what the package needs to run, and not what it is built with', async () => {
    const folder = path.join(temporary, 'depends');
    const put = async (file: string, text: string) => {
      await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
      await writeFile(path.join(folder, file), text);
    };
    const entry = { type: 'module', exports: './i.js' };
    await cp(path.join(FIXTURES, 'acme'), folder, { recursive: true });
    const facts = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as object;
    const needs = { dependencies: { needed: '1' }, devDependencies: { compiler: '1' } };
    await put('package.json', JSON.stringify({ ...facts, ...needs }));
    await put(
      'node_modules/needed/package.json',
      JSON.stringify({ ...entry, dependencies: { deeper: '1', nested: '1' } }),
    );
    await put('node_modules/needed/i.js', `import 'deeper'; export * from 'nested';`);
    await put('node_modules/needed/node_modules/nested/package.json', JSON.stringify(entry));
    await put('node_modules/needed/node_modules/nested/i.js', `export const version = '7.7.7';`);
    await put('node_modules/deeper/package.json', JSON.stringify(entry));
    await put('node_modules/deeper/i.js', '');
    const source = await readFile(path.join(folder, 'index.js'), 'utf8');
    await put('index.js', `import { version } from 'needed';\n${source.replace(`'1.2.3'`, 'version')}`);
    const before = await hashOfPlugin(folder);
    await put('node_modules/compiler/package.json', JSON.stringify(entry));
    expect(await hashOfPlugin(folder)).toBe(before);
    expect((await loadOne(folder)).manifest.version).toBe('7.7.7');
    await put('node_modules/deeper/i.js', 'export const changed = true;');
    expect(await hashOfPlugin(folder)).not.toBe(before);
  });

  it('goes when it is closed, when a start fails, and after a process that was killed at the next start', async () => {
    const before = await copies(process.pid);
    const plugins = await load({ one: { package: './acme' } });
    expect(await copies(process.pid)).toHaveLength(before.length + 1);
    await expect(load({ one: { package: './acme', sha256: '0'.repeat(64) } })).rejects.toThrow('hash to');
    expect(await copies(process.pid)).toHaveLength(before.length + 1);
    const [mine = ''] = (await copies(process.pid)).filter((name) => !before.includes(name));
    const gone = spawnSync(process.execPath, ['--version']).pid;
    const leftOver = path.join(tmpdir(), mine.replace(`-${process.pid}-`, `-${gone}-`));
    await mkdir(path.join(leftOver, '1', 'plugin'), { recursive: true });
    await load({});
    await expect(access(leftOver)).rejects.toThrow('ENOENT');
    expect(await copies(process.pid)).toContain(mine);
    await plugins.close();
    expect(await copies(process.pid)).not.toContain(mine);
  });
});

describe('a watched plugin', () => {
  it('is loaded again when its files change: new calls go to the new version, those under way end in the old', async () => {
    const folder = path.join(temporary, 'watched');
    await cp(path.join(FIXTURES, 'acme'), folder, { recursive: true });
    const warnings: string[] = [];
    const log = {
      ...silent,
      info: () => undefined,
      warn: (_: unknown, event: string) => void warnings.push(event),
    } as never;
    const plugins = await load({ acme: { package: folder, watch: true } }, { log });
    const instance = { id: 'one', plugin: 'acme', tenants: ['*'], settings: {}, secrets: {}, concurrency: 1 };
    const registry = new ProviderRegistry([instance], plugins.providers);
    plugins.watch((name, provider) => {
      registry.replacePlugin(name, provider);
    });
    const now = () => {
      const { provider } = registry.byId('one') ?? {};
      if (provider === undefined) throw new Error('no instance');
      return provider;
    };
    const before = now();
    const abort = new AbortController();
    const underWay = isolate(before, 'slow', { signal: abort.signal });
    const entry = path.join(folder, 'index.js');
    const source = await readFile(entry, 'utf8');
    await writeFile(entry, source.replace(`'1.2.3'`, `'1.3.0'`));
    await eventually(() => expect(now().manifest.version).toBe('1.3.0'));
    expect(await isolate(now(), 'm1')).toMatchObject({ kind: 'completed' });
    await writeFile(entry, 'export const broken = ;');
    await eventually(() =>
      expect(warnings).toContain('a changed plugin cannot be loaded; the version before goes on'),
    );
    expect(now().manifest.version).toBe('1.3.0');
    expect(await isolate(now(), 'm1')).toMatchObject({ kind: 'completed' });
    abort.abort(new StopRequested('cancel'));
    await expect(underWay).rejects.toThrow('true cancel');
  });
});
