import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SimulatedVendor, VendorEffect } from '#provider-sdk/conformance';
import { SimulatorServer, answerJson, type Incoming } from '../simulator-server.js';
import { ROUTES, refusalBody, refuseWithout } from './api.js';
import {
  DEFAULT_BEHAVIOUR,
  parseBehaviour,
  parseFate,
  type Behaviour,
  type Fate,
  type Fault,
} from './behaviour.js';
import { VendorClock } from './clock.js';
import { answerControl, type Controlled } from './control.js';
import { effectsOf } from './effects.js';
import { FaultPlan } from './fault-plan.js';
import { DEFAULT_LIBRARY } from './live-response.js';
import type { Order } from './machine-actions.js';
import { DEFAULT_MACHINES, type MachineSpec } from './machines.js';
import { Quotas } from './quota.js';
import { badRequest, notFound, Refusal } from './refusal.js';
import { Referee, markerOf, type Counts, type Fact } from './referee.js';
import { Tenant } from './tenant.js';
import { Tokens, type Directory } from './tokens.js';

/** What a simulator that says nothing else knows; the secret opens nothing but the simulator. */
export const DEFAULT_TENANT = '11111111-1111-4111-8111-111111111111';
export const DEFAULT_APP = '22222222-2222-4222-8222-222222222222';
export const DEFAULT_SECRET = 'simulator-only';

export interface DefenderSimulatorOptions {
  /** Port on 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /** How many times as fast as the wall's its durations pass. Default 1. */
  readonly speed?: number;
  /** Makes the shares of faults repeatable. Default 1. */
  readonly seed?: number;
  readonly behaviour?: Partial<Behaviour>;
  readonly faults?: readonly Fault[];
  readonly fates?: readonly Fate[];
  /** Default: one tenant with one application that may do all. */
  readonly directory?: Directory;
  /** The machines of each tenant. Default: {@link DEFAULT_MACHINES}. */
  readonly machines?: readonly MachineSpec[];
  /** What live responses find: files, scripts by their exit codes. */
  readonly library?: Readonly<Record<string, number>>;
  /** Facts are appended to it, each on disk before the answer. Default: none. */
  readonly ledgerFile?: string;
}

/** Faults after which who asked cannot know whether it was done. */
const IN_DOUBT_BEFORE: ReadonlySet<Fault['how']> = new Set(['error', 'cut', 'hang']);
const IN_DOUBT_AFTER: ReadonlySet<Fault['how']> = new Set(['errorAfter', 'cutAfter', 'hangAfter', 'garbage']);

/** Microsoft Defender for Endpoint and its tokens over HTTP, see the README. */
export class DefenderSimulator implements SimulatedVendor, Controlled {
  readonly clock: VendorClock;
  readonly tokens: Tokens;
  readonly #options: DefenderSimulatorOptions;
  readonly #referee: Referee;
  readonly #quotas: Quotas;
  readonly #links = new Map<string, { readonly contents: string; readonly until: number }>();
  readonly #tenants = new Map<string, Tenant>();
  #behaviour: Behaviour = DEFAULT_BEHAVIOUR;
  #faults: FaultPlan;
  #fates: Fate[] = [];
  #library: Readonly<Record<string, number>>;
  #calls = 0;
  #server: SimulatorServer | undefined;

  private constructor(options: DefenderSimulatorOptions) {
    this.#options = options;
    this.clock = new VendorClock(options.speed ?? 1);
    this.tokens = new Tokens(
      options.directory ?? { [DEFAULT_TENANT]: { [DEFAULT_APP]: { secret: DEFAULT_SECRET } } },
    );
    this.#referee = new Referee(options.ledgerFile);
    this.#quotas = new Quotas(this.clock);
    this.#faults = new FaultPlan(options.seed ?? 1, []);
    this.#library = options.library ?? DEFAULT_LIBRARY;
    this.reset();
  }

  /** @throws Error when the port is taken, or an option is not understood */
  static async start(options: DefenderSimulatorOptions = {}): Promise<DefenderSimulator> {
    const simulator = new DefenderSimulator(options);
    simulator.#server = await SimulatorServer.start(
      (incoming, response) => simulator.#handle(incoming, response),
      options.port,
    );
    return simulator;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  /** Of the API and of the tokens alike. */
  get baseUrl(): string {
    return this.#server?.baseUrl ?? '';
  }

  // What tests tell it, here and by `/_control`.

  /** Forgets what happened and what it was told, and is as it was started. Tokens and applications stay. */
  reset(): void {
    this.#tenants.clear();
    this.#links.clear();
    this.#referee.reset();
    this.#quotas.reset();
    this.#behaviour = { ...DEFAULT_BEHAVIOUR, ...parseBehaviour(this.#options.behaviour ?? {}) };
    this.#faults = new FaultPlan(this.#options.seed ?? 1, this.#options.faults ?? []);
    this.#fates = (this.#options.fates ?? []).map(parseFate);
    this.#library = this.#options.library ?? DEFAULT_LIBRARY;
    this.#calls = 0;
  }

  /** @returns how it is now */
  behave(behaviour: Partial<Behaviour>): Behaviour {
    this.#behaviour = { ...this.#behaviour, ...parseBehaviour(behaviour) };
    return this.#behaviour;
  }

  /** Adds faults to those that wait for their requests. */
  fault(...faults: readonly Fault[]): void {
    this.#faults.add(faults);
  }

  /** No fault waits any longer. */
  clearFaults(): void {
    this.#faults.clear();
  }

  /** What live responses find from now on. */
  setLibrary(library: Readonly<Record<string, number>>): void {
    this.#library = library;
  }

  /** Adds to what becomes of the next actions. */
  destine(...fates: readonly Fate[]): void {
    this.#fates.push(...fates.map(parseFate));
  }

  /** What is left of a tenant, made when it is first asked for. */
  tenant(tenantId = DEFAULT_TENANT): Tenant {
    const known = this.#tenants.get(tenantId);
    if (known !== undefined) return known;
    const tenant = new Tenant(
      {
        clock: this.clock,
        referee: this.#referee,
        behaviour: () => this.#behaviour,
        fate: (order) => this.#fateOf(order),
        library: () => this.#library,
        tenantId,
      },
      this.#options.machines ?? DEFAULT_MACHINES,
    );
    this.#tenants.set(tenantId, tenant);
    return tenant;
  }

  /** What the referee counted until now. */
  counts(): Counts {
    this.#pass();
    const isolated = [...this.#tenants.values()].flatMap(({ machines }) =>
      machines.all().filter((machine) => machine.isolated !== null),
    );
    return this.#referee.counts(isolated.map(({ id }) => id));
  }

  facts(): readonly Fact[] {
    this.#pass();
    return this.#referee.facts;
  }

  // What the conformance kit asks for.

  effects(): readonly VendorEffect[] {
    return this.facts().flatMap((fact) => effectsOf(fact));
  }

  calls(): number {
    return this.#calls;
  }

  finish(operationId: string): boolean {
    return [...this.#tenants.values()].some(({ actions }) => actions.finish(operationId));
  }

  sayStatus(status: string): void {
    this.behave({ shownStatus: status });
  }

  #pass(): void {
    for (const { actions } of this.#tenants.values()) actions.pass();
  }

  #fateOf({ type, machine }: Order): Fate | undefined {
    const fate = this.#fates.find(
      (one) =>
        (one.times ?? 1) > 0 &&
        (one.type ?? type) === type &&
        (one.machineId ?? machine.id).toLowerCase() === machine.id,
    );
    if (fate !== undefined) fate.times = (fate.times ?? 1) - 1;
    return fate;
  }

  async #handle(incoming: Incoming, response: ServerResponse): Promise<void> {
    const path = decoded(incoming.url.pathname);
    if (path.startsWith('/_control/')) return answerControl(this, path, incoming, response);
    this.#calls += 1;
    const latencyMs = this.clock.lasting(this.#behaviour.latencyMs);
    if (latencyMs > 0) await sleep(latencyMs);
    const route = ROUTES.find((one) => one.method === incoming.method && one.path.test(below(path) ?? ''));
    const tokenTenant = /^\/([^/]+)\/oauth2\/v2\.0\/token$/.exec(path)?.[1];
    const call = tokenTenant === undefined ? (route?.call ?? 'none') : 'token';
    const fault = this.#faults.take(call);
    if (fault !== undefined) this.#noteDoubt(fault, call, incoming, false);
    if (fault !== undefined && this.#failBefore(fault, response)) return;
    const send = (status: number, body: unknown): void => {
      if (fault !== undefined && status < 400) {
        this.#noteDoubt(fault, call, incoming, true);
        if (this.#failAfter(fault, response)) return;
      }
      this.#referee.answered(status);
      if (body === undefined) response.writeHead(status).end();
      else answerJson(response, status, body);
    };
    try {
      if (tokenTenant !== undefined) {
        const form = new URLSearchParams(incoming.body);
        const answer = await this.tokens.answer(tokenTenant, form, this.#behaviour.tokenSeconds);
        return send(answer.status, answer.body);
      }
      const download = /^\/download\/([^/]+)$/.exec(path)?.[1];
      if (download !== undefined) return this.#download(download, response);
      const caller = await this.tokens.read(incoming.headers.authorization);
      if (route === undefined) throw notFound(`There is no ${incoming.method} ${path}`);
      this.#quotas.take(caller.tenantId, caller.appId, route.quota);
      refuseWithout(caller, route.roles);
      const { status, body } = route.answer({
        tenant: this.tenant(caller.tenantId),
        caller,
        path: (route.path.exec(below(path) ?? '') ?? []).slice(1),
        query: incoming.url.searchParams,
        body: incoming.body,
        link: (contents) => this.#link(contents),
      });
      send(status, body);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // What could not be done could not fail afterwards either: that is for the next one.
      if (fault?.how.endsWith('After') === true) this.#faults.giveBack(fault);
      this.#refuse(error, response);
    }
  }

  /** Of what asked for something; that a cancel or a look went wrong leaves nobody in doubt about that. */
  #noteDoubt({ how }: Fault, call: string, { method, body }: Incoming, done: boolean): void {
    const marker = method === 'POST' && call !== 'cancel' ? markerIn(body) : null;
    const isOfIt = (done ? IN_DOUBT_AFTER : IN_DOUBT_BEFORE).has(how);
    if (isOfIt && marker !== null) this.#referee.note({ event: 'misbehaved', how, call, marker });
  }

  #refuse(refusal: Refusal, response: ServerResponse): void {
    const { status, retryAfter } = refusal;
    this.#referee.answered(status);
    answerJson(
      response,
      status,
      refusalBody(refusal),
      retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) },
    );
  }

  /** True: that was the answer, and nothing was done. */
  #failBefore(fault: Fault, response: ServerResponse): boolean {
    switch (fault.how) {
      case 'error':
        this.#fail(fault, response);
        return true;
      case 'throttle':
        this.#refuse(
          new Refusal(429, 'TooManyRequests', 'Too many requests', fault.retryAfter ?? 1),
          response,
        );
        return true;
      case 'activeRequest':
        this.#refuse(badRequest('ActiveRequestAlreadyExists', 'Action is already in progress'), response);
        return true;
      case 'expireToken':
        this.tokens.expireAll();
        return false;
      case 'cut':
        this.#cut(response);
        return true;
      case 'hang':
        this.#referee.answered(0);
        return true;
      default:
        return false;
    }
  }

  /** True: that was the answer, though it was done. */
  #failAfter(fault: Fault, response: ServerResponse): boolean {
    switch (fault.how) {
      case 'errorAfter':
        this.#fail(fault, response);
        return true;
      case 'cutAfter':
        this.#cut(response);
        return true;
      case 'hangAfter':
        this.#referee.answered(0);
        return true;
      case 'garbage':
        this.#referee.answered(200);
        response.writeHead(200, { 'content-type': 'application/json' }).end('<html>');
        return true;
      default:
        return false;
    }
  }

  #fail({ status = 500 }: Fault, response: ServerResponse): void {
    this.#refuse(new Refusal(status, 'InternalServerError', 'An internal error occurred'), response);
  }

  #cut(response: ServerResponse): void {
    this.#referee.answered(0);
    response.socket?.resetAndDestroy();
  }

  #link(contents: string): string {
    const id = randomUUID();
    this.#links.set(id, { contents, until: this.clock.now() + this.clock.lasting(30 * 60_000) });
    return `${this.baseUrl}/download/${id}?sig=${randomUUID()}`;
  }

  /** Without a token, as a storage account's signed links are. */
  #download(id: string, response: ServerResponse): void {
    const link = this.#links.get(id);
    if (link === undefined || link.until < this.clock.now()) {
      this.#referee.answered(403);
      response.writeHead(403, { 'content-type': 'application/xml' });
      response.end('<Error><Code>AuthenticationFailed</Code></Error>');
      return;
    }
    this.#referee.answered(200);
    response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(link.contents);
  }
}

/** The marker of what a body asks for, be it a machine action or an indicator. */
function markerIn(body: string): string | null {
  try {
    const { Comment, description } = JSON.parse(body) as Readonly<Record<string, unknown>>;
    return markerOf(String(Comment ?? description));
  } catch {
    return null;
  }
}

/** A path that is not well encoded stays as it is, and leads nowhere. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The path below `/api` or `/api/v1.0`; null for another. */
function below(path: string): string | null {
  return /^\/api(?:\/v1\.0)?(\/.*)$/.exec(path)?.[1] ?? null;
}
