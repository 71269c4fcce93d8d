import type { ServerResponse } from 'node:http';
import type { SimulatedVendor, VendorEffect } from '#provider-sdk/conformance';
import { SimulatorServer, answerJson, type Incoming } from '../../simulators/simulator-server.js';

interface Job {
  readonly id: string;
  readonly tag: string;
  readonly target: string;
  status: string;
}

/** A small vendor over HTTP: tokens per client, blocks, scans by key, tickets by tag, and commands that it only takes. */
export class SmallVendor implements SimulatedVendor {
  readonly blocks = new Set<string>();
  readonly jobs = new Map<string, Job>();
  #effects: VendorEffect[] = [];
  #calls = 0;
  #status: string | undefined;
  #tokens = new Map<string, string>();

  #server: SimulatorServer | undefined;

  static async start(): Promise<SmallVendor> {
    const vendor = new SmallVendor();
    vendor.#server = await SimulatorServer.start((incoming, response) => vendor.#answer(incoming, response));
    return vendor;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  get baseUrl(): string {
    return this.#server?.baseUrl ?? '';
  }

  reset(): void {
    this.blocks.clear();
    this.jobs.clear();
    this.#effects = [];
    this.#calls = 0;
    this.#status = undefined;
  }

  effects(): readonly VendorEffect[] {
    return this.#effects;
  }

  calls(): number {
    return this.#calls;
  }

  finish(id: string): boolean {
    const job = this.jobs.get(id);
    if (job?.status !== 'running') return false;
    job.status = 'done';
    return true;
  }

  sayStatus(status: string): void {
    this.#status = status;
  }

  preexisting(_action: string, sample: Readonly<Record<string, unknown>>): void {
    this.blocks.add(String(sample['IP']));
  }

  #answer({ method, url, headers, body }: Incoming, response: ServerResponse): void {
    this.#calls += 1;
    const say = (status: number, answer: object = {}): void => answerJson(response, status, answer);
    const [, kind = '', id = '', verb = ''] = url.pathname.split('/').map(decodeURIComponent);
    if (kind === 'token') {
      const form = new URLSearchParams(body);
      const secret = form.get('secret') ?? form.get('client_secret') ?? '';
      const token = this.#tokens.get(secret) ?? `token-${this.#tokens.size + 1}`;
      this.#tokens.set(secret, token);
      return say(200, { token, access_token: token, expires_in: 3600 });
    }
    const token = headers.authorization?.replace('Bearer ', '') ?? '';
    if (![...this.#tokens.values()].includes(token)) return say(401);
    switch (`${method} ${kind}${verb === '' ? '' : `/${verb}`}`) {
      case 'PUT blocks': {
        const isNew = !this.blocks.has(id);
        this.blocks.add(id);
        if (isNew) this.#effects.push({ what: 'did', target: id });
        return say(200, { isNew });
      }
      case 'GET blocks':
        return say(this.blocks.has(id) ? 200 : 404);
      case 'DELETE blocks': {
        if (!this.blocks.delete(id)) return say(404);
        this.#effects.push({ what: 'undid', target: id });
        return say(200);
      }
      case 'POST jobs': {
        const { tag, target, dedupe } = JSON.parse(body) as { tag: string; target: string; dedupe: boolean };
        const known = dedupe ? [...this.jobs.values()].find((job) => job.tag === tag) : undefined;
        if (known !== undefined) return say(200, this.#shown(known));
        const job = { id: `job-${this.jobs.size + 1}`, tag, target, status: 'running' };
        this.jobs.set(job.id, job);
        this.#effects.push({ what: 'did', target, key: tag });
        return say(201, this.#shown(job));
      }
      case 'GET jobs': {
        const tag = url.searchParams.get('tag');
        const job = id === '' ? [...this.jobs.values()].find((one) => one.tag === tag) : this.jobs.get(id);
        return job === undefined ? say(404) : say(200, this.#shown(job));
      }
      case 'POST jobs/cancel': {
        const job = this.jobs.get(id);
        if (job === undefined) return say(404);
        if (job.status === 'running') {
          job.status = 'cancelled';
          this.#effects.push({ what: 'stopped', target: job.target, key: job.tag });
        }
        return job.status === 'cancelled' ? say(200, job) : say(409, job);
      }
      case 'POST commands':
        this.#effects.push({ what: 'did', target: (JSON.parse(body) as { target: string }).target });
        return say(202);
      default:
        return say(404);
    }
  }

  #shown(job: Job): Job {
    return this.#status === undefined ? job : { ...job, status: this.#status };
  }
}
