import { CATALOGUE, type Catalogue, type MetricName, type MetricsProcess } from './catalogue.js';

/**
 * Metrics, as the rest of the product sees them. Nothing of Prometheus' client is loaded until `openMetrics` opens a
 * registry; what has none counts into `NO_METRICS`, which does nothing.
 */

/** The values of a metric's labels, in the catalogue's order. */
type Values<Labels extends readonly string[]> = { readonly [Index in keyof Labels]: string };

/** Something that only grows, from the start of the process. */
interface Count<Labels extends readonly string[]> {
  /** @param by how much; 0 makes it be there, so that what comes first is seen as a change */
  add(by: number, ...labels: Values<Labels>): void;
}

/** How long things took. */
interface Durations<Labels extends readonly string[]> {
  observe(ms: number, ...labels: Values<Labels>): void;
}

/** Something that is as it is. */
interface Level<Labels extends readonly string[]> {
  /** What there is now, in place of all that was told before. */
  show(rows: readonly (readonly [value: number, ...labels: Values<Labels>])[]): void;
}

type Kind<Of extends Catalogue[MetricName]> = Of['type'] extends 'counter'
  ? Count<Of['labels']>
  : Of['type'] extends 'gauge'
    ? Level<Of['labels']>
    : Durations<Of['labels']>;

/** Every metric of the catalogue. */
export type Metrics = { readonly [Name in MetricName]: Kind<Catalogue[Name]> };

/** A metric of any kind, whatever its labels are. */
export interface AnyMetric {
  add(by: number, ...labels: readonly string[]): void;
  observe(ms: number, ...labels: readonly string[]): void;
  show(rows: readonly (readonly [number, ...(readonly string[])])[]): void;
}

/** A metric that counts nothing. */
export const NOTHING: AnyMetric = { add: () => undefined, observe: () => undefined, show: () => undefined };

/** Counts nothing. */
export const NO_METRICS: Metrics = metricsBy(() => NOTHING);

/** Each metric of the catalogue as `make` makes it. */
export function metricsBy(make: (definition: Catalogue[MetricName]) => AnyMetric): Metrics {
  return Object.fromEntries(
    Object.entries(CATALOGUE).map(([name, definition]) => [name, make(definition)]),
  ) as unknown as Metrics;
}

export interface MetricsOptions {
  readonly process: MetricsProcess;
  /** Of the product. */
  readonly version: string;
  /** Whether what is counted of actions is told apart by tenants. */
  readonly tenantLabel: boolean;
}

/** The metrics of this process, and how they are told. */
export interface MetricsRegistry {
  readonly metrics: Metrics;
  readonly contentType: string;
  /** Called before each telling, to show what is as it is. A failure leaves that out; nothing else fails of it. */
  onScrape(look: () => Promise<void> | void): void;
  /** All of it in Prometheus' text format. */
  text(): Promise<string>;
}
