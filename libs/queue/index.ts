export { RedisRateLimiter, type RateLimiterOptions } from './rate-limiter.js';
export { BullActionQueue } from './bull-action-queue.js';
export { HintConsumer, type ConsumerOptions, type TakenHint } from './hint-consumer.js';
