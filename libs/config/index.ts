export { usesBuiltinIssuer } from './auth-settings.js';
export {
  EMBEDDED_DEFAULT,
  configFileOf,
  inFile,
  loadConfig,
  parseConfig,
  type RiposteConfig,
} from './config-file.js';
export {
  appNamesOf,
  consoleIssuersOf,
  tenantNamesOf,
  usesLocalAccounts,
  type ConsoleIssuerConfig,
} from './console-settings.js';
export { backlogBoundsOf, blastLimitsOf, instanceOf, instancesOf } from './instances.js';
export { metricsSettingsOf, type MetricsSettings } from './metrics.js';
export { redisSettingsOf, type RedisSettings } from './redis-settings.js';
export { retentionOf, type RetentionSettings } from './retention.js';
