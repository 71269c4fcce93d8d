export { ArchiveFiles } from './archive-files.js';
export { connectDatabase, type Database, type DatabaseOptions } from './database.js';
export { MongoActionStore } from './mongo-action-store.js';
export { WorkerRegistry, type WorkerFacts, type WorkerReport } from './worker-registry.js';
export { isGuid } from './uuid.js';
