import { pino, type Logger as PinoLogger } from 'pino';

export type Logger = Pick<PinoLogger, 'info' | 'warn' | 'error' | 'debug' | 'fatal'>;

/** Field names whose values never reach a log, wherever they stand. A second net: nothing logs them on purpose. */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'secrets',
  'token',
  'apiKey',
  'client_secret',
];

/**
 * The process's structured log: one JSON object a line on stdout, `level` as a word, ISO times.
 * `RIPOSTE_LOG_LEVEL` sets the level (default `info`).
 */
export function createLogger(name: string, level = process.env['RIPOSTE_LOG_LEVEL'] ?? 'info'): PinoLogger {
  return pino({
    name,
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: {
      paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
      censor: REDACTED,
    },
  });
}

export const REDACTED = '[redacted]';

/** A copy of a value in which every occurrence of one of the secret texts is replaced. Depth and size are bounded. */
export function withoutSecrets(value: unknown, secrets: readonly string[], depth = 6): unknown {
  if (typeof value === 'string') {
    // The longest first: one may be a part of another.
    return secrets
      .toSorted((a, b) => b.length - a.length)
      .reduce((text, secret) => (secret === '' ? text : text.replaceAll(secret, REDACTED)), value);
  }
  if (value instanceof Error) return withoutSecrets(`${value.name}: ${value.message}`, secrets);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return '…';
  if (Array.isArray(value))
    return value.slice(0, 100).map((item) => withoutSecrets(item, secrets, depth - 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      withoutSecrets(key, secrets),
      withoutSecrets(item, secrets, depth - 1),
    ]),
  );
}
