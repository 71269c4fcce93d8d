/** What Nest injects by: the parts `main.ts` puts together. */
export const ACTION_STORE = Symbol('ActionStore');
export const WORKERS = Symbol('Workers');
export const SUBMIT_ACTION = Symbol('SubmitAction');
export const CANCEL_ACTION = Symbol('CancelAction');
export const RESOLVE_OUTCOME = Symbol('ResolveOutcome');
export const HEALTH = Symbol('Health');
export const LOG = Symbol('Logger');
export const PUBLIC_URL = Symbol('PublicUrl');
export const TOKEN_VERIFIER = Symbol('TokenVerifier');
export const RATE_LIMIT = Symbol('RateLimit');
