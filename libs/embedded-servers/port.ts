import { createServer } from 'node:net';

/**
 * Why no server could listen there now: the system's error code (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`,
 * `ENOTFOUND`, …); null when one could.
 */
export function whyNotFree(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/** True when a server could listen there now. */
export async function portIsFree(host: string, port: number): Promise<boolean> {
  return (await whyNotFree(host, port)) === null;
}

/** A TCP port of 127.0.0.1 that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('no port')),
      );
    });
  });
}
