import { describe, expect, it } from 'vitest';
import { EMBEDDED_DEFAULT, metricsSettingsOf, parseConfig } from '#config';

const configured = (metrics: object) =>
  parseConfig(JSON.stringify({ providers: [{ id: 'mock', plugin: 'mock' }], metrics }), 'a.yaml');

describe('where metrics are told', () => {
  it('is the API’s main port, and nowhere for workers, unless configured otherwise', () => {
    for (const config of [EMBEDDED_DEFAULT, configured({})])
      for (const process of ['api', 'worker'] as const)
        expect(metricsSettingsOf(config, {}, process)).toEqual({
          enabled: true,
          tenantLabel: false,
          listen: null,
        });
  });

  it('is a port of each kind of process, on the loopback address', () => {
    const config = configured({ port: 9464, workerPort: 9465 });
    expect(metricsSettingsOf(config, {}, 'api').listen).toEqual({
      host: '127.0.0.1',
      port: 9464,
      setBy: 'metrics.port',
    });
    expect(metricsSettingsOf(config, {}, 'worker').listen).toMatchObject({
      port: 9465,
      setBy: 'metrics.workerPort',
    });
  });

  it('is told to each process by its environment first, for several may share a file', () => {
    const config = configured({ port: 9464, workerPort: 9465 });
    const env = {
      RIPOSTE_METRICS_PORT: '9001',
      RIPOSTE_WORKER_METRICS_PORT: '9002',
      RIPOSTE_METRICS_HOST: '0.0.0.0',
    };
    expect(metricsSettingsOf(config, env, 'api').listen).toEqual({
      host: '0.0.0.0',
      port: 9001,
      setBy: 'RIPOSTE_METRICS_PORT',
    });
    expect(metricsSettingsOf(config, env, 'worker').listen).toMatchObject({
      port: 9002,
      setBy: 'RIPOSTE_WORKER_METRICS_PORT',
    });
  });

  it('is nowhere once they are turned off', () => {
    const config = configured({ enabled: false, port: 9464 });
    expect(metricsSettingsOf(config, {}, 'api')).toMatchObject({ enabled: false, listen: null });
  });

  it.each(['many', '0', '65536', '1.5'])('is refused as %s', (port) => {
    expect(() =>
      metricsSettingsOf(EMBEDDED_DEFAULT, { RIPOSTE_WORKER_METRICS_PORT: port }, 'worker'),
    ).toThrow(`RIPOSTE_WORKER_METRICS_PORT has to be a port from 1 to 65535; it is "${port}"`);
  });

  it.each([{ port: 0 }, { workerPort: 'any' }, { tenants: true }, { host: '' }])('refuses %j', (metrics) =>
    expect(() => configured(metrics)).toThrow('metrics'),
  );
});
