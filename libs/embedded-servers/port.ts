import { randomInt } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';

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

/** Below what systems give to outgoing connections by themselves, one of which might take it before it is listened on. */
const LEAST_PORT = 15_000;
const MOST_PORT = 32_000;
const TRIES = 100;

/**
 * A TCP port of 127.0.0.1 that nobody listens on. By chance, so that several who ask at the same time get different ones.
 * @throws Error when none was found in a hundred tries
 */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    const port = randomInt(LEAST_PORT, MOST_PORT);
    if (await portIsFree('127.0.0.1', port)) return port;
  }
  throw new Error(`no free port was found between ${LEAST_PORT} and ${MOST_PORT}`);
}

/**
 * The port of the last run if it is free again, else another one; it is remembered in the file, where others find it.
 * @throws Error as {@link freePort}, or when the file cannot be written
 */
export async function rememberedPort(file: string): Promise<number> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const remembered = Number(text.trim());
  if (Number.isInteger(remembered) && remembered > 1023 && (await portIsFree('127.0.0.1', remembered)))
    return remembered;
  const port = await freePort();
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(`${file}.new`, String(port));
  await rename(`${file}.new`, file);
  return port;
}
