import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { ConfigurationError } from '#domain';
import { trustedProxies, type IsTrustedProxy } from './http/link-base.js';

/** Certificate and key in PEM. */
export interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Where the API listens, and how it is called from outside. */
export interface ApiSettings {
  readonly host: string;
  readonly port: number;
  /** Absolute base of all links, without a slash at its end. Null: the base depends on the request, see `linkBase`. */
  readonly publicUrl: string | null;
  /** The address it listens on, as a URL of the same form. */
  readonly listenUrl: string;
  readonly isTrustedProxy: IsTrustedProxy;
  /** There is a proxy whose word is taken. */
  readonly trustsProxies: boolean;
  /** Null: plain HTTP. */
  readonly tls: Tls | null;
  /** Milliseconds it goes on serving after it was told to stop, while readiness sends callers elsewhere. */
  readonly drainMs: number;
}

const DEFAULT_DRAIN_MS = 3000;
const LONGEST_DRAIN_MS = 300_000;

/**
 * Reads `HOST` (127.0.0.1), `PORT` (3000), `PUBLIC_URL`, `RIPOSTE_TRUSTED_PROXIES` (none), `TLS_CERT` and
 * `TLS_KEY` (files, both or none), and `RIPOSTE_DRAIN_MS` (3000).
 * @throws ConfigurationError naming the variable that is wrong
 */
export async function readSettings(env: Readonly<Record<string, string | undefined>>): Promise<ApiSettings> {
  const host = env['HOST'] || '127.0.0.1';
  const port = portOf(env['PORT'] || '3000');
  const tls = await tlsOf(env['TLS_CERT'] || null, env['TLS_KEY'] || null);
  return {
    host,
    port,
    tls,
    drainMs: drainMsOf(env['RIPOSTE_DRAIN_MS'] || String(DEFAULT_DRAIN_MS)),
    publicUrl: publicUrlOf(env['PUBLIC_URL'] || null),
    listenUrl: listenUrlOf(tls === null ? 'http' : 'https', host, port),
    isTrustedProxy: trustedProxies(env['RIPOSTE_TRUSTED_PROXIES'] ?? ''),
    trustsProxies: (env['RIPOSTE_TRUSTED_PROXIES'] ?? '').trim() !== '',
  };
}

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new ConfigurationError(`PORT has to be a number from 0 to 65535; it is "${text}"`);
  }
  return port;
}

function drainMsOf(text: string): number {
  const drainMs = Number(text);
  if (!Number.isInteger(drainMs) || drainMs < 0 || drainMs > LONGEST_DRAIN_MS) {
    throw new ConfigurationError(
      `RIPOSTE_DRAIN_MS has to be a number of milliseconds from 0 to ${LONGEST_DRAIN_MS}; it is "${text}"`,
    );
  }
  return drainMs;
}

function publicUrlOf(text: string | null): string | null {
  if (text === null) return null;
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) {
    throw new ConfigurationError(`PUBLIC_URL has to be an http or https address; it is "${text}"`);
  }
  return text.replace(/(?<!\/)\/+$/, '');
}

function listenUrlOf(scheme: string, host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `${scheme}://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

async function tlsOf(certFile: string | null, keyFile: string | null): Promise<Tls | null> {
  if (certFile === null && keyFile === null) return null;
  if (certFile === null || keyFile === null)
    throw new ConfigurationError('TLS_CERT and TLS_KEY have to be set together');
  const [cert, key] = await Promise.all([readPem('TLS_CERT', certFile), readPem('TLS_KEY', keyFile)]);
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw new ConfigurationError(
      `TLS_CERT (${certFile}) and TLS_KEY (${keyFile}) are not a certificate and its key in PEM`,
      { cause },
    );
  }
  return { cert, key };
}

async function readPem(variable: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new ConfigurationError(`${variable}: ${file} cannot be read`, { cause });
  }
}
