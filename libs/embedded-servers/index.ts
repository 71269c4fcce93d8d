export { ServerNotFoundError } from './binary.js';
export { MongoServer, type MongoOptions } from './mongo-server.js';
export { freePort, portIsFree } from './port.js';
export { findMongod, findRedisServer } from './programs.js';
export { reachMongo, reachRedis } from './reach.js';
export { RedisServer, type RedisOptions } from './redis-server.js';
export type { Report } from './report.js';
export { startTestServers, type TestServers } from './test-servers.js';
