import { randomUUID } from 'node:crypto';
import type { Idempotency, Json, VendorOperation } from '#domain';
import { StopRequested } from '../errors.js';
import { compileSchema, describeSchemaError } from '../json-schema.js';
import type { ActionManifest, ExecutionContext, Provider, ProviderManifest } from '../provider.js';
import type { NetworkPolicy, VendorHttp, VendorRequest } from '../vendor-http.js';
import { vendorHttp } from '../vendor-http-client.js';
import { BypassWatch } from './bypass-watch.js';
import { Canaries } from './canaries.js';
import type { ConformanceOptions, SimulatedVendor, VendorEffect } from './options.js';
import { MemoryLedger } from './memory-ledger.js';
import { readSample } from './sample.js';
import { VendorProxy, type SeenRequest, type Traffic } from './vendor-proxy.js';

/** Milliseconds a plugin has to come back after its signal was aborted, as in the engine. */
const COME_BACK_MS = 2000;
const DEFAULT_CALL_TIMEOUT_MS = 10_000;
const DEADLINE_MS = 3_600_000;

/** How a call of the plugin ended. */
export type Came<T> =
  | { readonly kind: 'returned'; readonly value: T }
  | { readonly kind: 'threw'; readonly error: unknown }
  /** It threw after it was asked to stop. */
  | { readonly kind: 'stopped'; readonly why: StopRequested['why']; readonly error: unknown }
  /** It did not come back after it was asked to stop. */
  | { readonly kind: 'hung'; readonly why: StopRequested['why'] }
  /** Its worker died meanwhile. */
  | { readonly kind: 'killed' };

/** An action of the manifest with its sample, as the plugin would get it. */
export interface Trial {
  readonly name: string;
  readonly manifest: ActionManifest;
  readonly request: { readonly action: string; readonly parameters: Readonly<Record<string, unknown>> };
}

/** A worker with its own copy of the plugin, where the author gave a factory. */
export interface Worker {
  readonly provider: Provider;
}

/** What a call is about. */
export interface CallSubject {
  readonly actionId: string;
  /** Which of the two instances. */
  readonly instance: 0 | 1;
  readonly attempt: number;
  readonly issuedAt: Date | null;
  readonly checkpoint: Json;
}

/** One call under way, as the kit steers it. */
export class Call {
  readonly #abort = new AbortController();
  readonly requests: SeenRequest[] = [];
  #die: (() => void) | undefined;
  readonly died: Promise<void>;
  #dead = false;

  constructor() {
    this.died = new Promise((resolve) => (this.#die = resolve));
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get dead(): boolean {
    return this.#dead;
  }

  stop(why: StopRequested['why']): void {
    if (!this.signal.aborted) this.#abort.abort(new StopRequested(why));
  }

  /** The worker dies: nothing that the plugin does from now on has an effect, and nobody hears of it. */
  kill(): void {
    this.#dead = true;
    this.#die?.();
  }

  /** Never comes back once the worker is dead. */
  async alive<T>(value: Promise<T>): Promise<T> {
    try {
      return await value;
    } finally {
      if (this.#dead) await new Promise<never>(() => undefined);
    }
  }
}

export interface CallOptions {
  readonly traffic?: Traffic;
  /** The call is handed over before it begins, to be killed or stopped. */
  readonly steer?: (call: Call) => void;
  /** The worker dies when the plugin has come back and before anybody noted what it said. */
  readonly dieAtReturn?: boolean;
  readonly saved?: (operation: VendorOperation) => void;
  readonly noted?: (report: { readonly progress?: Json; readonly checkpoint?: Json }) => void;
}

/** The bench on which a plugin is tried: two instances, a vendor, a clock that only the kit moves. */
export class Rig {
  readonly canaries: Canaries;
  readonly watch = new BypassWatch();
  readonly trials: readonly Trial[];
  /** Milliseconds on the clock that only the kit moves. */
  now = 0;
  /** Requests that were sent since the last `fresh`, by the clock. */
  requests: {
    readonly at: number;
    readonly action: string;
    readonly instance: 0 | 1;
    readonly request: SeenRequest;
  }[] = [];
  /** Waited for before each request; by default nobody waits. */
  spend: (action: string) => void = () => undefined;
  /** Calls that did not come back in time, in words. */
  readonly hung = new Set<string>();
  readonly #settings: readonly [unknown, unknown];
  #ledgers = [new MemoryLedger(), new MemoryLedger()] as const;
  /** One object for all calls: connections are kept by it, as in production. */
  readonly #network: NetworkPolicy = { allow: ['127.0.0.0/8'], ports: [] };

  private constructor(
    readonly options: ConformanceOptions,
    readonly manifest: ProviderManifest,
    readonly proxy: VendorProxy | null,
    readonly firstWorker: Worker,
  ) {
    this.#settings = [filled(manifest, options, 0), filled(manifest, options, 1)];
    this.trials = Object.entries(manifest.actions).flatMap(([name, action]) => {
      const sample = options.samples[name];
      if (sample === undefined) return [];
      const read = readSample(action, sample);
      return read.ok ? [{ name, manifest: action, request: { action: name, parameters: read.values } }] : [];
    });
    this.canaries = new Canaries([
      ...options.instances.flatMap(({ secrets = {} }) => Object.values(secrets)),
      ...this.trials.flatMap(({ manifest: action, request }) => secretValues(action, request.parameters)),
    ]);
  }

  static async start(options: ConformanceOptions): Promise<Rig> {
    const provider = await providerOf(options);
    const proxy = options.vendor === null ? null : await VendorProxy.start(options.vendor.baseUrl);
    try {
      const rig = new Rig(options, provider.manifest, proxy, { provider });
      rig.watch.start();
      return rig;
    } catch (error) {
      await proxy?.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.watch.stop();
    await this.proxy?.stop();
  }

  /** The vendor; only for checks that have one. */
  get vendor(): SimulatedVendor {
    if (this.options.vendor === null) throw new TypeError('there is no vendor');
    return this.options.vendor;
  }

  /** A new scene: the vendor has forgotten, the clock stands at 0. */
  async fresh(): Promise<void> {
    this.now = 0;
    this.requests = [];
    this.spend = () => undefined;
    this.proxy?.forget();
    this.#ledgers = [new MemoryLedger(), new MemoryLedger()];
    await this.options.vendor?.reset();
  }

  /** The worker that takes over when another died. */
  async anotherWorker(): Promise<Worker> {
    return typeof this.options.provider === 'function'
      ? { provider: await this.options.provider() }
      : this.firstWorker;
  }

  async effects(): Promise<{
    readonly did: number;
    readonly stopped: number;
    readonly undid: number;
    readonly all: readonly VendorEffect[];
  }> {
    const all = await this.vendor.effects();
    const count = (what: VendorEffect['what']): number => all.filter((effect) => effect.what === what).length;
    return { did: count('did'), stopped: count('stopped'), undid: count('undid'), all };
  }

  idempotencyOf(trial: Trial, instance: 0 | 1 = 0): Idempotency {
    return (
      this.firstWorker.provider.calls.idempotencyOf?.(this.#settings[instance], trial.name) ??
      trial.manifest.idempotency
    );
  }

  settingsOf(instance: 0 | 1): unknown {
    return this.#settings[instance];
  }

  subject(part: Partial<CallSubject> = {}): CallSubject {
    return {
      actionId: randomUUID(),
      instance: 0,
      attempt: 1,
      issuedAt: new Date(),
      checkpoint: null,
      ...part,
    };
  }

  /** One call of the plugin. Never rejects. */
  async call<T>(
    what: string,
    action: string,
    subject: CallSubject,
    run: (context: ExecutionContext) => Promise<T>,
    options: CallOptions = {},
  ): Promise<Came<T>> {
    const call = new Call();
    options.steer?.(call);
    const timer = setTimeout(
      () => call.stop('deadline'),
      this.options.callTimeoutMs ?? DEFAULT_CALL_TIMEOUT_MS,
    );
    const context = this.#context(what, action, subject, call, options);
    let abandon: NodeJS.Timeout | undefined;
    const abandoned = new Promise<Came<T>>((resolve) => {
      const start = (): void => {
        abandon = setTimeout(() => {
          this.hung.add(`${action}: ${what}`);
          resolve({ kind: 'hung', why: whyOf(call.signal) });
        }, COME_BACK_MS);
      };
      if (call.signal.aborted) start();
      else call.signal.addEventListener('abort', start, { once: true });
    });
    const settled = async (): Promise<Came<T>> => {
      try {
        // A call of the engine is never made in the same turn: a plugin that throws before its first await is caught, too.
        const value = await this.watch.plugin(async () => run(context));
        this.canaries.hear(`what ${what} answered`, value);
        if (options.dieAtReturn === true) call.kill();
        if (call.dead) return { kind: 'killed' };
        return { kind: 'returned', value };
      } catch (error) {
        this.canaries.hear(`the error that ${what} threw`, error);
        return call.signal.aborted
          ? { kind: 'stopped', why: whyOf(call.signal), error }
          : { kind: 'threw', error };
      }
    };
    try {
      return await Promise.race([settled(), abandoned, call.died.then((): Came<T> => ({ kind: 'killed' }))]);
    } finally {
      clearTimeout(timer);
      clearTimeout(abandon);
    }
  }

  #context(
    what: string,
    action: string,
    subject: CallSubject,
    call: Call,
    options: CallOptions,
  ): ExecutionContext {
    const { instance } = subject;
    const say = (facts: unknown, event: unknown): void =>
      this.canaries.hear(`the log of ${what}`, [facts, event]);
    return {
      actionId: subject.actionId,
      tenantId: `tenant-${instance + 1}`,
      instance: `instance-${instance + 1}`,
      settings: this.#settings[instance],
      secrets: { ...this.options.instances[instance].secrets },
      signal: call.signal,
      http: this.#http(action, instance, call, options.traffic ?? {}),
      ledger: this.#ledgers[instance].ofWorker(call.died),
      log: { info: say, warn: say },
      attempt: subject.attempt,
      idempotencyKey: subject.actionId,
      issuedAt: subject.issuedAt,
      deadlineAt: new Date(Date.now() + DEADLINE_MS),
      lastCheckpoint: subject.checkpoint,
      saveOperation: (operation) =>
        call.alive(
          Promise.resolve().then(() => {
            this.canaries.hear('an operation that was saved', operation);
            if (!call.dead) options.saved?.(plain(operation));
          }),
        ),
      heartbeat: (report = {}) =>
        call.alive(
          Promise.resolve().then(() => {
            this.canaries.hear(`the progress of ${what}`, report);
            if (!call.dead) options.noted?.(report);
          }),
        ),
    };
  }

  #http(action: string, instance: 0 | 1, call: Call, traffic: Traffic): VendorHttp {
    const { proxy } = this;
    if (proxy === null)
      return {
        request: () =>
          Promise.reject(
            new TypeError('vendor: null was given, and the plugin calls one; give its simulator'),
          ),
      };
    const inner = (this.options.http ?? vendorHttp)({
      network: this.#network,
      signal: call.signal,
      spend: () => {
        this.spend(action);
        return Promise.resolve();
      },
      // As in the engine: what is secret in the parameters, too.
      secrets: [
        ...Object.values(this.options.instances[instance].secrets ?? {}),
        ...this.trials.flatMap((trial) =>
          trial.name === action ? secretValues(trial.manifest, trial.request.parameters) : [],
        ),
      ],
    });
    const watched: Traffic = {
      before: (request) => {
        call.requests.push(request);
        this.requests.push({ at: this.now, action, instance, request });
        return traffic.before?.(request);
      },
      after: (request, answer) => traffic.after?.(request, answer),
    };
    const request: VendorHttp['request'] = (wanted) =>
      this.watch.kit(async () => {
        const { url: original, changes = !['GET', 'HEAD'].includes(wanted.method) }: VendorRequest = wanted;
        const way = proxy.wayOf(new URL(original), watched, changes);
        return call.alive(
          inner.request({ ...wanted, url: way.url, headers: { ...wanted.headers, ...way.headers } }),
        );
      });
    return { request };
  }
}

/** As it comes back from the database. */
export function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

async function providerOf({ provider }: ConformanceOptions): Promise<Provider> {
  return typeof provider === 'function' ? provider() : provider;
}

function filled(manifest: ProviderManifest, options: ConformanceOptions, instance: 0 | 1): unknown {
  const settings = structuredClone(options.instances[instance].settings);
  const validate = compileSchema(manifest.settings);
  if (!validate(settings))
    throw new TypeError(
      (validate.errors ?? [])
        .map((error) => describeSchemaError(error, `instances[${instance}].settings`))
        .join('; '),
    );
  return settings;
}

function secretValues(
  action: ActionManifest,
  parameters: Readonly<Record<string, unknown>>,
): readonly string[] {
  const schemas = action.parameters.properties as Readonly<Record<string, { readonly writeOnly?: boolean }>>;
  return Object.entries(parameters).flatMap(([name, value]) =>
    schemas[name]?.writeOnly === true && typeof value === 'string' ? [value] : [],
  );
}

function whyOf(signal: AbortSignal): StopRequested['why'] {
  return signal.reason instanceof StopRequested ? signal.reason.why : 'shutdown';
}
