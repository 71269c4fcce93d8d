import { once } from 'node:events';
import {
  Agent,
  createServer,
  request as send,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** Says to the proxy which call of the plugin a request belongs to. Not passed on. */
const CALL_HEADER = 'x-riposte-conformance-call';
const HOST_HEADER = 'x-riposte-conformance-host';

/** A request of the plugin, as it went over the wire. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** As the plugin declared it: may it change something? */
  readonly changes: boolean;
}

export interface FakeAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What happens to the requests of one call. */
export interface Traffic {
  /** Before the vendor sees it. An answer that is returned is given in the vendor's place. */
  before?(request: SeenRequest): FakeAnswer | undefined | Promise<FakeAnswer | undefined>;
  /** After the vendor has answered and before the plugin hears of it. `lose`: the connection breaks instead. */
  after?(request: SeenRequest, answer: string): 'lose' | undefined | Promise<'lose' | undefined>;
}

/**
 * Stands between the plugin and the vendor: real HTTP on both sides, so that a lost answer is a broken connection and
 * a 429 is one on the wire.
 */
export class VendorProxy {
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #traffic = new Map<string, { readonly traffic: Traffic; readonly changes: boolean }>();
  #next = 0;
  /** What a hook of the simulator threw first, while a request was under way; undefined where none did. */
  hookFailure: Error | undefined;

  private constructor(readonly vendorUrl: URL) {
    this.#server = createServer((incoming, response) => {
      this.#handle(incoming, response).catch(() => response.destroy());
    });
  }

  /** @throws TypeError when the vendor does not listen by plain http */
  static async start(baseUrl: string): Promise<VendorProxy> {
    const url = new URL(baseUrl);
    if (url.protocol !== 'http:')
      throw new TypeError(
        `vendor.baseUrl is "${baseUrl}"; it has to be plain http, for example http://127.0.0.1:8080`,
      );
    const proxy = new VendorProxy(url);
    // A connection that is closed for idling just as it is used again would look like a lost answer.
    proxy.#server.keepAliveTimeout = 0;
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** Where a request has to be sent instead, and with which headers beside its own. */
  wayOf(
    url: URL,
    traffic: Traffic,
    changes: boolean,
  ): { readonly url: URL; readonly headers: Readonly<Record<string, string>> } {
    this.#next += 1;
    const id = String(this.#next);
    this.#traffic.set(id, { traffic, changes });
    const through = new URL(url);
    through.protocol = 'http:';
    through.hostname = '127.0.0.1';
    through.port = String((this.#server.address() as AddressInfo).port);
    return { url: through, headers: { [CALL_HEADER]: id, [HOST_HEADER]: url.host } };
  }

  /** Requests of calls so far are refused from now on. */
  forget(): void {
    this.#traffic.clear();
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { [CALL_HEADER]: id, [HOST_HEADER]: host, ...headers } = incoming.headers;
    const known = this.#traffic.get(String(id));
    const body = await buffer(incoming);
    if (known === undefined) {
      response.writeHead(502).end('no request of a call under way');
      return;
    }
    const { traffic, changes } = known;
    const seen: SeenRequest = {
      method: incoming.method ?? 'GET',
      path: incoming.url ?? '/',
      headers,
      body: body.toString('utf8'),
      changes,
    };
    const fake = await this.#hooked(async () => traffic.before?.(seen));
    if (fake !== undefined) {
      response
        .writeHead(fake.status, { 'content-type': 'application/json', ...fake.headers })
        .end(fake.body ?? '{}');
      return;
    }
    const answer = await this.#forward(seen, body, host);
    const lost = await this.#hooked(async () => traffic.after?.(seen, answer.body.toString('utf8')));
    if (lost === 'lose') {
      response.socket?.resetAndDestroy();
      return;
    }
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }

  async #hooked<T>(hook: () => Promise<T>): Promise<T> {
    try {
      return await hook();
    } catch (error) {
      this.hookFailure ??= error instanceof Error ? error : new Error(String(error));
      throw error;
    }
  }

  async #forward(
    seen: SeenRequest,
    body: Buffer,
    host: string | string[] | undefined,
  ): Promise<{ readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: Buffer }> {
    const outgoing = send({
      agent: this.#agent,
      host: this.vendorUrl.hostname.replaceAll(/[[\]]/g, ''),
      port: this.vendorUrl.port === '' ? 80 : this.vendorUrl.port,
      method: seen.method,
      path: seen.path,
      headers: { ...endToEnd(seen.headers), host: String(host), 'content-length': String(body.byteLength) },
    });
    outgoing.end(body);
    let answer: IncomingMessage;
    try {
      [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    } catch (error) {
      // The simulator closed an idle connection just as it was used again: it has not seen the request.
      if (outgoing.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET')
        return this.#forward(seen, body, host);
      throw error;
    }
    return {
      status: answer.statusCode ?? 502,
      headers: endToEnd(answer.headers),
      body: await buffer(answer),
    };
  }
}

/** Headers without those that are about one connection only. */
function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const hop = new Set(['connection', 'keep-alive', 'transfer-encoding']);
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hop.has(name)));
}
