export { Backlog, type BacklogOptions } from './backlog.js';
export { AnswerQuestions } from './answer-questions.js';
export { AskProvider } from './ask-provider.js';
export { BlastRadius, type BlastLimits } from './blast-radius.js';
export { CancelAction, type Cancelled } from './cancel-action.js';
export { MAX_ATTEMPTS, retryDelayMs } from './backoff.js';
export type { Submission } from './check-submission.js';
export { CheckHealth } from './check-health.js';
export { InstanceCalls } from './instance-calls.js';
export { MaintainInstances } from './maintain-instances.js';
export {
  ProviderRegistry,
  checkedInstance,
  quotasOf,
  type InstanceConfig,
  type ProviderInstance,
} from './registry.js';
export { LiftEffects } from './lift-effects.js';
export { ResolveOutcome } from './resolve-outcome.js';
export { RevertAction, type Reversal, type Reverted } from './revert-action.js';
export { Retention, type RetentionPass } from './retention.js';
export { RotateSecrets, type Rotation, type SecretsReport } from './rotate-secrets.js';
export { StartRates } from './start-rates.js';
export { RunAction } from './run-action.js';
export { SubmitAction } from './submit-action.js';
export { beginCounts } from './note-end.js';
export { HintMemory } from './hint-memory.js';
export { Sweep, type SweepFigures } from './sweep.js';
export { Watchdog } from './watchdog.js';
export { KeptSecrets } from './kept-secrets.js';
export { TellOverload } from './tell-overload.js';
export { ManageSubscriptions, type OpenedSubscription } from './manage-subscriptions.js';
export { ManageWebhooks, type MadeWebhook, type OpenedWebhook, type WebhookWish } from './manage-webhooks.js';
export { Notify, resourceOf } from './notify.js';
