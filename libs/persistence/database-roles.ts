import { ACTIONS, INSTANCES } from './action-document.js';
import { ENTRIES } from './entries.js';
import { OPERATORS, OPERATOR_TENANTS } from './operator-store.js';
import { SHARED_KEYS } from './shared-key.js';

/** What MongoDB calls what a user may do with a collection. */
type CollectionPrivilege =
  'find' | 'insert' | 'update' | 'remove' | 'listIndexes' | 'changeStream' | 'dbStats';

/** Collections of the product's database; `''`: each of them. */
export type Privileges = Readonly<Record<string, readonly CollectionPrivilege[]>>;

const KEEP = ['find', 'insert', 'update'] as const;
const KEEP_AND_REMOVE = [...KEEP, 'remove'] as const;
/** What is once there stays as it is. */
const ADD = ['find', 'insert'] as const;

/**
 * What each kind of process may do in the database, and no more: none of them may drop or define anything, and of the
 * actions and the audit record only the retention removes any, and only actions.
 */
export const DATABASE_ROLES = {
  /** The API. A change stream over a database asks for leave to read all of it. */
  riposteApi: {
    '': ['find', 'changeStream', 'listIndexes'],
    [ACTIONS]: KEEP,
    actionFigures: KEEP,
    auditConfigurations: KEEP,
    auditInbox: ADD,
    blastCounts: KEEP,
    feedConsumers: KEEP,
    health: KEEP,
    idempotencyKeys: KEEP,
    [INSTANCES]: KEEP,
    issuerKeys: KEEP,
    [SHARED_KEYS]: ADD,
    notifications: ['find', 'update', 'remove'],
    [OPERATORS]: KEEP_AND_REMOVE,
    [OPERATOR_TENANTS]: KEEP,
    questions: KEEP_AND_REMOVE,
    sessions: KEEP_AND_REMOVE,
    subscriptions: KEEP_AND_REMOVE,
    views: KEEP,
  },
  /** A worker: nothing of who signs in and which applications there are, and no say in whose tokens are good. */
  riposteWorker: {
    '': ['listIndexes', 'dbStats'],
    [ACTIONS]: KEEP,
    audit: ADD,
    auditCheckpoints: ADD,
    auditConfigurations: KEEP,
    auditInbox: [...ADD, 'remove'],
    auditKeys: KEEP,
    auditProgress: KEEP,
    [ENTRIES]: KEEP,
    feedConsumers: ['find'],
    health: KEEP,
    [INSTANCES]: KEEP,
    issuerKeys: ['find'],
    [SHARED_KEYS]: ADD,
    leases: KEEP_AND_REMOVE,
    notifications: KEEP,
    questions: ['find', 'update'],
    subscriptions: ['find', 'update'],
    workers: KEEP_AND_REMOVE,
  },
  /** `riposte retention`. */
  riposteRetention: {
    '': ['listIndexes'],
    [ACTIONS]: ['find', 'remove'],
    audit: ['find'],
    leases: KEEP_AND_REMOVE,
  },
  /** The other commands on the database: `apps`, `operators`, `issuer`, `secrets`, `export`, `import`. */
  riposteOperator: {
    '': ['find', 'listIndexes', 'dbStats'],
    [ACTIONS]: KEEP,
    applications: KEEP,
    auditInbox: ADD,
    auditProgress: KEEP,
    health: KEEP,
    issuerKeys: KEEP,
    [SHARED_KEYS]: KEEP,
    [OPERATORS]: KEEP_AND_REMOVE,
    [OPERATOR_TENANTS]: KEEP,
    subscriptions: ['find', 'update'],
  },
} satisfies Readonly<Record<string, Privileges>>;

/** A role in the product's database. */
export type DatabaseRole = keyof typeof DATABASE_ROLES;

/** The user who has a role, where nobody chose another name. */
export const DATABASE_USERS = {
  'riposte-api': 'riposteApi',
  'riposte-worker': 'riposteWorker',
  'riposte-retention': 'riposteRetention',
  'riposte-operator': 'riposteOperator',
} satisfies Readonly<Record<string, DatabaseRole>>;
