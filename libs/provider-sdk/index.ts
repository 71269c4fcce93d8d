export { Type, type Static } from 'typebox';
export type { CancelOutcome, Idempotency, Json, VendorOperation } from '#domain';
export { defineProvider } from './define-provider.js';
export {
  ProviderError,
  StopRequested,
  type ProviderErrorClass,
  type ProviderErrorDetails,
} from './errors.js';
export { compileSchema, describeSchemaError } from './json-schema.js';
export { canonicalName } from './names.js';
export { parseParameters, secretParameterNames, type ParsedParameters } from './parameters.js';
export type {
  ActionManifest,
  CallContext,
  ExecutionContext,
  PluginLog,
  Provider,
  ProviderManifest,
  ReconcileOutcome,
  StepOutcome,
} from './provider.js';
