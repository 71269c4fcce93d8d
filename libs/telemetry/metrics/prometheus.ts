import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Catalogue, MetricName } from './catalogue.js';
import {
  NOTHING,
  metricsBy,
  type AnyMetric,
  type Metrics,
  type MetricsOptions,
  type MetricsRegistry,
} from './metrics.js';

/** All of Prometheus' client: `openMetrics` loads this, and only where metrics are wanted. */

/** Tenants that are told apart; all others are one, so that tenants who come and go do not fill a Prometheus. */
const MOST_TENANTS = 200;
const OTHER_TENANTS = 'other';
const TENANT = 'tenant';
/** Milliseconds that a telling waits for one who looks: Prometheus gives up after ten seconds. */
const LOOK_WITHIN_MS = 4000;

export class PrometheusRegistry implements MetricsRegistry {
  readonly metrics: Metrics;
  readonly #registry = new Registry();
  readonly #tenants = new Set<string>();
  readonly #tenantLabel: boolean;
  readonly #looks: (() => Promise<void> | void)[] = [];

  constructor({ process, version, tenantLabel }: MetricsOptions) {
    this.#tenantLabel = tenantLabel;
    this.metrics = metricsBy((definition) =>
      (definition.of as readonly string[]).includes(process) ? this.#metric(definition) : NOTHING,
    );
    collectDefaultMetrics({ register: this.#registry });
    this.metrics.processInfo.show([[1, process, version]]);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  onScrape(look: () => Promise<void> | void): void {
    this.#looks.push(look);
  }

  async text(): Promise<string> {
    await Promise.all(this.#looks.map(inTime));
    return this.#registry.metrics();
  }

  #metric(definition: Catalogue[MetricName]): AnyMetric {
    const { type, name, help, labels } = definition;
    const isOfTenants = (labels as readonly string[]).at(-1) === TENANT;
    const labelNames = labels.slice(0, isOfTenants && !this.#tenantLabel ? -1 : labels.length);
    const configuration = { name, help, labelNames, registers: [this.#registry] };
    const valuesOf = isOfTenants ? this.#withTenant : asGiven;
    switch (type) {
      case 'counter': {
        const counter = new Counter(configuration);
        const child = bound(valuesOf, (values) => counter.labels(...values));
        return { ...NOTHING, add: (by, ...given) => child(given).inc(by) };
      }
      case 'histogram': {
        const histogram = new Histogram({ ...configuration, buckets: [...definition.buckets] });
        const child = bound(valuesOf, (values) => histogram.labels(...values));
        // Clocks of two machines may disagree by some milliseconds.
        return { ...NOTHING, observe: (ms, ...given) => child(given).observe(Math.max(0, ms) / 1000) };
      }
      case 'gauge': {
        const gauge = new Gauge(configuration);
        const forget = (): void => {
          gauge.reset();
          // One without labels would tell of a 0 that nobody has seen.
          if (labelNames.length === 0) gauge.remove();
        };
        forget();
        return {
          ...NOTHING,
          show(rows) {
            forget();
            for (const [value, ...values] of rows) gauge.labels(...values).set(value);
          },
        };
      }
    }
  }

  readonly #withTenant = (given: readonly string[]): readonly string[] =>
    this.#tenantLabel ? [...given.slice(0, -1), this.#tenantOf(given.at(-1) ?? '')] : given.slice(0, -1);

  #tenantOf(tenantId: string): string {
    const tenant = tenantId.toLowerCase();
    if (!this.#tenants.has(tenant)) {
      if (this.#tenants.size >= MOST_TENANTS) return OTHER_TENANTS;
      this.#tenants.add(tenant);
    }
    return tenant;
  }
}

const asGiven = (given: readonly string[]): readonly string[] => given;

/** Labels are bound once: the client sorts, checks and joins them for each new binding. */
function bound<Child>(
  valuesOf: (given: readonly string[]) => readonly string[],
  bind: (values: readonly string[]) => Child,
): (given: readonly string[]) => Child {
  const children = new Map<string, Child>();
  return (given) => {
    const values = valuesOf(given);
    const key = values.length === 1 ? (values[0] ?? '') : values.join('\n');
    let child = children.get(key);
    if (child === undefined) {
      child = bind(values);
      children.set(key, child);
    }
    return child;
  };
}

/** Neither what fails nor what hangs keeps the rest from being told. */
async function inTime(look: () => Promise<void> | void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LOOK_WITHIN_MS);
  });
  await Promise.race([Promise.resolve().then(look), late]).catch(() => undefined);
  clearTimeout(timer);
}
