import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { ApiNode } from './cluster.js';
import type { CancelAnswered, Creation } from './evidence.js';
import type { Mode } from './modes.js';
import type { CampaignVendor } from './vendor.js';
import type { Random } from '../support/random.js';

export const TENANTS = [
  '11111111-1111-4111-8111-111111111111',
  '99999999-9999-4999-8999-999999999999',
] as const;

const CLIENTS = 24;
const ANSWER_WITHIN_MS = 30_000;
const HEALTH_EVERY_MS = 200;
const COLLECTION = '/beta/security/securityActions';
const CANCELLED_SHARE = 0.2;
const CANCELLED_TWICE = 0.3;
const CANCEL_WITHIN_MS = 3000;
const STORM_WITHIN_MS = 5000;
/** Longest the last requests may take to be acknowledged once all faults are over. */
const FINISH_WITHIN_MS = 180_000;

export interface WorkloadOptions {
  readonly apis: readonly ApiNode[];
  readonly vendors: ReadonlyMap<Mode, CampaignVendor>;
  readonly tokens: ReadonlyMap<string, string>;
  readonly random: Random;
  /** Actions to be acknowledged. */
  readonly actions: number;
  /** Milliseconds over which they are spread. */
  readonly spreadMs: number;
  /** Acknowledgements are written there, and flushed, before they count. */
  readonly dir: string;
}

/** The clients: they create and cancel through whichever API is in service, and keep every answer. */
export class Workload {
  readonly creations: Creation[] = [];
  readonly cancels: CancelAnswered[] = [];
  readonly #options: WorkloadOptions;
  readonly #agent = new Agent({
    connections: CLIENTS,
    keepAliveTimeout: 4000,
    bodyTimeout: ANSWER_WITHIN_MS,
  });
  readonly #inService = new Map<string, boolean>();
  readonly #pending = new Set<Promise<void>>();
  readonly #acks: number;
  #sent = 0;
  #failed = 0;
  #allowed = 0;
  #acknowledged = 0;
  #storm = false;
  #stopped = false;
  #faultsOver = false;
  #running: Promise<unknown> = Promise.resolve();
  #paused = false;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#acks = openSync(path.join(options.dir, 'acknowledged.ndjson'), 'a');
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  start(): void {
    const health = this.#options.apis.map((api) => this.#watch(api));
    const startedAt = performance.now();
    const clients = Array.from({ length: CLIENTS }, () => this.#client(startedAt));
    this.#running = Promise.all([...clients, ...health]);
  }

  /** Lets this share of the actions be sent: there has to be something to hurt until the last fault. */
  allow(share: number): void {
    this.#allowed = share;
  }

  /** While on, every action is cancelled, twice. */
  storm(on: boolean): void {
    this.#storm = on;
  }

  /** Nothing is sent while paused. */
  pause(on: boolean): void {
    this.#paused = on;
  }

  /** Sends what is left without pacing, and waits for the answers, cancels included. */
  async finish(): Promise<void> {
    this.allow(1);
    this.#faultsOver = true;
    const until = performance.now() + FINISH_WITHIN_MS;
    while (this.#acknowledged < this.#options.actions && performance.now() < until) await sleep(50);
    this.#stopped = true;
    await this.#running;
    await Promise.all(this.#pending);
  }

  async close(): Promise<void> {
    await this.#agent.close();
    closeSync(this.#acks);
  }

  /** Creates one action; its id, or null when it was not acknowledged. */
  async create(
    tenant: string,
    mode: Mode,
    name: string,
    parameters: Readonly<Record<string, string | number>>,
  ): Promise<string | null> {
    const sentAt = Date.now();
    const asked = performance.now();
    const answer = await this.#call(tenant, 'POST', COLLECTION, {
      name,
      actionReason: 'Fault campaign',
      parameters: Object.entries(parameters).map(([key, value]) => ({ name: key, value: String(value) })),
      vendorInformation: this.#vendor(mode).vendorInformation,
    });
    const id = answer.status === 201 ? idOf(answer.body) : null;
    const problem = id === null ? { problem: answer.body.slice(0, 300) } : {};
    const ms = performance.now() - asked;
    const creation = { sentAt, ms, status: answer.status, id, tenant, mode, name, ...problem };
    this.creations.push(creation);
    if (id !== null) {
      writeSync(this.#acks, `${JSON.stringify(creation)}\n`);
      fsyncSync(this.#acks);
    }
    return id;
  }

  /** Whether a tenant is shown this id. */
  async sees(tenant: string, id: string): Promise<boolean> {
    return (await this.#call(tenant, 'GET', `${COLLECTION}/${id}`)).status === 200;
  }

  async #client(startedAt: number): Promise<void> {
    const { random, actions, spreadMs } = this.#options;
    while (!this.#stopped) {
      if (this.#paused || this.#sent - this.#failed >= actions * this.#allowed) {
        await sleep(20);
        continue;
      }
      const turn = this.#sent;
      this.#sent += 1;
      const dueAt = startedAt + (turn * spreadMs) / actions;
      while (performance.now() < dueAt && !this.#faultsOver)
        await sleep(Math.min(100, dueAt - performance.now()));
      if (this.#stopped) return;
      await this.#one(turn, random);
    }
  }

  async #one(turn: number, random: Random): Promise<void> {
    const tenant = random.chance(0.1) ? TENANTS[1] : TENANTS[0];
    const mode = random.pick([...this.#options.vendors.keys()]);
    const asked = this.#vendor(mode).ask(turn, random);
    const storm = this.#storm;
    const cancelled = storm || random.chance(CANCELLED_SHARE);
    const cancelAfterMs = random.between(0, storm ? STORM_WITHIN_MS : CANCEL_WITHIN_MS);
    const again = storm || random.chance(CANCELLED_TWICE);
    const { name, parameters } = await asked;
    const id = await this.create(tenant, mode, name, parameters);
    if (id === null) {
      this.#failed += 1;
      return;
    }
    this.#acknowledged += 1;
    if (!cancelled) return;
    this.#track(this.#cancel(tenant, id, cancelAfterMs));
    if (again) this.#track(this.#cancel(tenant, id, cancelAfterMs + 5));
  }

  #vendor(mode: Mode): CampaignVendor {
    return this.#options.vendors.get(mode) as CampaignVendor;
  }

  #track(work: Promise<void>): void {
    this.#pending.add(work);
    void work.finally(() => this.#pending.delete(work));
  }

  async #cancel(tenant: string, id: string, afterMs: number): Promise<void> {
    await sleep(afterMs);
    const { status } = await this.#call(tenant, 'POST', `${COLLECTION}/${id}/cancelSecurityAction`);
    this.cancels.push({ id, answeredAt: Date.now(), status });
  }

  async #call(
    tenant: string,
    method: 'GET' | 'POST',
    pathname: string,
    body?: object,
  ): Promise<{ readonly status: number; readonly body: string }> {
    const { url } = this.#pick();
    try {
      const answer = await request(`${url}${pathname}`, {
        method,
        dispatcher: this.#agent,
        headersTimeout: ANSWER_WITHIN_MS,
        headers: {
          authorization: `Bearer ${this.#options.tokens.get(tenant)}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: answer.statusCode, body: await answer.body.text() };
    } catch (error) {
      return { status: 0, body: error instanceof Error ? error.message : String(error) };
    }
  }

  /** As a load balancer: one that says it is ready; any, when none does. */
  #pick(): ApiNode {
    const { apis } = this.#options;
    const ready = apis.filter(({ url }) => this.#inService.get(url) === true);
    const pool = ready.length > 0 ? ready : apis;
    return pool[Math.floor(Math.random() * pool.length)] as ApiNode;
  }

  async #watch({ url }: ApiNode): Promise<void> {
    while (!this.#stopped) {
      const ready = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(1000) }).then(
        async (answer) => {
          await answer.arrayBuffer();
          return answer.status === 200;
        },
        () => false,
      );
      this.#inService.set(url, ready);
      await sleep(HEALTH_EVERY_MS);
    }
  }
}

function idOf(body: string): string {
  return (JSON.parse(body) as { readonly id: string }).id;
}
