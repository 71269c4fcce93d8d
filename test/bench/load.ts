import { setTimeout as sleep } from 'node:timers/promises';
import autocannon from 'autocannon';
import { Agent, request } from 'undici';
import { REQUEST_BODY, type Contestant } from './contestant.js';

/** What the client saw of a load. */
interface Load {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** Milliseconds from request to answer, of each that was accepted. */
  readonly latencies: readonly number[];
  /** Requests that had no answer yet when the load ended, at most. */
  readonly abandoned: number;
}

/** A load that every contestant is put under in turn. */
export interface LoadPlan {
  readonly name: string;
  /** False where so little is asked that rates and costs of an action would tell of idle processes. */
  readonly fills: boolean;
  readonly put: (contestant: Contestant, seconds: number) => Promise<Load>;
}

/** So many connections that each send one request after the other. */
export function connections(count: number): LoadPlan {
  return {
    name: count === 1 ? '1 connection' : `${count} connections`,
    fills: true,
    async put(contestant, seconds) {
      const parts = await Promise.all(
        contestant.urls.map((url, index, { length }) =>
          cannonade(contestant, url, seconds, Math.floor(count / length) + (index < count % length ? 1 : 0)),
        ),
      );
      return {
        startedAt: Math.min(...parts.map(({ startedAt }) => startedAt)),
        endedAt: Math.max(...parts.map(({ endedAt }) => endedAt)),
        latencies: parts.flatMap(({ latencies }) => latencies),
        abandoned: count,
      };
    },
  };
}

/** So many requests a second at even distances, however quickly they are answered. */
export function trickle(perSecond: number): LoadPlan {
  return {
    name: `light, ${perSecond} a second`,
    fills: false,
    async put(contestant, seconds) {
      const agent = new Agent();
      const startedAt = Date.now();
      try {
        const latencies = await Promise.all(
          Array.from({ length: perSecond * seconds }, async (_, index) => {
            await sleep((index * 1000) / perSecond);
            const sentAt = performance.now();
            const { statusCode, body } = await request(
              contestant.urls[index % contestant.urls.length] ?? '',
              {
                dispatcher: agent,
                method: 'POST',
                headers: { 'content-type': 'application/json', ...contestant.headers },
                body: REQUEST_BODY,
              },
            );
            await body.dump();
            if (statusCode !== 201) throw new Error(`${contestant.name} answered ${statusCode}`);
            return performance.now() - sentAt;
          }),
        );
        return { startedAt, endedAt: Date.now(), latencies, abandoned: 0 };
      } finally {
        await agent.close();
      }
    },
  };
}

/** @throws Error when a request is refused or fails */
function cannonade(
  contestant: Contestant,
  url: string,
  seconds: number,
  count: number,
): Promise<Omit<Load, 'abandoned'>> {
  return new Promise((resolve, reject) => {
    const latencies: number[] = [];
    const cannon = autocannon(
      {
        url,
        connections: count,
        duration: seconds,
        method: 'POST',
        headers: { 'content-type': 'application/json', ...contestant.headers },
        body: REQUEST_BODY,
      },
      (error: Error | null, { errors, non2xx, start, finish }) => {
        if (error !== null) return reject(error);
        if (non2xx > 0 || errors > 0)
          return reject(new Error(`${contestant.name}: ${non2xx} refusals, ${errors} errors`));
        resolve({ startedAt: start.getTime(), endedAt: finish.getTime(), latencies });
      },
    );
    // Its own histogram knows whole milliseconds only.
    cannon.on('response', (_client, _status, _bytes, ms) => latencies.push(ms));
  });
}
