import { createHmac } from 'node:crypto';
import { SimulatorServer } from '../simulator-server.js';

/** A change or lifecycle notification as it came. */
export interface ReceivedNotification {
  readonly id: string;
  readonly subscriptionId: string;
  readonly clientState: string | null;
  readonly changeType?: string;
  readonly lifecycleEvent?: string;
  readonly resource: string;
  readonly resourceData?: { readonly id: string };
  readonly tenantId: string;
}

/** A receiver of change notifications that proves itself as Graph asks for, and keeps what it took. */
export class NotificationReceiver {
  readonly taken: ReceivedNotification[] = [];
  /** Bodies and signatures of all that came, taken or not. */
  readonly came: { readonly body: string; readonly signature: string }[] = [];
  /** What it answers a validation with; null: the token, as it should. */
  validation: { readonly status: number; readonly type: string; readonly text: string } | null = null;
  /** What stands in its answers to deliveries. */
  words = '';
  /** Statuses that it answers the next deliveries with, before it takes any. */
  refusals: number[] = [];
  /** Deliveries that came before a `Retry-After` was over. */
  early = 0;
  /** Bodies that it took and does not answer. */
  held: string[] | null = null;
  /** Of these, how many were given up. */
  hungUp = 0;
  #busy: { readonly seconds: number; readonly until: number } | null = null;
  #server: SimulatorServer | undefined;

  /** @param port 0 takes a free one */
  static async start(port = 0, host?: string): Promise<NotificationReceiver> {
    const receiver = new NotificationReceiver();
    await receiver.open(port, host);
    return receiver;
  }

  /** Answers the next delivery, and all within so many seconds of it, with 429 and `Retry-After`. */
  beBusy(seconds: number): void {
    this.#busy = { seconds, until: Number.POSITIVE_INFINITY };
  }

  async open(port: number, host?: string): Promise<void> {
    this.#server = await SimulatorServer.start(
      ({ url, headers, body }, response) => {
        const token = url.searchParams.get('validationToken');
        if (url.pathname === '/elsewhere') {
          response.writeHead(307, { location: '/hook?validationToken=x' }).end();
          return;
        }
        if (token !== null) {
          const { status, type, text } = this.validation ?? { status: 200, type: 'text/plain', text: token };
          response.writeHead(status, { 'content-type': type }).end(text);
          return;
        }
        this.came.push({ body, signature: String(headers['x-riposte-signature']) });
        if (this.held !== null) {
          this.held.push(body);
          response.once('close', () => (this.hungUp += 1));
          return;
        }
        if (this.#busy !== null && performance.now() < this.#busy.until) {
          const { seconds, until } = this.#busy;
          if (until === Number.POSITIVE_INFINITY)
            this.#busy = { seconds, until: performance.now() + seconds * 1000 };
          else this.early += 1;
          response.writeHead(429, { 'retry-after': String(seconds) }).end();
          return;
        }
        const refusal = this.refusals.shift();
        if (refusal === undefined)
          this.taken.push(...(JSON.parse(body) as { value: ReceivedNotification[] }).value);
        response.writeHead(refusal ?? 202).end(this.words);
      },
      port,
      undefined,
      host,
    );
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  /** Change types of an action in the order they were taken. */
  changesOf(actionId: string): readonly (string | undefined)[] {
    return this.taken.filter((one) => one.resourceData?.id === actionId).map((one) => one.changeType);
  }
}

/** Whether a delivery was signed with this secret, as docs/notifications.md tells. */
export function isSignedWith(
  secret: string,
  { body, signature }: { readonly body: string; readonly signature: string },
): boolean {
  const parts = Object.fromEntries(signature.split(',').map((part) => part.split('='))) as Record<
    string,
    string
  >;
  return createHmac('sha256', secret).update(`${parts['t']}.${body}`).digest('hex') === parts['v1'];
}
