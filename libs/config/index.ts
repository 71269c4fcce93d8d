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
export { backlogBoundsOf, blastLimitsOf, instancesOf } from './instances.js';
export { publicUrlOf } from './public-url.js';
export { retentionOf, type RetentionSettings } from './retention.js';
