export { REDACTED, createLogger, withoutSecrets, type Logger } from './logger.js';
export { requiredEnv, runProcess } from './supervised-process.js';
export { anyOf, secretForms } from './secret-forms.js';
export {
  activeTraceparent,
  beginServerSpan,
  clientSpans,
  inTraceOf,
  noteSpan,
  spanIdOf,
  withSpan,
  type LiveSpan,
  type ServerSpan,
} from './spans.js';
export { startTracing } from './tracing.js';
