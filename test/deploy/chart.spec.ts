import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { parseConfig } from '#config';
import { CATALOGUE } from '#telemetry';
import { findHelm, renderChart, renderNotes } from '../support/helm.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { findPromtool, promqlComesTo } from '../support/promtool.js';
import { API_COMMAND, WORKER_COMMAND } from './start-commands.js';

/** The Helm chart, judged by what helm makes of it. */

const SOME_TEXT = expect.any(String) as string;
const SOME_PROBE = expect.any(Object) as object;

const CHART = path.join(PROJECT_DIR, 'deploy/helm/riposte');
const RELEASE = 'soc';
/** Kinds of operators besides Kubernetes, whose schemas are not here. */
const OF_OPERATORS = new Set(['keda.sh/v1alpha1/ScaledObject', 'monitoring.coreos.com/v1/ServiceMonitor']);

interface Probe {
  readonly periodSeconds: number;
  readonly failureThreshold?: number;
  readonly httpGet?: { readonly path: string; readonly port: string };
  readonly exec?: { readonly command: readonly string[] };
}

interface Container {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
  }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe: Probe;
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly [key: string]: unknown;
}

type Labels = Readonly<Record<string, string>>;

interface Pod {
  readonly metadata: { readonly labels: Labels; readonly annotations: Labels };
  readonly spec: {
    readonly containers: readonly Container[];
    readonly volumes: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
    readonly terminationGracePeriodSeconds: number;
    readonly serviceAccountName: string;
    readonly [key: string]: unknown;
  };
}

interface Peers {
  readonly from?: readonly object[];
  readonly to?: readonly object[];
  readonly ports?: readonly { readonly port: number | string }[];
}

interface Job {
  readonly backoffLimit: number;
  readonly activeDeadlineSeconds: number;
  readonly template: Pod;
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels: Labels };
  readonly data?: Labels;
  readonly spec: {
    readonly replicas?: number;
    readonly template: Pod;
    readonly jobTemplate: { readonly spec: Job };
    readonly selector: { readonly matchLabels: Labels } & Labels;
    readonly podSelector: { readonly matchLabels: Labels };
    readonly scaleTargetRef: { readonly name: string };
    readonly ports: readonly { readonly name: string; readonly targetPort: string }[];
    readonly ingress?: readonly Peers[];
    readonly egress?: readonly Peers[];
    readonly [key: string]: unknown;
  };
}

const helm = await findHelm();
if (helm === null) {
  console.warn('SKIPPED: the Helm chart is not tested, for there is no helm (RIPOSTE_HELM, PATH, ~/go/bin).');
}

const promtool = await findPromtool();

const RETENTION = { keepDays: 90, archiveDir: '/var/lib/riposte/archive' };

const EVERYTHING = {
  config: {
    providers: [{ id: 'mock', plugin: 'mock', secrets: {} }],
    limits: { perApp: 50 },
    retention: RETENTION,
  },
  secretFiles: ['vendors'],
  ingress: { enabled: true, tlsSecret: 'riposte-tls', className: 'nginx' },
  metrics: { enabled: true, serviceMonitor: { enabled: true, labels: { release: 'prometheus' } } },
  worker: { archiveClaim: 'riposte-archive' },
  retention: { enabled: true, secretFiles: ['vendors'] },
  env: [{ name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: 'http://collector.monitoring:4318' }],
  podLabels: { team: 'soc' },
};

const CASES: readonly [string, object][] = [
  ['the defaults', {}],
  ['everything on, workers by an external metric', { ...EVERYTHING, autoscaling: { mode: 'hpa' } }],
  ['everything on, workers by KEDA', { ...EVERYTHING, autoscaling: { mode: 'keda' } }],
  ['no network policies', { networkPolicy: { enabled: false } }],
];

const rendered = new Map<string, Promise<Manifest[]>>();

/** What helm makes of the chart with these values: once, however often it is asked for. */
function render(values: object): Promise<Manifest[]> {
  const key = JSON.stringify(values);
  const manifests = rendered.get(key) ?? manifestsOf(key);
  rendered.set(key, manifests);
  return manifests;
}

async function manifestsOf(values: string): Promise<Manifest[]> {
  return parseAllDocuments(await renderChart(helm ?? '', CHART, values, RELEASE), { schema: 'core' })
    .map((document) => {
      expect(document.errors).toEqual([]);
      return document.toJS() as Manifest | null;
    })
    .filter((manifest) => manifest !== null);
}

const kindOf = ({ apiVersion, kind }: Manifest): string => `${apiVersion}/${kind}`;

const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
const schemas = JSON.parse(
  await readFile(path.join(PROJECT_DIR, 'test/deploy/kubernetes-schemas.json'), 'utf8'),
) as { readonly kinds: Readonly<Record<string, object>>; readonly definitions: object };
const validators = new Map<string, ValidateFunction>();

/** The schema of Kubernetes for a kind; compiling one takes a while. */
function validatorOf(kind: string): ValidateFunction {
  const schema = schemas.kinds[kind];
  if (schema === undefined) throw new Error(`there is no schema of ${kind}`);
  const validate = validators.get(kind) ?? ajv.compile({ ...schema, definitions: schemas.definitions });
  validators.set(kind, validate);
  return validate;
}

const ofKind = (all: readonly Manifest[], kind: string): Manifest[] =>
  all.filter((manifest) => manifest.kind === kind);

function only<T>(found: readonly T[]): T {
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`${found.length} instead of one`);
  return first;
}

type Component = 'api' | 'worker' | 'retention';

const deployment = (all: readonly Manifest[], component: 'api' | 'worker'): Manifest =>
  only(ofKind(all, 'Deployment').filter(({ metadata }) => metadata.name.endsWith(`-${component}`)));
const podOf = ({ kind, spec }: Manifest): Pod =>
  kind === 'CronJob' ? spec.jobTemplate.spec.template : spec.template;
/** What makes pods. */
const workloads = (all: readonly Manifest[]): Manifest[] => [
  ...ofKind(all, 'Deployment'),
  ...ofKind(all, 'CronJob'),
];
const container = (all: readonly Manifest[], component: Component): Container =>
  only(
    only(
      workloads(all)
        .filter(({ metadata }) => metadata.name.endsWith(`-${component}`))
        .map(podOf),
    ).spec.containers,
  );
const hasRetention = (all: readonly Manifest[]): boolean => ofKind(all, 'CronJob').length > 0;
/** What KEDA asks Prometheus. */
const kedaQuery = async (): Promise<string> => {
  const { spec } = only(ofKind(await render({ autoscaling: { mode: 'keda' } }), 'ScaledObject'));
  const [{ metadata }] = spec['triggers'] as readonly [{ readonly metadata: { readonly query: string } }];
  return metadata.query;
};
const selects = (selector: Labels, labels: Labels): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

describe.skipIf(helm === null).each(CASES)('the Helm chart with %s', (_what, values) => {
  it('is valid by the schemas of Kubernetes, which know every key', async () => {
    for (const manifest of await render(values)) {
      if (OF_OPERATORS.has(kindOf(manifest))) continue;
      const validate = validatorOf(kindOf(manifest));
      expect(validate(manifest), JSON.stringify(validate.errors)).toBe(true);
    }
  });

  it('confines every container: no root, no capability, nothing to write but volumes, bounded', async () => {
    for (const workload of workloads(await render(values))) {
      const pod = podOf(workload).spec;
      const probes = { startupProbe: SOME_PROBE, livenessProbe: SOME_PROBE, readinessProbe: SOME_PROBE };
      expect(pod).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 1000,
          seccompProfile: { type: 'RuntimeDefault' },
        },
      });
      for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) expect(pod).not.toHaveProperty(key);
      expect(JSON.stringify(pod['volumes'])).not.toContain('hostPath');
      for (const each of pod.containers) {
        expect(each).toMatchObject({
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          resources: {
            requests: { cpu: SOME_TEXT, memory: SOME_TEXT },
            limits: { cpu: SOME_TEXT, memory: SOME_TEXT },
          },
          ...(workload.kind === 'CronJob' ? {} : probes),
        });
      }
    }
  });

  it('takes addresses with passwords from Secrets alone', async () => {
    const all = await render(values);
    expect(ofKind(all, 'Secret')).toEqual([]);
    const components: readonly Component[] = hasRetention(all)
      ? ['api', 'worker', 'retention']
      : ['api', 'worker'];
    for (const component of components) {
      const { env } = container(all, component);
      for (const name of ['MONGODB_URI', ...(component === 'retention' ? [] : ['REDIS_URL'])]) {
        const variable = only(env.filter((each) => each.name === name));
        expect(variable.value).toBeUndefined();
        expect(variable.valueFrom?.secretKeyRef.name).toMatch(/^riposte-/);
      }
    }
    for (const { data } of ofKind(all, 'ConfigMap')) {
      expect(JSON.stringify(data)).not.toMatch(
        /mongodb(?:\+srv)?:|rediss?:|BEGIN [A-Z ]*KEY|pass(?:word|wd)/i,
      );
    }
  });

  it('names nothing that is not there, and mounts what is there', async () => {
    const all = await render(values);
    const labelsOfPods = workloads(all).map((workload) => podOf(workload).metadata.labels);
    for (const manifest of all) {
      const { kind, metadata, spec } = manifest;
      if (kind === 'Deployment')
        expect(selects(spec.selector.matchLabels, spec.template.metadata.labels)).toBe(true);
      if (kind === 'Deployment' || kind === 'CronJob') {
        const pod = podOf(manifest).spec;
        expect(ofKind(all, 'ServiceAccount').map((each) => each.metadata.name)).toContain(
          pod.serviceAccountName,
        );
        const volumes = pod.volumes.map(({ name }) => name);
        const mounted = pod.containers.flatMap(({ volumeMounts }) => volumeMounts.map(({ name }) => name));
        expect(mounted.toSorted()).toEqual(volumes.toSorted());
        const configMap = pod.volumes.find(({ name }) => name === 'config')?.configMap?.name;
        expect(ofKind(all, 'ConfigMap').map((each) => each.metadata.name)).toEqual([configMap]);
      }
      if (kind === 'PodDisruptionBudget') {
        expect(labelsOfPods.filter((labels) => selects(spec.selector.matchLabels, labels))).toHaveLength(1);
      }
      if (kind === 'NetworkPolicy') {
        const selected = labelsOfPods.filter((labels) => selects(spec.podSelector.matchLabels, labels));
        const few = /-(?:api|worker)$/.test(metadata.name) ? 1 : 2;
        expect(selected).toHaveLength(/-(?:deny|servers)$/.test(metadata.name) ? labelsOfPods.length : few);
      }
      if (kind === 'Service') {
        const components = metadata.name.endsWith('-metrics')
          ? (['api', 'worker'] as const)
          : (['api'] as const);
        expect(labelsOfPods.filter((labels) => selects(spec.selector, labels))).toHaveLength(
          components.length,
        );
        for (const component of components) {
          const ports = container(all, component).ports?.map(({ name }) => name);
          expect(ports).toContain(only(spec.ports).targetPort);
        }
      }
      if (kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject') {
        expect(spec.scaleTargetRef.name).toBe(deployment(all, 'worker').metadata.name);
      }
    }
    for (const ingress of ofKind(all, 'Ingress')) {
      const [{ metadata }] = ofKind(all, 'Service') as [Manifest];
      expect(metadata.name).toBe(`${RELEASE}-riposte-api`);
      expect(JSON.stringify(ingress.spec)).toContain(`"name":"${metadata.name}"`);
    }
    for (const { spec } of ofKind(all, 'ServiceMonitor')) {
      const monitored = ofKind(all, 'Service').filter(({ metadata }) =>
        selects(spec.selector.matchLabels, metadata.labels),
      );
      expect(only(monitored).metadata.name).toBe(`${RELEASE}-riposte-metrics`);
    }
  });

  it('has a configuration that the product reads', async () => {
    const config = only(ofKind(await render(values), 'ConfigMap')).data?.['riposte.config.yaml'] ?? '';
    expect(parseConfig(config, 'the ConfigMap').providers).toHaveLength('config' in values ? 1 : 0);
  });
});

describe.skipIf(helm === null)('the Helm chart', () => {
  it('starts API and worker by the commands that the end-to-end tests run', async () => {
    const all = await render({});
    expect(container(all, 'api').command).toEqual(API_COMMAND);
    expect(container(all, 'worker').command).toEqual(WORKER_COMMAND);
  });

  it('gives both longer to stop than they take, and the load balancer three looks meanwhile', async () => {
    const all = await render({ api: { drainMs: 12_500 } });
    const api = container(all, 'api');
    const drainMs = Number(only(api.env.filter(({ name }) => name === 'RIPOSTE_DRAIN_MS')).value);
    expect(drainMs).toBe(12_500);
    const grace = (component: 'api' | 'worker'): number =>
      deployment(all, component).spec.template.spec.terminationGracePeriodSeconds;
    expect(grace('api')).toBeGreaterThan(drainMs / 1000 + 20);
    expect(grace('worker')).toBeGreaterThan(20);
    expect(api.readinessProbe.periodSeconds * 3).toBeLessThan(drainMs / 1000);
  });

  it('asks the API for liveness and readiness, which are not the same', async () => {
    const api = container(await render({}), 'api');
    expect(api.livenessProbe.httpGet).toEqual({ path: '/health/live', port: 'http' });
    expect(api.readinessProbe.httpGet).toEqual({ path: '/health/ready', port: 'http' });
  });

  it('looks at the file that the worker touches', async () => {
    const worker = container(await render({}), 'worker');
    const { value: file } = only(worker.env.filter(({ name }) => name === 'RIPOSTE_ALIVE_FILE'));
    for (const probe of [worker.startupProbe, worker.readinessProbe, worker.livenessProbe]) {
      expect(probe.exec?.command.join(' ')).toContain(file);
    }
    expect(worker.volumeMounts).toContainEqual({ name: 'tmp', mountPath: path.dirname(file ?? '') });
  });

  it('starts the pods anew when the configuration changes', async () => {
    const sums = await Promise.all(
      [{ providers: [] }, { providers: [], limits: { perApp: 7 } }].map(async (config) =>
        ofKind(await render({ config }), 'Deployment').map(
          ({ spec }) => spec.template.metadata.annotations['checksum/config'],
        ),
      ),
    );
    expect(new Set(sums.flat()).size).toBe(2);
    expect(sums.map((both) => new Set(both).size)).toEqual([1, 1]);
  });

  it('tells metrics on one port, to whom they are opened', async () => {
    const metrics = { enabled: true, port: 9999 };
    const networkPolicy = { metricsFrom: [{ podSelector: { matchLabels: { app: 'prometheus' } } }] };
    const all = await render({ metrics, networkPolicy });
    for (const component of ['api', 'worker'] as const) {
      const { env, ports } = container(all, component);
      const name = component === 'api' ? 'RIPOSTE_METRICS_PORT' : 'RIPOSTE_WORKER_METRICS_PORT';
      expect(env).toContainEqual({ name, value: '9999' });
      expect(env).toContainEqual({ name: 'RIPOSTE_METRICS_HOST', value: '0.0.0.0' });
      expect(ports).toContainEqual({ name: 'metrics', containerPort: 9999 });
    }
    const opened = ofKind(all, 'NetworkPolicy').filter(({ spec }) =>
      spec.ingress?.some(({ ports }) => ports?.some(({ port }) => port === 'metrics')),
    );
    expect(only(opened).spec.ingress).toMatchObject([{ from: networkPolicy.metricsFrom }]);
    expect(JSON.stringify(await render({ networkPolicy }))).not.toMatch(/metrics/i);
  });

  it('lets workers be users of their own, of MongoDB and of Redis', async () => {
    const mongodb = { name: 'riposte-worker', key: 'mongodb' };
    const all = await render({ secrets: { workers: { mongodb } } });
    const referred = (component: 'api' | 'worker', name: string) =>
      only(container(all, component).env.filter((each) => each.name === name)).valueFrom?.secretKeyRef;
    expect(referred('worker', 'MONGODB_URI')).toEqual(mongodb);
    expect(referred('worker', 'REDIS_URL')).toEqual({ name: 'riposte-redis', key: 'url' });
    expect(referred('api', 'MONGODB_URI')).toEqual({ name: 'riposte-mongodb', key: 'uri' });
  });

  it('scales by a metric that API processes tell', async () => {
    const scaler = only(ofKind(await render({ autoscaling: { mode: 'hpa' } }), 'HorizontalPodAutoscaler'));
    const [metric] = scaler.spec['metrics'] as readonly [{ readonly external: { readonly metric: object } }];
    expect(metric.external.metric).toEqual({ name: CATALOGUE.backlog.name });
    for (const { labels, of } of [CATALOGUE.backlog, CATALOGUE.paused])
      expect([labels, of]).toEqual([['provider_instance'], ['api']]);
  });

  it('counts what waits alike for KEDA, and for HPA by the rule that the documentation has', async () => {
    const page = await readFile(path.join(PROJECT_DIR, 'docs/deployment.md'), 'utf8');
    const [, rules = ''] = /```yaml\n( *rules:\n[^`]*)```/.exec(page) ?? [];
    const [{ metricsQuery }] = (
      parse(rules) as { rules: { external: readonly [{ readonly metricsQuery: string }] } }
    ).rules.external;
    expect(
      metricsQuery
        .replaceAll('<<.Series>>', CATALOGUE.backlog.name)
        .replaceAll('<<.LabelMatchers>>', 'namespace="security"'),
    ).toBe(await kedaQuery());
  });

  const told = (metric: string, instance: string, api: string): string =>
    `${metric}{namespace="security",instance="${api}",provider_instance="${instance}"}`;
  const { backlog, paused } = CATALOGUE;

  it.skipIf(promtool === null).each([
    ['what waits at all instances, as every API process tells it', { fw: [700, 0], edr: [50, 0] }, 750],
    ['not what waits at a paused one', { fw: [700, 1], edr: [50, 0] }, 50],
    ['nothing where all are paused, so that workers are taken away', { fw: [700, 1] }, 0],
    ['what waits where nobody could read whether it is paused', { fw: [700, null] }, 700],
    ['not nothing but no number where no process tells', {}, null],
  ] as const)('counts %s', async (_what, state, expected) => {
    const series = Object.entries(
      state as Readonly<Record<string, readonly [number, number | null]>>,
    ).flatMap(([instance, [waits, isPaused]]) =>
      ['api-1', 'api-2'].flatMap((api) => [
        [told(backlog.name, instance, api), waits] as const,
        ...(isPaused === null ? [] : [[told(paused.name, instance, api), isPaused] as const]),
      ]),
    );
    // Another installation that the same Prometheus knows.
    const other = `${backlog.name}{namespace="other",provider_instance="fw"}`;
    await promqlComesTo(promtool ?? '', await kedaQuery(), [...series, [other, 9000]], expected);
  });

  it('gives API and workers variables of yours', async () => {
    const env = [
      { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: 'http://collector:4318' },
      {
        name: 'OTEL_EXPORTER_OTLP_HEADERS',
        valueFrom: { secretKeyRef: { name: 'collector', key: 'headers' } },
      },
    ];
    const all = await render({ env });
    for (const component of ['api', 'worker'] as const)
      expect(container(all, component).env).toEqual(expect.arrayContaining(env));
  });

  it('lets the autoscaler alone decide how many workers there are', async () => {
    expect(
      deployment(await render({ autoscaling: { mode: 'hpa' } }), 'worker').spec.replicas,
    ).toBeUndefined();
    expect(deployment(await render({}), 'worker').spec.replicas).toBe(2);
  });

  it.each([
    ['hpa', 'HorizontalPodAutoscaler'],
    ['keda', 'ScaledObject'],
  ])('scales by the metric of one value: %s', async (mode, kind) => {
    const all = await render({ autoscaling: { mode, metric: 'another_metric' } });
    const scaler = JSON.stringify(only(ofKind(all, kind)).spec);
    expect(scaler).toContain('another_metric');
    expect(JSON.stringify(all)).not.toContain(CATALOGUE.backlog.name);
  });

  it('removes finished actions by itself only where it is told to', async () => {
    expect(ofKind(await render({ config: { providers: [], retention: RETENTION } }), 'CronJob')).toEqual([]);
  });

  it('removes them as the user who may, by the rules of the configuration, and with no other secret', async () => {
    const all = await render({
      config: { providers: [], retention: RETENTION },
      worker: { archiveClaim: 'archive' },
      secretFiles: ['vendors', 'certificates'],
      secrets: { retention: { name: 'remover', key: 'address' } },
      retention: { enabled: true, schedule: '*/30 2-5 * * *', secretFiles: ['certificates'] },
      env: [{ name: 'API_KEY', value: 'of-a-vendor' }],
    });
    const { spec } = only(ofKind(all, 'CronJob'));
    expect(spec).toMatchObject({ schedule: '*/30 2-5 * * *', concurrencyPolicy: 'Forbid' });
    const job = spec.jobTemplate.spec;
    expect(job.activeDeadlineSeconds).toBeGreaterThan(0);
    expect(job.template.spec['restartPolicy']).toBe('Never');
    const { command, env, volumeMounts } = container(all, 'retention');
    expect(command.slice(-2)).toEqual(['dist/apps/cli/riposte.js', 'retention']);
    expect(env).toEqual([
      { name: 'MONGODB_URI', valueFrom: { secretKeyRef: { name: 'remover', key: 'address' } } },
      { name: 'RIPOSTE_CONFIG', value: '/etc/riposte/riposte.config.yaml' },
    ]);
    expect(volumeMounts.map(({ mountPath }) => mountPath)).toEqual([
      '/etc/riposte',
      '/run/secrets/certificates',
      '/var/lib/riposte/archive',
    ]);
  });

  it('archives where the workers do', async () => {
    const all = await render(EVERYTHING);
    const claims = workloads(all).flatMap((workload) =>
      podOf(workload).spec.volumes.filter(({ name }) => name === 'archive'),
    );
    expect(claims).toHaveLength(2);
    expect(new Set(claims.map((claim) => JSON.stringify(claim))).size).toBe(1);
  });

  it.each([
    ['hpa', 'HorizontalPodAutoscaler', []],
    ['keda', 'ScaledObject', ['advanced', 'horizontalPodAutoscalerConfig']],
  ])('takes workers away after as long as it is told to: %s', async (mode, kind, at) => {
    const all = await render({ autoscaling: { mode, scaleDownSeconds: 77 } });
    expect(only(ofKind(all, kind)).spec).toHaveProperty(
      [...at, 'behavior', 'scaleDown', 'stabilizationWindowSeconds'],
      77,
    );
  });

  it('denies all traffic, then names each way that is open', async () => {
    const policies = ofKind(await render({}), 'NetworkPolicy');
    const deny = only(policies.filter(({ metadata }) => metadata.name.endsWith('-deny')));
    expect(deny.spec).toMatchObject({ policyTypes: ['Ingress', 'Egress'] });
    expect(deny.spec).not.toHaveProperty('ingress');
    expect(deny.spec).not.toHaveProperty('egress');
    for (const { spec } of policies) {
      for (const { from, ports } of spec.ingress ?? []) expect([from, ports]).not.toContain(undefined);
      for (const { to, ports } of spec.egress ?? []) expect([to, ports]).not.toContain(undefined);
    }
    const workers = only(policies.filter(({ metadata }) => metadata.name.endsWith('-worker')));
    expect(JSON.stringify(workers.spec.egress)).toContain('169.254.0.0/16');
  });

  it('opens nothing to everybody where nobody is named', async () => {
    const policies = ofKind(
      await render({
        metrics: { enabled: true },
        networkPolicy: {
          api: { from: [] },
          metricsFrom: [],
          mongodb: { to: [] },
          redis: { to: [] },
          vendors: [],
        },
      }),
      'NetworkPolicy',
    );
    const open = policies.flatMap(({ spec }) => [...(spec.ingress ?? []), ...(spec.egress ?? [])]);
    // What is left is the way to the cluster's names.
    expect(open.map(({ ports }) => ports?.map(({ port }) => port))).toEqual([[53, 53]]);
  });

  it.each([
    ['a key that it does not know', { worker: { replica: 3 } }, 'replica'],
    ['an address that is none', { publicUrl: 'riposte.example' }, 'publicUrl'],
    ['a scaler that there is not', { autoscaling: { mode: 'vpa' } }, 'mode'],
    ['a drain that the API refuses', { api: { drainMs: 300_001 } }, 'drainMs'],
    ['a schedule that is none', { retention: { schedule: 'hourly' } }, 'schedule'],
    ['a retention without rules', { retention: { enabled: true } }, 'config.retention'],
    [
      'an archive that ends with the pod',
      { retention: { enabled: true }, config: { providers: [], retention: RETENTION } },
      'worker.archiveClaim',
    ],
    [
      'an archive beside the volume',
      {
        retention: { enabled: true },
        worker: { archiveClaim: 'archive' },
        config: { providers: [], retention: { ...RETENTION, archiveDir: '/tmp/archive' } },
      },
      'worker.archiveClaim',
    ],
  ])('refuses values with %s', async (_what, values, named) => {
    await expect(render(values)).rejects.toThrow(named);
  });
});

describe.skipIf(helm === null)('what is said after an installation', () => {
  const notes = (values: object) => renderNotes(helm ?? '', CHART, JSON.stringify(values), RELEASE);

  it('names each Secret that has to be there, once', async () => {
    const workers = {
      mongodb: { name: 'of-workers', key: 'mongodb' },
      redis: { name: 'of-workers', key: 'redis' },
    };
    const text = await notes({ ...EVERYTHING, secrets: { workers } });
    const listed = [...text.matchAll(/^ {2}(\S+?)(?: with the key (\S+)|, mounted at \S+)$/gm)];
    expect(listed.map(([, name, key]) => [name, key])).toEqual([
      ['riposte-mongodb', 'uri'],
      ['riposte-redis', 'url'],
      ['riposte-keys', 'secrets.keys'],
      ['of-workers', 'mongodb'],
      ['of-workers', 'redis'],
      ['riposte-retention', 'uri'],
      ['vendors', undefined],
    ]);
    expect(text).not.toContain('secrets.workers');
  });

  it('says that workers can be users of their own where they are not', async () => {
    expect(await notes({})).toMatch(/user of MongoDB and of Redis[^]*secrets\.workers/);
    const mongodb = { name: 'of-workers', key: 'mongodb' };
    const config = { providers: [], retention: { keepDays: 90 } };
    const text = await notes({ config, secrets: { workers: { mongodb } } });
    expect(text).toMatch(/user of Redis\.[^]*secrets\.workers/);
    expect(text).toContain('retention.enabled');
  });
});
