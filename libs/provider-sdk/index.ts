export { Type, type Static } from 'typebox';
export type {
  BlastClass,
  CancelOutcome,
  EffectRecord,
  EntryLedger,
  EntryNote,
  EntryOwner,
  WantedForm,
  EntryWritten,
  HeldList,
  LedgerEntry,
  ListReader,
  Maintained,
  Held,
  NewOwner,
  ErrorInfo,
  HealthReport,
  Idempotency,
  Json,
  KeyValuePair,
  Lane,
  RateWindow,
  VendorOperation,
} from '#domain';
export { ConfigurationError } from '#domain';
export { addressBlockOf, networkAround, type AddressBlock } from './address-block.js';
export { checkManifest } from './check-manifest.js';
export { defineProvider } from './define-provider.js';
export {
  AddressRefused,
  CertificateRefused,
  PluginDefect,
  PluginDied,
  ProviderError,
  StopRequested,
  isProviderErrorClass,
  type ProviderErrorClass,
  type ProviderErrorDetails,
} from './errors.js';
export { CANONICAL, type IndicatorFormat } from './indicators.js';
export { compileSchema, describeSchemaError, schemaProblems } from './json-schema.js';
export { canonicalName } from './names.js';
export { parseParameters, secretParameterNames, secretTexts, type ParsedParameters } from './parameters.js';
export type {
  ActionManifest,
  ActionManifests,
  ActionRequest,
  CallContext,
  CompletedAction,
  ExecutionContext,
  InstanceContext,
  ObservedState,
  PendingOperation,
  Plan,
  PluginLog,
  Provider,
  ProviderCalls,
  ProviderManifest,
  CancelAnswer,
  ReconcileOutcome,
  RequestRefusal,
  StepOutcome,
} from './provider.js';
export type {
  ClientCertificate,
  NetworkPolicy,
  VendorHttp,
  VendorRequest,
  VendorResponse,
} from './vendor-http.js';
export {
  RAIL_SETTINGS,
  blockRails,
  type BlockRails,
  type BlockRailsOptions,
  type RailRefusal,
  type RailSettings,
} from './rails.js';
export { HostAddresses, type ResolveHost } from './host-addresses.js';
export { refusalError } from './refusal.js';
export { readSurroundings, type Surroundings } from './surroundings.js';
export { vendorHttp } from './vendor-http-client.js';
export { plainWords } from './vendor-words.js';
export {
  vendorHttpOrigin,
  type SentRequest,
  type VendorHttpOptions,
  type WatchedRequest,
} from './vendor-http-origin.js';
export { TokenCache, type KeptToken } from './token-cache.js';
