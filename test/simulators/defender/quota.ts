import type { VendorClock } from './clock.js';
import { Refusal } from './refusal.js';

/** Calls that have a quota of their own. */
export type QuotaClass = 'general' | 'bulk' | 'batchDelete' | 'liveResponse' | 'investigation' | 'package';

interface Window {
  readonly calls: number;
  readonly perSeconds: number;
}

const MINUTE = 60;
const HOUR = 3600;
/** Per application and tenant. Calls of classes that no number is documented for count as general. */
const QUOTAS: Readonly<Record<QuotaClass, readonly Window[]>> = {
  general: [
    { calls: 100, perSeconds: MINUTE },
    { calls: 1500, perSeconds: HOUR },
  ],
  bulk: [{ calls: 30, perSeconds: MINUTE }],
  batchDelete: [
    { calls: 30, perSeconds: MINUTE },
    { calls: 1500, perSeconds: HOUR },
  ],
  liveResponse: [{ calls: 10, perSeconds: MINUTE }],
  investigation: [{ calls: 50, perSeconds: HOUR }],
  package: [
    { calls: 2, perSeconds: MINUTE },
    { calls: 120, perSeconds: HOUR },
  ],
};

/** Counts calls in windows that slide: no period of a window's length ever has more than its calls. */
export class Quotas {
  readonly #calls = new Map<string, number[]>();

  constructor(readonly clock: VendorClock) {}

  /** @throws Refusal 429 with the seconds until there is room, at least 1; such a call is not counted */
  take(tenantId: string, appId: string, quota: QuotaClass): void {
    const key = `${tenantId} ${appId} ${quota}`;
    const now = this.clock.now();
    const windows = QUOTAS[quota];
    const longestMs = Math.max(...windows.map(({ perSeconds }) => this.clock.lasting(perSeconds * 1000)));
    const calls = (this.#calls.get(key) ?? []).filter((at) => at > now - longestMs);
    this.#calls.set(key, calls);
    for (const { calls: most, perSeconds } of windows) {
      const oldest = calls.at(-most);
      const freeAt = oldest === undefined ? now : oldest + this.clock.lasting(perSeconds * 1000);
      if (freeAt > now)
        throw new Refusal(
          429,
          'TooManyRequests',
          `Too many requests. Maximum of ${most} calls in ${perSeconds} seconds`,
          Math.max(1, Math.ceil((freeAt - now) / 1000)),
        );
    }
    calls.push(now);
  }

  reset(): void {
    this.#calls.clear();
  }
}
