import { createServer, type Server, type ServerResponse } from 'node:http';
import { ConfigurationError } from '#domain';
import type { MetricsRegistry } from './metrics.js';

export interface MetricsServerOptions {
  readonly registry: MetricsRegistry;
  readonly host: string;
  readonly port: number;
  /** What sets the port, for messages. */
  readonly setBy: string;
}

/** A port of its own for metrics. */
export interface MetricsServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** Whom a Prometheus, or a few of them, need; others are kept from taking what the process has to spare. */
const MOST_CONNECTIONS = 32;
const HEAD_WITHIN_MS = 5000;

/**
 * Serves `/metrics`, and nothing else, to whoever reaches the port: it asks nobody who they are.
 * @throws ConfigurationError naming what sets the port, where that is taken or may not be used
 */
export async function serveMetrics(options: MetricsServerOptions): Promise<MetricsServer> {
  const { registry, host, port, setBy } = options;
  const server = createServer(
    { headersTimeout: HEAD_WITHIN_MS, requestTimeout: HEAD_WITHIN_MS, maxHeaderSize: 8192 },
    (request, response) => {
      // What is sent along is not read; it ends with the connection.
      request.resume();
      const [path] = (request.url ?? '/').split('?');
      if (path !== '/metrics') return answer(response, 404, 'Metrics are at /metrics.\n');
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('allow', 'GET, HEAD');
        return answer(response, 405, 'Only GET is allowed here.\n');
      }
      registry.text().then(
        (text) => answer(response, 200, text, registry.contentType),
        () => answer(response, 500, 'The metrics could not be told.\n'),
      );
    },
  );
  server.maxConnections = MOST_CONNECTIONS;
  await listening(server, host, port).catch((cause: unknown) => {
    throw new ConfigurationError(
      `${setBy}: metrics cannot be served at port ${port} of ${host} (${(cause as NodeJS.ErrnoException).code}). Each process of a machine needs a port of its own; give it another one, or none.`,
      { cause },
    );
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function answer(
  response: ServerResponse,
  status: number,
  text: string,
  type = 'text/plain; charset=utf-8',
): void {
  response
    .writeHead(status, {
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    .end(text);
}
