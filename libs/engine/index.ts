export { CancelAction } from './cancel-action.js';
export { MAX_ATTEMPTS, retryDelayMs } from './backoff.js';
export { Permits } from './permits.js';
export { ProviderRegistry, type InstanceConfig } from './registry.js';
export { Retention } from './retention.js';
export { RunAction } from './run-action.js';
export { SubmitAction, type Submission } from './submit-action.js';
export { Sweep } from './sweep.js';
