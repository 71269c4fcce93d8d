import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ConfigurationError } from '#domain';
import { CATALOGUE, NO_METRICS, openMetrics, serveMetrics, type MetricDefinition } from '#telemetry';
import { PROJECT_DIR } from '../support/project-dir.js';
import { samplesIn } from '../support/metrics.js';

const definitions: readonly MetricDefinition[] = Object.values(CATALOGUE);

const open = (tenantLabel = false) => openMetrics({ process: 'worker', version: '1.2.3', tenantLabel });

describe('the catalogue', () => {
  it.each(definitions)(
    '$name follows the conventions of Prometheus',
    ({ name, type, help, labels, buckets }) => {
      expect(name).toMatch(/^riposte(?:_[a-z]+)+$/);
      // A counter alone ends in `_total`, and what is measured in units ends in the base unit.
      expect(name.endsWith('_total')).toBe(type === 'counter');
      expect(/_(?:ms|milliseconds|minutes|percent|kib|mib)(?:_|$)/.test(name)).toBe(false);
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
      expect(buckets !== undefined).toBe(type === 'histogram');
      expect(help).toMatch(/\.$/);
      // Prometheus' own, for whom it scrapes: ours would be renamed.
      expect(labels.filter((label) => ['instance', 'job', 'le', 'quantile'].includes(label))).toEqual([]);
    },
  );

  it('has each name once', () =>
    expect(new Set(definitions.map(({ name }) => name)).size).toBe(definitions.length));

  it('is what docs/metrics.md lists, word by word', async () => {
    const page = await readFile(path.join(PROJECT_DIR, 'docs/metrics.md'), 'utf8');
    const rows = [
      ...page.matchAll(/^\| `(riposte_\w+)` *\| *(\w+) *\| *([^|]*?) *\| *([^|]*?) *\| *(.*?) *\|$/gm),
    ];
    expect(rows.map(([, ...cells]) => cells)).toEqual(
      definitions.map(({ name, type, labels, of, help }) => [
        name,
        type,
        labels.length === 0 ? '–' : labels.map((label) => `\`${label}\``).join(', '),
        of.length === 2 ? 'both' : of[0] === 'api' ? 'API' : 'worker',
        help,
      ]),
    );
  });
});

describe('a process’s metrics', () => {
  it('tell what was counted, measured and shown, and what Node.js does', async () => {
    const registry = await open();
    const { leaseTakeovers, dispatchSeconds, actionsInHand } = registry.metrics;
    leaseTakeovers.add(1, 'mock');
    leaseTakeovers.add(2, 'mock');
    dispatchSeconds.observe(1500, 'mock');
    actionsInHand.show([[3, 'mock']]);
    const samples = samplesIn(await registry.text());
    expect(samples.get('riposte_lease_takeovers_total{provider_instance="mock"}')).toBe(3);
    expect(samples.get('riposte_action_dispatch_seconds_sum{provider_instance="mock"}')).toBe(1.5);
    expect(samples.get('riposte_worker_actions_in_hand{provider_instance="mock"}')).toBe(3);
    expect(samples.get('riposte_process_info{process="worker",version="1.2.3"}')).toBe(1);
    expect(samples.get('nodejs_eventloop_lag_p99_seconds')).toBeGreaterThanOrEqual(0);
    expect(samples.get('process_cpu_seconds_total')).toBeGreaterThan(0);
  });

  it('show what is as it is now, and nothing of before', async () => {
    const { metrics, text } = bound(await open());
    metrics.actionsInHand.show([
      [3, 'gone'],
      [1, 'mock'],
    ]);
    metrics.actionsInHand.show([[2, 'mock']]);
    expect(linesOf('riposte_worker_actions_in_hand', await text())).toEqual([
      'riposte_worker_actions_in_hand{provider_instance="mock"} 2',
    ]);
  });

  it('leave out what nobody has looked at', async () => {
    const api = await openMetrics({ process: 'api', version: '1', tenantLabel: false });
    expect(linesOf('riposte_workers_alive', await api.text())).toEqual([]);
    api.metrics.workersAlive.show([[2]]);
    expect(linesOf('riposte_workers_alive', await api.text())).toEqual(['riposte_workers_alive 2']);
    api.metrics.workersAlive.show([]);
    expect(linesOf('riposte_workers_alive', await api.text())).toEqual([]);
  });

  it('are without those of the other process', async () => {
    const { metrics, text } = bound(await open());
    metrics.httpRequestSeconds.observe(1, 'GET', '/', '2xx');
    metrics.backlog.show([[1, 'mock']]);
    expect(await text()).not.toMatch(/riposte_(?:http|backlog)/);
  });

  it('are told also where one who looks fails', async () => {
    const registry = await open();
    registry.onScrape(() => Promise.reject(new Error('away')));
    registry.onScrape(() => {
      throw new Error('away');
    });
    expect(await registry.text()).toContain('riposte_process_info');
  });

  it('escape what stands in a label', async () => {
    const { metrics, text } = bound(await open());
    metrics.leaseTakeovers.add(1, 'a"b\\c\nd');
    expect(await text()).toContain(String.raw`{provider_instance="a\"b\\c\nd"} 1`);
  });

  it('count nothing where none are wanted', () => {
    NO_METRICS.actionsEnded.add(1, 'mock', 'done', 'tenant');
    NO_METRICS.actionsInHand.show([[1, 'mock']]);
    NO_METRICS.dispatchSeconds.observe(1, 'mock');
  });
});

describe('tenants', () => {
  const end = 'riposte_actions_ended_total';

  it('are no label unless that is configured', async () => {
    const { metrics, text } = bound(await open());
    metrics.actionsEnded.add(1, 'mock', 'done', 'one');
    metrics.actionsEnded.add(1, 'mock', 'done', 'two');
    expect(linesOf(end, await text())).toEqual([`${end}{provider_instance="mock",phase="done"} 2`]);
  });

  it('are told apart, up to 200 of them, where it is', async () => {
    const { metrics, text } = bound(await open(true));
    for (let index = 0; index < 300; index += 1)
      metrics.actionsEnded.add(1, 'mock', 'done', `Tenant-${index}`);
    metrics.actionsCreated.add(1, 'mock', 'BlockIp', 'tenant-7');
    metrics.actionsCreated.add(1, 'mock', 'BlockIp', 'tenant-299');
    const lines = linesOf(end, await text());
    expect(lines).toHaveLength(201);
    expect(lines).toContain(`${end}{provider_instance="mock",phase="done",tenant="tenant-7"} 1`);
    expect(lines).toContain(`${end}{provider_instance="mock",phase="done",tenant="other"} 100`);
    const created = 'riposte_actions_created_total';
    expect(linesOf(created, await text())).toEqual([
      `${created}{provider_instance="mock",action="BlockIp",tenant="tenant-7"} 1`,
      `${created}{provider_instance="mock",action="BlockIp",tenant="other"} 1`,
    ]);
  });
});

describe('a port for metrics', () => {
  let url: string;
  let port: number;

  beforeAll(async () => {
    const server = await serveMetrics({
      registry: await open(),
      host: '127.0.0.1',
      port: 0,
      setBy: 'a test',
    });
    ({ port } = server);
    url = `http://127.0.0.1:${port}`;
    return () => server.stop();
  });

  it('tells them at /metrics', async () => {
    const answer = await fetch(`${url}/metrics?name=all`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await answer.text()).toContain('riposte_process_info');
  });

  it.each([
    ['GET', '/', 404],
    ['GET', '/api/v1/actions', 404],
    ['POST', '/metrics', 405],
    ['HEAD', '/metrics', 200],
  ])('answers %s %s by %d', async (method, at, status) =>
    expect((await fetch(`${url}${at}`, { method })).status).toBe(status),
  );

  it('that is taken is a wrong configuration, which says what set it', async () => {
    const second = serveMetrics({
      registry: await open(),
      host: '127.0.0.1',
      port,
      setBy: 'metrics.workerPort',
    });
    await expect(second).rejects.toThrow(ConfigurationError);
    await expect(second).rejects.toThrow(
      `metrics.workerPort: metrics cannot be served at port ${port} of 127.0.0.1 (EADDRINUSE).`,
    );
  });
});

function bound(registry: Awaited<ReturnType<typeof open>>) {
  return { metrics: registry.metrics, text: () => registry.text() };
}

/** The samples of one metric. */
function linesOf(name: string, text: string): readonly string[] {
  return text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
}
