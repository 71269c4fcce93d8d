export { ActionChanges, type Told } from './action-changes.js';
export {
  OUTCOMES,
  SPAN_SECONDS,
  InstanceFigures,
  SpanFigures,
  type ActionFigures,
  type FiguresOverTime,
  type OpenFigures,
  type Outcome,
  type SpanSeconds,
} from './action-figures.js';
export { LatencyHistogram, type Percentiles } from './latency-histogram.js';
export { ActionSearch, type ActionQuery, type SearchPage } from './action-search.js';
export { INDEXED_LISTS } from './search-index.js';
export type { SearchPosition } from './search-order.js';
export { ApplicationStore, type NewApplication, type NewSecret } from './application-store.js';
export type { MongoAuditStore } from './audit-store.js';
export { ArchiveFiles } from './archive-files.js';
export {
  BackupError,
  backupLines,
  checkArchive,
  checkBackup,
  recordsOf,
  type CheckedBackup,
} from './backup-format.js';
export type { ChangedAction, TenantChanges } from './change-log.js';
export { DATABASE_ROLES, DATABASE_USERS, type Privileges } from './database-roles.js';
export { connectDatabase, type Database, type DatabaseOptions } from './database.js';
export type { FeedConsumer, FeedFetch, FeedStore, PublishedList } from './feed-store.js';
export { OperatorStore } from './operator-store.js';
export { ReadTurns } from './read-turns.js';
export { MongoActionStore } from './mongo-action-store.js';
export { MongoIdempotencyKeys } from './idempotency-store.js';
export { MongoSessionStore } from './session-store.js';
export type { View, ViewStore } from './view-store.js';
export { WorkerRegistry, type Carriers, type WorkerFacts, type WorkerReport } from './worker-registry.js';
export { IssuerKeyStore, type IssuerKeyReport } from './issuer-key-store.js';
export { type OpenActions } from './restored.js';
export { DatabaseInspection, type DiskSpace, type OplogWindow, type Topology } from './inspect-database.js';
export { serverDataPath } from './server-data-path.js';
export type { ExactDocument } from './exact-record.js';
export { INDEXES, ensureIndexes, indexStates, type IndexState } from './indexes.js';
