import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** A request whose body has been read. */
export interface Incoming {
  readonly method: string;
  /** With a host that says nothing. */
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

type Handler = (incoming: Incoming, response: ServerResponse) => void | Promise<void>;

/** What all simulators are: a real HTTP server on 127.0.0.1, or another loopback address, with TLS where it has a certificate. A handler that fails cuts its connection. */
export class SimulatorServer {
  readonly #server: Server;

  private constructor(
    handle: Handler,
    readonly isTls: boolean,
    tls: ServerOptions = {},
  ) {
    const listen: RequestListener = (request, response) => {
      text(request)
        .then((body) =>
          handle(
            {
              method: request.method ?? 'GET',
              url: new URL(request.url ?? '/', 'http://vendor'),
              headers: request.headers,
              body,
            },
            response,
          ),
        )
        .catch(() => response.destroy());
    };
    this.#server = isTls ? createTlsServer(tls, listen) : createServer(listen);
  }

  /**
   * @param port 0 takes a free one
   * @param tls certificate and key. Default: plain HTTP
   * @param host of 127.0.0.0/8. Default 127.0.0.1
   * @throws Error when the port is taken
   */
  static async start(
    handle: Handler,
    port = 0,
    tls?: ServerOptions,
    host = '127.0.0.1',
  ): Promise<SimulatorServer> {
    const server = new SimulatorServer(handle, tls !== undefined, tls);
    server.#server.listen(port, host);
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get baseUrl(): string {
    return `http${this.isTls ? 's' : ''}://127.0.0.1:${this.port}`;
  }

  /** Cuts what is open. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export function answerJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}
