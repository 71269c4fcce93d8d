import type { MetricsOptions, MetricsRegistry } from './metrics.js';

/** Opens the process's metrics, those of Node.js included. Once in a process. */
export async function openMetrics(options: MetricsOptions): Promise<MetricsRegistry> {
  const { PrometheusRegistry } = await import('./prometheus.js');
  return new PrometheusRegistry(options);
}
