export { REDACTED, createLogger, withoutSecrets, type Logger } from './logger.js';
export { requiredEnv, runProcess } from './supervised-process.js';
export { anyOf, secretForms } from './secret-forms.js';
