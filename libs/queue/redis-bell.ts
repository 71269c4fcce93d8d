import type { Redis } from 'ioredis';
import type { Bell, Rung } from '#domain';
import {
  PREFIX,
  patientConnection,
  promptConnection,
  type OnConnectionError,
  type RedisAddress,
} from './redis-connection.js';
import { succeedsWithin } from './within.js';

/** Milliseconds a ring may take; who does not hear it looks by itself a second later. */
const RING_BUDGET_MS = 300;

const channelOf = (about: string): string => `${PREFIX}:${about}`;

/** `Bell` by Redis' publish and subscribe. */
export class RedisBell implements Bell {
  readonly #redis: Redis;
  readonly #subscriber: Redis;
  readonly #onError: OnConnectionError;
  readonly #listeners = new Map<string, ((id: string) => void)[]>();

  constructor(redis: RedisAddress, onError: OnConnectionError) {
    this.#redis = promptConnection(redis, onError);
    this.#subscriber = patientConnection(redis, onError);
    this.#onError = onError;
    this.#subscriber.on('message', (channel, id: string) => {
      for (const heard of this.#listeners.get(channel) ?? []) heard(id);
    });
  }

  ring(about: Rung, id: string): Promise<boolean> {
    return succeedsWithin(RING_BUDGET_MS, this.#redis.publish(channelOf(about), id));
  }

  listen(about: Rung, heard: (id: string) => void): void {
    const channel = channelOf(about);
    const others = this.#listeners.get(channel);
    if (others !== undefined) return void others.push(heard);
    this.#listeners.set(channel, [heard]);
    this.#subscriber.subscribe(channel).catch(this.#onError);
  }

  close(): void {
    this.#redis.disconnect();
    this.#subscriber.disconnect();
  }
}
