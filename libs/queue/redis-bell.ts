import type { Redis } from 'ioredis';
import type { Bell } from '#domain';
import { PREFIX, patientConnection, promptConnection, type OnConnectionError } from './redis-connection.js';
import { succeedsWithin } from './within.js';

/** Milliseconds a ring may take; who does not hear it looks by itself a second later. */
const RING_BUDGET_MS = 300;

const channelOf = (about: string): string => `${PREFIX}:${about}`;

/** `Bell` by Redis' publish and subscribe. */
export class RedisBell implements Bell {
  readonly #redis: Redis;
  readonly #subscriber: Redis;
  readonly #onError: OnConnectionError;
  readonly #listeners = new Map<string, (id: string) => void>();

  constructor(url: string, onError: OnConnectionError) {
    this.#redis = promptConnection(url, onError);
    this.#subscriber = patientConnection(url, onError);
    this.#onError = onError;
    this.#subscriber.on('message', (channel, id: string) => this.#listeners.get(channel)?.(id));
  }

  ring(about: 'asked' | 'answered', id: string): Promise<boolean> {
    return succeedsWithin(RING_BUDGET_MS, this.#redis.publish(channelOf(about), id));
  }

  listen(about: 'asked' | 'answered', heard: (id: string) => void): void {
    this.#listeners.set(channelOf(about), heard);
    this.#subscriber.subscribe(channelOf(about)).catch(this.#onError);
  }

  close(): void {
    this.#redis.disconnect();
    this.#subscriber.disconnect();
  }
}
