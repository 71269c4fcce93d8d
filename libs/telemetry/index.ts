export { REDACTED, createLogger, withoutSecrets, type Logger } from './logger.js';
export { requiredEnv, runProcess } from './supervised-process.js';
export { anyOf, secretForms } from './secret-forms.js';
export {
  activeTraceparent,
  beginServerSpan,
  clientSpans,
  inActiveSpan,
  inTraceOf,
  noteSpan,
  outsideSpans,
  spanIdOf,
  withSpan,
  type LiveSpan,
  type ServerSpan,
} from './spans.js';
export { startTracing } from './tracing.js';
export { CATALOGUE, type MetricDefinition } from './metrics/catalogue.js';
export { NO_METRICS, type Metrics, type MetricsRegistry } from './metrics/metrics.js';
export { openMetrics } from './metrics/open-metrics.js';
export { serveMetrics, type MetricsServer } from './metrics/metrics-server.js';
