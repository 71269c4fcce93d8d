import { ConfigurationError } from '#domain';

export type Env = Readonly<Record<string, string | undefined>>;

const ENDPOINTS = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'] as const;
const PROTOCOLS = ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL'] as const;
const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
];

/** True where OpenTelemetry's variables name where traces go, and none of them turns that off. */
export function isTracingConfigured(env: Env): boolean {
  return (
    ENDPOINTS.some((name) => (env[name] ?? '') !== '') &&
    env['OTEL_SDK_DISABLED']?.toLowerCase() !== 'true' &&
    env['OTEL_TRACES_EXPORTER'] !== 'none'
  );
}

/**
 * Refuses what the SDK would take for something else without a word.
 * @throws ConfigurationError naming the variable
 */
export function checkTracingVariables(env: Env): void {
  for (const name of ENDPOINTS) {
    const endpoint = env[name] ?? '';
    // It may have a password in it, so it is not repeated.
    if (endpoint !== '' && !(URL.canParse(endpoint) && /^https?:/.test(endpoint)))
      throw new ConfigurationError(
        `${name} has to be an http or https URL, for example http://127.0.0.1:4318`,
      );
  }
  for (const name of PROTOCOLS) {
    if (env[name] === 'grpc')
      throw new ConfigurationError(
        `${name} is grpc; traces are sent as http/json, which collectors take at port 4318`,
      );
  }
  const sampler = env['OTEL_TRACES_SAMPLER'] || 'parentbased_always_on';
  if (!SAMPLERS.includes(sampler))
    throw new ConfigurationError(
      `OTEL_TRACES_SAMPLER has to be one of ${SAMPLERS.join(', ')}; it is "${sampler}"`,
    );
  const share = env['OTEL_TRACES_SAMPLER_ARG'] ?? '';
  if (sampler.endsWith('ratio') && !(share.trim() !== '' && Number(share) >= 0 && Number(share) <= 1))
    throw new ConfigurationError(
      `OTEL_TRACES_SAMPLER_ARG has to be a share of 0 to 1 for ${sampler}; it is "${share}"`,
    );
}
