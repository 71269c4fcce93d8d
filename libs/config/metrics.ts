import { ConfigurationError } from '#domain';
import { Type, type Static } from '#provider-sdk';

const port = Type.Integer({ minimum: 1, maximum: 65_535 });

/** `metrics` of the configuration. */
export const metricsSchema = Type.Object(
  {
    enabled: Type.Boolean({ default: true }),
    host: Type.String({ minLength: 1, default: '127.0.0.1', examples: ['0.0.0.0'] }),
    port: Type.Optional(port),
    workerPort: Type.Optional(port),
    tenantLabel: Type.Boolean({ default: false }),
  },
  { additionalProperties: false, default: {} },
);

type MetricsConfig = Static<typeof metricsSchema>;

/** As `metrics: {}` reads. */
export const METRICS_DEFAULT: MetricsConfig = { enabled: true, host: '127.0.0.1', tenantLabel: false };

/** How a process tells its metrics. */
export interface MetricsSettings {
  readonly enabled: boolean;
  /** Whether what is counted of actions is told apart by tenants. */
  readonly tenantLabel: boolean;
  /** A port for metrics alone, and what set it. Null: there is none. */
  readonly listen: { readonly host: string; readonly port: number; readonly setBy: string } | null;
}

const KEYS = {
  api: { key: 'port', variable: 'RIPOSTE_METRICS_PORT' },
  worker: { key: 'workerPort', variable: 'RIPOSTE_WORKER_METRICS_PORT' },
} as const;

/**
 * The settings of a kind of process. `RIPOSTE_METRICS_PORT`, `RIPOSTE_WORKER_METRICS_PORT` and `RIPOSTE_METRICS_HOST` go
 * before the file: several workers read the same file, and need a port each.
 *
 * @throws ConfigurationError naming the variable that is wrong
 */
export function metricsSettingsOf(
  { metrics }: { readonly metrics: MetricsConfig },
  env: Readonly<Record<string, string | undefined>>,
  process: keyof typeof KEYS,
): MetricsSettings {
  const { enabled, tenantLabel } = metrics;
  const { key, variable } = KEYS[process];
  const given = env[variable] || null;
  const configured = given === null ? metrics[key] : portOf(given, variable);
  const host = env['RIPOSTE_METRICS_HOST'] || metrics.host;
  const setBy = given === null ? `metrics.${key}` : variable;
  const listen = enabled && configured !== undefined ? { host, port: configured, setBy } : null;
  return { enabled, tenantLabel, listen };
}

function portOf(text: string, variable: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65_535)
    throw new ConfigurationError(`${variable} has to be a port from 1 to 65535; it is "${text}"`);
  return value;
}
