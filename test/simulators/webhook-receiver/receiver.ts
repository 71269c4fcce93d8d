import { createHmac, timingSafeEqual } from 'node:crypto';
import type { SimulatedVendor, VendorEffect } from '#provider-sdk/conformance';
import { SimulatorServer, answerJson, type Incoming } from '../simulator-server.js';

interface Delivery {
  readonly id: string;
  readonly event: 'execute' | 'status' | 'cancel' | 'revert';
  readonly action: string;
  readonly target: string | null;
  readonly operationId?: string;
}
interface Job {
  readonly target: string;
  status: string;
}
interface Answer {
  readonly status: number;
  readonly body: object;
}

/**
 * A receiver of the signed webhook as docs/plugins/webhook.md asks for one: it checks signatures and answers a delivery
 * that it knows as it did before. `LockBadge` is done at once, `AuditDoor` takes until it is finished.
 */
export class WebhookReceiver implements SimulatedVendor {
  readonly #secrets: readonly string[];
  readonly #answers = new Map<string, Answer>();
  readonly #jobs = new Map<string, Job>();
  readonly #locked = new Set<string>();
  #effects: VendorEffect[] = [];
  #calls = 0;
  #status: string | undefined;
  #server: SimulatorServer | undefined;

  private constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  static async start(secrets: readonly string[]): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver(secrets);
    receiver.#server = await SimulatorServer.start((incoming, response) => {
      receiver.#calls += 1;
      const { status, body } = receiver.#isGenuine(incoming)
        ? receiver.#once(
            String(incoming.headers['x-riposte-delivery']),
            JSON.parse(incoming.body) as Delivery,
          )
        : { status: 401, body: {} };
      answerJson(response, status, body);
    });
    return receiver;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  get baseUrl(): string {
    return this.#server?.baseUrl ?? '';
  }

  reset(): void {
    this.#answers.clear();
    this.#jobs.clear();
    this.#locked.clear();
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

  finish(operationId: string): boolean {
    const job = this.#jobs.get(operationId);
    if (job?.status !== 'running') return false;
    job.status = 'completed';
    return true;
  }

  sayStatus(status: string): void {
    this.#status = status;
  }

  preexisting(_action: string, sample: Readonly<Record<string, unknown>>): void {
    this.#locked.add(String(sample['Badge']));
  }

  #isGenuine({ headers, body }: Incoming): boolean {
    const parts = String(headers['x-riposte-signature'])
      .split(',')
      .map((part) => part.split('='));
    const t = parts.find(([name]) => name === 't')?.[1] ?? '';
    const given = parts.filter(([name]) => name === 'v1').map(([, hex = '']) => Buffer.from(hex, 'hex'));
    return this.#secrets.some((secret) => {
      const wanted = createHmac('sha256', secret).update(`${t}.${body}`).digest();
      return given.some((one) => one.length === wanted.length && timingSafeEqual(one, wanted));
    });
  }

  #once(id: string, delivery: Delivery): Answer {
    const known = this.#answers.get(id);
    if (known !== undefined) return known;
    const answer = this.#answer(delivery);
    this.#answers.set(id, answer);
    return answer;
  }

  #answer({ event, action, target, operationId, id }: Delivery): Answer {
    const what = target ?? '';
    const effect = (did: VendorEffect['what']): void => {
      this.#effects.push({ what: did, target: what, key: id });
    };
    const job = this.#jobs.get(operationId ?? '');
    switch (event) {
      case 'execute': {
        if (action === 'LockBadge') {
          const changed = !this.#locked.has(what);
          this.#locked.add(what);
          if (changed) effect('did');
          return { status: 200, body: { status: 'completed', changed } };
        }
        const name = `job-${this.#jobs.size + 1}`;
        this.#jobs.set(name, { target: what, status: 'running' });
        effect('did');
        return this.#shown(name, 'running');
      }
      case 'status':
        return job === undefined || operationId === undefined
          ? { status: 404, body: {} }
          : this.#shown(operationId, job.status);
      case 'cancel':
        if (job === undefined || operationId === undefined)
          return { status: 200, body: { status: 'unknown' } };
        if (job.status === 'running') {
          job.status = 'cancelled';
          effect('stopped');
        }
        return this.#shown(operationId, job.status);
      case 'revert': {
        const changed = this.#locked.delete(what);
        if (changed) effect('undid');
        return { status: 200, body: { status: 'completed', changed } };
      }
    }
  }

  #shown(operationId: string, status: string): Answer {
    const running = status === 'running';
    return {
      status: running ? 202 : 200,
      body: { status: this.#status ?? status, operationId, ...(running ? { retryAfter: 0.5 } : {}) },
    };
  }
}
