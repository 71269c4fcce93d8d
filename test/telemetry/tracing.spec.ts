import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '#domain';
import { createLogger, startTracing } from '#telemetry';

const log = createLogger('test', 'silent');
const started = (env: Readonly<Record<string, string>>) => startTracing({ env, service: 'test', log });
const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };

describe('tracing', () => {
  it.each([
    ['no endpoint is named', { OTEL_SERVICE_NAME: 'soc', OTEL_TRACES_SAMPLER: 'always_on' }],
    ['the endpoint is empty', { OTEL_EXPORTER_OTLP_ENDPOINT: '' }],
    ['the SDK is disabled', { ...ENDPOINT, OTEL_SDK_DISABLED: 'true' }],
    ['traces are exported nowhere', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }],
  ])('is off where %s', async (_where, env) => {
    expect((await started(env)).isOn).toBe(false);
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'file:///tmp/traces'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
    ['OTEL_TRACES_SAMPLER', 'often'],
  ])('is refused at the start where %s is %s', async (name, value) => {
    const refused = started({ ...ENDPOINT, [name]: value });
    await expect(refused).rejects.toThrow(ConfigurationError);
    await expect(refused).rejects.toThrow(name);
  });

  it.each([[''], ['1.5'], ['half']])('is refused where the share that is sampled is "%s"', async (share) => {
    const env = {
      ...ENDPOINT,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: share,
    };
    await expect(started(env)).rejects.toThrow(/OTEL_TRACES_SAMPLER_ARG has to be a share of 0 to 1/);
  });

  it('shows no password of an endpoint that is none', async () => {
    const refused = started({ OTEL_EXPORTER_OTLP_ENDPOINT: 'user:canary@collector' });
    await expect(refused).rejects.toThrow(/^(?!.*canary)/);
  });
});
