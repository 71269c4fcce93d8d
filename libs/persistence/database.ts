import mongoose from 'mongoose';
import type { SecretSeal } from '#domain';
import { ActionChanges, type ActionChangesOptions } from './action-changes.js';
import { ActionFigures } from './action-figures.js';
import { ActionSearch } from './action-search.js';
import { MongoAuditStore } from './audit-store.js';
import { ApplicationStore } from './application-store.js';
import { BackupStore } from './backup-store.js';
import { DatabaseUsers } from './database-users.js';
import { MongoEntryLedger } from './entry-ledger.js';
import { FeedStore } from './feed-store.js';
import { ensureIndexes } from './indexes.js';
import { InstanceStore } from './instance-store.js';
import { MongoIdempotencyKeys } from './idempotency-store.js';
import { IssuerKeyStore } from './issuer-key-store.js';
import { majorityWrite } from './majority-write.js';
import { MongoActionStore } from './mongo-action-store.js';
import { MongoBlastCounts } from './mongo-blast-counts.js';
import { MongoEffectLifts } from './mongo-effect-lifts.js';
import { MongoSecretRecords } from './mongo-secret-records.js';
import { MongoRetentionStore } from './mongo-retention-store.js';
import { MongoSharedLease } from './mongo-shared-lease.js';
import { MongoRecentCalls } from './recent-calls.js';
import { OperatorStore } from './operator-store.js';
import { MongoQuestions } from './question-store.js';
import { ReadTurns } from './read-turns.js';
import { ServerClock } from './server-clock.js';
import { MongoSessionStore } from './session-store.js';
import { sharedKey, type SharedKeyName } from './shared-key.js';
import { MongoSubscriptionStore } from './mongo-subscription-store.js';
import { ViewStore } from './view-store.js';
import { WorkerRegistry } from './worker-registry.js';

/** Nobody waits for an answer of a backup. */
const BACKUP_RETRY_BUDGET_MS = 30_000;
/** People wait, with each thing that they ask for. */
const SIGN_IN_RETRY_BUDGET_MS = 8000;

export interface DatabaseOptions {
  /** Shown in the server's logs: `riposte-api`, `riposte-worker`. */
  readonly appName: string;
  /** Milliseconds to wait for a writable server before a call fails. Default 5,000. */
  readonly serverSelectionMs?: number;
  /** Milliseconds a call may go on repeating through an election. Default 12,000. */
  readonly retryBudgetMs?: number;
  /** Milliseconds the database may look for what a search asks for. Default 2,000. */
  readonly searchScanMs?: number;
  /** Actions that figures are counted of at once. Default 20,000. */
  readonly figuresAtOnce?: number;
  /** Milliseconds that a list or a count waits for its turn. Default 5,000. */
  readonly readsBeginMs?: number;
  /** Whether the indexes that are not there are made. Default true. */
  readonly makesIndexes?: boolean;
}

export interface Database {
  readonly actions: MongoActionStore;
  readonly search: ActionSearch;
  /** How many actions there were, how they ended, and how long that took. */
  readonly figures: ActionFigures;
  /** Lists that people look at often. */
  readonly views: ViewStore;
  readonly idempotencyKeys: MongoIdempotencyKeys;
  /** Who is told of changes by a call to an address of theirs. */
  readonly subscriptions: MongoSubscriptionStore;
  /** What applications have asked for in the last hour, where that is limited. */
  readonly blastCounts: MongoBlastCounts;
  readonly workers: WorkerRegistry;
  readonly questions: MongoQuestions;
  /** Effects that have an end. */
  readonly lifts: MongoEffectLifts;
  readonly retention: MongoRetentionStore;
  readonly backup: BackupStore;
  /** Clients of the built-in issuer. */
  readonly applications: ApplicationStore;
  /** Public keys of the built-in issuer. */
  readonly issuerKeys: IssuerKeyStore;
  /** What anybody did, on record. */
  readonly audit: MongoAuditStore;
  /** Accounts of people. */
  readonly operators: OperatorStore;
  /** Who has signed in. */
  readonly sessions: MongoSessionStore;
  /** Pauses and health of provider instances. */
  readonly instances: InstanceStore;
  /** Calls to vendors that are on record. */
  readonly recentCalls: MongoRecentCalls;
  /** The entries in the lists of an instance's device. */
  entryLedger(instance: string): MongoEntryLedger;
  /** Lists that firewalls fetch. */
  readonly feeds: FeedStore;
  /** What changes, for whoever wants to hear of it. To be closed before the database is. */
  changes(options?: ActionChangesOptions): ActionChanges;
  /** The lease on a kind of work that one process does for all. */
  lease(name: string): MongoSharedLease;
  /**
   * 32 random bytes under this name, made on first use and stored sealed; the same for every process on this database.
   * @throws ConfigurationError when the process does not have the keys that it is sealed with: it would not be able to
   *   open what others seal
   */
  sharedKey(name: SharedKeyName, seal: SecretSeal): Promise<Buffer>;
  /** What is stored sealed, to be brought under another key. */
  readonly secretRecords: MongoSecretRecords;
  /** Who may do what in the database. */
  readonly users: DatabaseUsers;
  /** Rejects unless a majority write works within `timeoutMs`. */
  checkMajorityWrite(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Connects to MongoDB and makes the indexes that are not there. Writes wait for a majority and its journal; a frozen primary is
 * noticed by the monitor's `connectTimeoutMS` (2 s), which the driver would otherwise not do.
 *
 * @throws ConfigurationError as {@link ensureIndexes}; the driver's error when no server can be reached in
 *   `serverSelectionMs`
 */
export async function connectDatabase(uri: string, options: DatabaseOptions): Promise<Database> {
  const connection = mongoose.createConnection(uri, {
    appName: options.appName,
    // Majority implies the journal (writeConcernMajorityJournalDefault); asking for it again costs a flush per write.
    writeConcern: { w: 'majority' },
    readConcern: { level: 'majority' },
    readPreference: 'primary',
    // Every write repeats itself, see write-retry.ts.
    retryWrites: false,
    serverSelectionTimeoutMS: options.serverSelectionMs ?? 5000,
    connectTimeoutMS: 2000,
    socketTimeoutMS: 10_000,
    heartbeatFrequencyMS: 1000,
    maxPoolSize: 50,
    waitQueueTimeoutMS: 5000,
    autoIndex: false,
    autoCreate: false,
    bufferCommands: false,
  });
  // A failed connection is reported by asPromise(); without a listener it would also end the process.
  connection.on('error', () => undefined);
  try {
    await connection.asPromise();
    const native = connection.getClient().db(connection.name);
    if (options.makesIndexes ?? true) await ensureIndexes(native);
    const workers = new WorkerRegistry(native);
    const applications = new ApplicationStore(native);
    const issuerKeys = new IssuerKeyStore(native);
    const signInBudgetMs = Math.min(
      SIGN_IN_RETRY_BUDGET_MS,
      options.retryBudgetMs ?? SIGN_IN_RETRY_BUDGET_MS,
    );
    const operators = new OperatorStore(connection.getClient(), native, signInBudgetMs);
    const sessions = new MongoSessionStore(native, operators, signInBudgetMs);
    const idempotencyKeys = new MongoIdempotencyKeys(native, options.retryBudgetMs);
    const blastCounts = new MongoBlastCounts(native, options.retryBudgetMs);
    const questions = new MongoQuestions(native);
    const turns = new ReadTurns(options.readsBeginMs);
    const feeds = new FeedStore(native, options.retryBudgetMs, turns);
    const clock = await ServerClock.start(connection.getClient());
    const audit = new MongoAuditStore(native, clock, options.retryBudgetMs);
    const figures = new ActionFigures(native, clock, options.retryBudgetMs, turns, options.figuresAtOnce);
    const subscriptions = new MongoSubscriptionStore(native, clock, options.retryBudgetMs);
    return {
      actions: new MongoActionStore(native, clock, options.retryBudgetMs),
      search: new ActionSearch(native, options.retryBudgetMs, options.searchScanMs, turns),
      figures,
      views: new ViewStore(native, options.retryBudgetMs),
      idempotencyKeys,
      subscriptions,
      blastCounts,
      workers,
      questions,
      lifts: new MongoEffectLifts(native, clock, options.retryBudgetMs),
      retention: new MongoRetentionStore(native, clock),
      backup: new BackupStore(native, clock, options.retryBudgetMs ?? BACKUP_RETRY_BUDGET_MS),
      applications,
      issuerKeys,
      audit,
      operators,
      sessions,
      instances: new InstanceStore(native, options.retryBudgetMs),
      recentCalls: new MongoRecentCalls(native, clock),
      entryLedger: (instance) => new MongoEntryLedger(native, instance, options.retryBudgetMs),
      feeds,
      changes: (changesOptions) => new ActionChanges(native, changesOptions),
      lease: (name) => new MongoSharedLease(native, name),
      sharedKey: (name, seal) => sharedKey(native, name, seal),
      secretRecords: new MongoSecretRecords(native, options.retryBudgetMs ?? BACKUP_RETRY_BUDGET_MS),
      users: new DatabaseUsers(native),
      checkMajorityWrite: (timeoutMs) => majorityWrite(native, timeoutMs),
      close: () => {
        clock.stop();
        return connection.close();
      },
    };
  } catch (error) {
    await connection.close().catch(() => undefined);
    throw error;
  }
}
