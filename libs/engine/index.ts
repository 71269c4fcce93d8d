export { CancelAction } from './cancel-action.js';
export { MAX_ATTEMPTS, retryDelayMs } from './backoff.js';
export { Permits } from './permits.js';
export { ProviderRegistry, type InstanceConfig } from './registry.js';
export { RunAction } from './run-action.js';
export { SubmitAction, type Submission } from './submit-action.js';
export { HintMemory } from './hint-memory.js';
export { Sweep, type SweepFigures } from './sweep.js';
export { Watchdog } from './watchdog.js';
