import { setTimeout as sleep } from 'node:timers/promises';
import {
  PluginDefect,
  PluginDied,
  ProviderError,
  Type,
  compileSchema,
  isProviderErrorClass,
  secretTexts,
  vendorHttpOrigin,
  type CallContext,
  type ExecutionContext,
  type InstanceContext,
  type Provider,
  type ProviderManifest,
  type SentRequest,
  type VendorHttpOptions,
  type WatchedRequest,
} from '#provider-sdk';
import { inActiveSpan, outsideSpans } from '#telemetry';
import { PluginProcess, ProcessEnded, type CallHooks, type PluginProcessOptions } from './plugin-process.js';
import { errorOf, toldRequest, type CallFacts, type Failure, type ToldRequest } from './protocol.js';

/** Milliseconds until a process that ended is started anew: doubled each time, up to the most. */
const RESTART_LEAST_MS = 1000;
const RESTART_MOST_MS = 60_000;
/** A process that lived so long did not end because it was started. */
const SETTLED_AFTER_MS = 60_000;
/** A start that is nearer than this is waited for. */
const WAIT_MOST_MS = 2000;
const SUSPECTS_KEPT = 1000;
/** Requests of one call that are watched at a time: a plugin could begin any number, and end none. */
const WATCHED_MOST = 100;

const open = { additionalProperties: true };
const text = Type.String();
const texts = Type.Array(text);
const anyJson = Type.Unknown();
const outcome = Type.Union([
  Type.Object({ kind: Type.Literal('completed') }, open),
  Type.Object({ kind: Type.Literal('pending'), operation: Type.Object({ id: text }, open) }, open),
  Type.Object({ kind: Type.Literal('failed'), error: Type.Object({ message: text }, open) }, open),
  Type.Object({ kind: Type.Enum(['stopped', 'notFound', 'cannotTell']) }, open),
]);
const check = Type.Object({ name: text, ok: Type.Boolean(), message: text }, open);

/** What each call has to answer. */
const ANSWERS = {
  execute: outcome,
  poll: outcome,
  reconcile: outcome,
  revert: outcome,
  cancel: text,
  pollMany: Type.Array(Type.Array(anyJson, { minItems: 2, maxItems: 2 })),
  plan: Type.Object({
    summary: text,
    changes: texts,
    warnings: Type.Optional(texts),
    target: Type.Optional(anyJson),
  }),
  observe: Type.Object({
    inPlace: Type.Union([Type.Boolean(), Type.Null()]),
    message: text,
    details: Type.Optional(anyJson),
  }),
  health: Type.Object({ ok: Type.Boolean(), message: text, checks: Type.Optional(Type.Array(check)) }),
} as const;
type CallName = keyof typeof ANSWERS;

/** The one process per instance in which one version of a plugin runs. */
class InstanceProcesses {
  readonly #options: PluginProcessOptions;
  #current: Promise<PluginProcess> | undefined;
  #running = new Set<PluginProcess>();
  #ends = 0;
  #notBefore = 0;
  #closed = false;
  /** Actions that were under way, with others, in a process that ended: each has one to itself from then on. */
  readonly #suspects = new Set<string>();

  constructor(options: PluginProcessOptions) {
    this.#options = options;
  }

  async call(name: CallName, facts: CallFacts, args: readonly unknown[], hooks: CallHooks): Promise<unknown> {
    const actionId = facts.action?.actionId ?? null;
    const alone = actionId !== null && this.#suspects.has(actionId);
    const process = await (alone ? this.#start() : this.#shared());
    try {
      return await process.call(name, facts, args, hooks);
    } catch (error) {
      if (!(error instanceof ProcessEnded)) throw error;
      if (!error.sent)
        throw new ProviderError(
          'unreachable',
          `The plugin's process is ending: ${error.why}. Nothing was sent.`,
        );
      const changes = name === 'execute' || name === 'revert';
      const message = `The plugin's process ended while it was called: ${error.why}.`;
      if (!error.alone && actionId !== null && this.#suspects.size < SUSPECTS_KEPT)
        this.#suspects.add(actionId);
      const errorClass = changes ? 'unknownOutcome' : 'transient';
      throw error.alone ? new PluginDied(errorClass, message) : new ProviderError(errorClass, message);
    } finally {
      if (alone) process.kill('its one call is over');
    }
  }

  /** Ends all processes, once the calls under way are over or `graceMs` have passed. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    const end = performance.now() + graceMs;
    while (performance.now() < end && [...this.#running].some(({ busy }) => busy > 0)) await sleep(50);
    const ended = [...this.#running].map(
      (process) => (process.kill('it is not needed any more'), process.ended),
    );
    await Promise.all(ended);
  }

  async #shared(): Promise<PluginProcess> {
    if (this.#current === undefined) {
      const waitMs = this.#notBefore - performance.now();
      if (waitMs > WAIT_MOST_MS)
        throw new ProviderError(
          'unreachable',
          "The plugin's process ended too often; it is started again later.",
          {
            retryAfterMs: waitMs,
          },
        );
      this.#current = (async () => {
        if (waitMs > 0) await sleep(waitMs);
        return this.#start();
      })();
      const mine = this.#current;
      const startedAt = performance.now();
      const forget = (): void => {
        if (this.#current === mine) this.#current = undefined;
        if (performance.now() - startedAt > SETTLED_AFTER_MS) this.#ends = 0;
        this.#notBefore = performance.now() + Math.min(RESTART_MOST_MS, RESTART_LEAST_MS * 2 ** this.#ends);
        this.#ends += 1;
      };
      mine.then((process) => process.ended.then(forget), forget);
    }
    return this.#current;
  }

  async #start(): Promise<PluginProcess> {
    // Nothing was sent: another process, or this one later, can do it.
    if (this.#closed) throw new ProviderError('unreachable', 'The plugin is being stopped.');
    // It outlives the call that it is started for, and is no part of that one's trace.
    const starting = outsideSpans(() => PluginProcess.start(this.#options));
    const { process } = await starting.catch((error: unknown) => {
      throw new ProviderError(
        'unreachable',
        `The plugin's process could not be started: ${(error as Error).message}.`,
      );
    });
    this.#running.add(process);
    void process.ended.then((why) => {
      this.#running.delete(process);
      if (!this.#closed && why !== 'its one call is over')
        this.#options.log.warn({ plugin: this.#options.name, why }, "a plugin's process ended");
    });
    return process;
  }
}

/** One version of an outside plugin, as a provider whose calls run in processes of their own. */
export class OutsideProvider {
  readonly provider: Provider;
  readonly #instances = new Map<string, InstanceProcesses>();
  readonly #options: PluginProcessOptions;
  readonly #manifest: ProviderManifest;

  constructor(manifest: ProviderManifest, calls: ReadonlySet<string>, options: PluginProcessOptions) {
    this.#manifest = manifest;
    this.#options = options;
    const names = (Object.keys(ANSWERS) as CallName[]).filter((name) => calls.has(name));
    const forwarded = names.map((name) => [
      name,
      (context: InstanceContext, ...args: unknown[]) => this.#call(name, context, args),
    ]);
    // The names were held against those that a provider has, and `checkManifest` saw that the necessary ones are there.
    this.provider = { manifest, calls: Object.fromEntries(forwarded) as Provider['calls'] };
  }

  async close(graceMs: number): Promise<void> {
    await Promise.all([...this.#instances.values()].map((instance) => instance.close(graceMs)));
  }

  async #call(name: CallName, context: InstanceContext, args: readonly unknown[]): Promise<unknown> {
    let processes = this.#instances.get(context.instance);
    if (processes === undefined) {
      processes = new InstanceProcesses(this.#options);
      this.#instances.set(context.instance, processes);
    }
    const origin = vendorHttpOrigin(context.http);
    const hidden = [
      ...Object.values(context.secrets),
      ...(origin?.secrets ?? []),
      ...args.flatMap((arg) => secretValues(this.#manifest, arg)),
    ].filter((value) => value !== '');
    const execution = context as Partial<ExecutionContext>;
    const requests = new RequestsUnderWay(origin?.watch);
    // They are called from the process's socket, which knows nothing of the span that this call has.
    const hooks: CallHooks = {
      signal: context.signal,
      hidden,
      log: inActiveSpan((level, facts, event) => context.log[level](facts, event)),
      ask: inActiveSpan(async (what, value, ask) => {
        if (what === 'spend') {
          const request = requestOf(value);
          await origin?.spend(context.signal, request);
          return request === undefined ? null : requests.begin(ask, request);
        }
        const act = execution[what] as ((value: unknown) => Promise<void>) | undefined;
        if (act === undefined) throw new PluginDefect(`${what} is not to be had in ${name}`);
        await act(value);
        return null;
      }),
      ended: (answer) => requests.end(answer),
    };
    const facts: CallFacts = {
      ...factsOf(context, origin?.network ?? { allow: [], ports: [] }, hidden),
      watched: origin?.watch !== undefined,
    };
    const answer = await processes.call(name, facts, args, hooks).finally(() => requests.endAll());
    if (!compileSchema(ANSWERS[name])(answer))
      throw new TypeError(`the plugin's answer to ${name} has not the form of one`);
    if (name !== 'pollMany') return restored(answer);
    const entries = (answer as [unknown, unknown][]).filter(([, value]) => compileSchema(outcome)(value));
    // One whose outcome is none is as one that was left out: asked about again later.
    return new Map(entries.map(([key, value]) => [String(key), restored(value)]));
  }
}

function factsOf(
  context: InstanceContext,
  network: CallFacts['network'],
  hidden: readonly string[],
): Omit<CallFacts, 'watched'> {
  const { instance, settings, secrets } = context;
  const { actionId, tenantId, attempt, idempotencyKey, issuedAt, deadlineAt } =
    context as Partial<CallContext>;
  return {
    instance,
    settings,
    secrets,
    action:
      actionId === undefined || deadlineAt === undefined
        ? null
        : {
            actionId,
            tenantId: tenantId ?? '',
            attempt: attempt ?? 1,
            idempotencyKey: idempotencyKey ?? actionId,
            issuedAt: issuedAt?.toISOString() ?? null,
            deadlineAt: deadlineAt.toISOString(),
          },
    lastCheckpoint: (context as Partial<ExecutionContext>).lastCheckpoint ?? null,
    network,
    hidden,
  };
}

/** Requests of one call that are under way in the plugin's process and watched here. What is told of them is not trusted. */
class RequestsUnderWay {
  readonly #watch: VendorHttpOptions['watch'];
  readonly #open = new Map<number, WatchedRequest>();

  constructor(watch: VendorHttpOptions['watch']) {
    this.#watch = watch;
  }

  /** What is sent along; null: it is not watched. */
  begin(ask: number, request: SentRequest): WatchedRequest['headers'] | null {
    if (this.#open.size >= WATCHED_MOST || this.#open.has(ask)) return null;
    const watched = this.#watch?.(request);
    if (watched === undefined) return null;
    this.#open.set(ask, watched);
    return watched.headers;
  }

  end({ ask, status, errorType }: Parameters<CallHooks['ended']>[0]): void {
    const watched = this.#open.get(ask);
    this.#open.delete(ask);
    watched?.ended({
      ...(status === null ? {} : { status }),
      ...(errorType === null ? {} : { errorType: isProviderErrorClass(errorType) ? errorType : STOPPED }),
    });
  }

  /** The call is over, and so is what it did not tell the end of. */
  endAll(): void {
    for (const { ended } of this.#open.values()) ended({ errorType: STOPPED });
    this.#open.clear();
  }
}

/** As the client calls what was cut off from here. */
const STOPPED = 'stopped';

/** Undefined where nothing was told of it that could be watched. */
function requestOf(value: unknown): SentRequest | undefined {
  if (!compileSchema(toldRequest)(value)) return undefined;
  const { method, origin, resend } = value as ToldRequest;
  return URL.canParse(origin) ? { method, url: new URL(origin), resend } : undefined;
}

/** The failure of an outcome is an error again. */
function restored(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { kind, error } = value as { readonly kind?: unknown; readonly error?: Failure };
  if (kind !== 'failed' || error === undefined) return value;
  const failure = errorOf(error);
  // A failure of no known class is a defect, as where it is thrown.
  if (!(failure instanceof ProviderError)) throw failure;
  return { kind, error: failure };
}

/** Values of secret parameters of a request among the arguments. */
function secretValues(manifest: ProviderManifest, arg: unknown): string[] {
  if (typeof arg !== 'object' || arg === null || !('action' in arg) || !('parameters' in arg)) return [];
  const action = manifest.actions[String(arg.action)];
  if (action === undefined) return [];
  return secretTexts(action, arg.parameters as Readonly<Record<string, unknown>>).map(([, secret]) => secret);
}
