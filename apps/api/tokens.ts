/** What Nest injects by: the parts `main.ts` puts together. */
export const ACTION_STORE = Symbol('ActionStore');
export const WORKERS = Symbol('Workers');
export const SUBMIT_ACTION = Symbol('SubmitAction');
export const CANCEL_ACTION = Symbol('CancelAction');
export const RESOLVE_OUTCOME = Symbol('ResolveOutcome');
export const REVERT_ACTION = Symbol('RevertAction');
export const ASK_PROVIDER = Symbol('AskProvider');
export const PROVIDERS = Symbol('Providers');
export const HEALTH = Symbol('Health');
export const LOG = Symbol('Logger');
export const LIST_ACTIONS = Symbol('ListActions');
export const SEARCH = Symbol('ActionSearch');
export const OUTLOOKS = Symbol('Outlooks');
export const LINK_BASE = Symbol('LinkBase');
export const TOKEN_VERIFIER = Symbol('TokenVerifier');
export const FEEDS = Symbol('Feeds');
export const RATE_LIMIT = Symbol('RateLimit');
