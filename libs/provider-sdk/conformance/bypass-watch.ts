import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

/** Who is at work: the plugin with its list of requests made past the context, or the kit. */
const atWork = new AsyncLocalStorage<{ readonly past: string[] } | null>();

/** Node's own clients announce each request here: `fetch` and undici, and node:http. */
const CHANNELS = ['undici:request:create', 'http.client.request.start'] as const;

/** Notices requests that a plugin makes by other means than `context.http`. */
export class BypassWatch {
  readonly #past: string[] = [];
  readonly #heard = (message: unknown): void => {
    atWork.getStore()?.past.push(targetOf(message));
  };

  start(): void {
    for (const channel of CHANNELS) subscribe(channel, this.#heard);
  }

  stop(): void {
    for (const channel of CHANNELS) unsubscribe(channel, this.#heard);
  }

  /** Requests made past the context so far. */
  get past(): readonly string[] {
    return this.#past;
  }

  plugin<T>(run: () => T): T {
    return atWork.run({ past: this.#past }, run);
  }

  kit<T>(run: () => T): T {
    return atWork.run(null, run);
  }
}

function targetOf(message: unknown): string {
  const { request } = message as {
    readonly request?: {
      readonly method?: string;
      readonly origin?: string | URL;
      readonly host?: string;
      readonly path?: string;
    };
  };
  return `${request?.method ?? ''} ${(request?.origin ?? request?.host ?? '').toString()}${request?.path ?? ''}`;
}
