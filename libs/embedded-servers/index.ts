export { ServerNotFoundError } from './binary.js';
export { MongoReplicaSet, type MongoMember, type MongoReplicaSetOptions } from './mongo-replica-set.js';
export { MongoServer, type MongoOptions } from './mongo-server.js';
export { freePort, portIsFree, whyNotFree } from './port.js';
export { findMongod, findRedisServer } from './programs.js';
export { reachMongo, reachRedis } from './reach.js';
export { RedisServer, type RedisOptions } from './redis-server.js';
export { stillReporting, type Report } from './report.js';
export { startTestServers, type TestServers } from './test-servers.js';
