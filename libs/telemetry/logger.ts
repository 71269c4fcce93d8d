import { pino, type DestinationStream, type LoggerOptions, type Logger as PinoLogger } from 'pino';
import { ConfigurationError } from '#domain';
import { anyOf, secretForms } from './secret-forms.js';
import { traceFields } from './spans.js';
import { isTracingConfigured } from './tracing-variables.js';

export type Logger = Pick<PinoLogger, 'info' | 'warn' | 'error' | 'debug' | 'fatal'>;

/** Field names whose values never reach a log, wherever they stand. A second net: nothing logs them on purpose. */
const SECRET_FIELD = /^(?:authorization|cookie|password|secrets?|token|api_?key|client_?secret)$/i;
/** Such a name in a finished line. */
const HAS_SECRET_FIELD = /"(?:authorization|cookie|password|secrets?|token|api_?key|client_?secret)":/i;

const DEFAULT_LEVEL = 'info';
const LEVELS: readonly string[] = [...Object.values(pino.levels.labels), 'silent'];

/**
 * The process's structured log: one JSON object a line on stdout, `level` as a word, ISO times.
 * `RIPOSTE_LOG_LEVEL` sets the level (default `info`); under one that there is not it is the default, so that
 * `checkLogLevel` can be heard. Where traces are on, lines within a span have its `trace_id` and `span_id`.
 */
export function createLogger(
  name: string,
  level = levelOf(process.env),
  to: DestinationStream = pino.destination(1),
): PinoLogger {
  const options: LoggerOptions = {
    name,
    level: LEVELS.includes(level) ? level : DEFAULT_LEVEL,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    // On the finished line: pino's own `redact` copies every object it may be in, which was half of all the memory that
    // an API process allocated, and looks no deeper than it has paths.
    hooks: { streamWrite: withoutSecretFields },
    // With one, even an idle one, pino copies the fields of every line.
    ...(isTracingConfigured(process.env) ? { mixin: traceFields } : {}),
  };
  return pino(options, to);
}

/** @throws ConfigurationError naming `RIPOSTE_LOG_LEVEL` where it is set to no level */
export function checkLogLevel(env: Readonly<Record<string, string | undefined>>): void {
  const level = levelOf(env);
  if (!LEVELS.includes(level))
    throw new ConfigurationError(
      `RIPOSTE_LOG_LEVEL has to be one of ${LEVELS.join(', ')}; it is "${level}".`,
    );
}

function levelOf(env: Readonly<Record<string, string | undefined>>): string {
  return env['RIPOSTE_LOG_LEVEL'] || DEFAULT_LEVEL;
}

export const REDACTED = '[redacted]';

function withoutSecretFields(line: string): string {
  if (!HAS_SECRET_FIELD.test(line)) return line;
  const censored = JSON.stringify(JSON.parse(line), (key, value: unknown) =>
    SECRET_FIELD.test(key) ? REDACTED : value,
  );
  return `${censored}\n`;
}

/**
 * A copy of a value in which every occurrence of one of the secret texts, in any of its forms, is replaced. Depth and
 * size are bounded.
 */
export function withoutSecrets(value: unknown, secrets: readonly string[]): unknown {
  return redacted(value, anyOf(secrets.flatMap((secret) => secretForms(secret).map(([text]) => text))), 6);
}

function redacted(value: unknown, secrets: RegExp, depth: number): unknown {
  if (typeof value === 'string') return value.replaceAll(secrets, REDACTED);
  if (value instanceof Error) return redacted(`${value.name}: ${value.message}`, secrets, depth);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return '…';
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => redacted(item, secrets, depth - 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key.replaceAll(secrets, REDACTED),
      redacted(item, secrets, depth - 1),
    ]),
  );
}
