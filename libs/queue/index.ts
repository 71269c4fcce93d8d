export { RedisBell } from './redis-bell.js';
export { RedisRateLimiter, type RateLimiterOptions } from './rate-limiter.js';
export { BullActionQueue } from './bull-action-queue.js';
export { HintConsumer, type ConsumerOptions, type TakenHint } from './hint-consumer.js';
export { RedisVendorPermits, type VendorPermitsOptions } from './vendor-permits.js';
export { REDIS_VERSIONS, inspectRedis, type RedisFacts } from './inspect-redis.js';
export type { Quota } from './quota-windows.js';
export type { RedisAddress } from './redis-connection.js';
