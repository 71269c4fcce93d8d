import type mongoose from 'mongoose';

const SAMPLES = 3;
const REFRESH_MS = 10_000;

/**
 * The database's clock as seen from here, for what an insert stamps (a conditional update uses `$$NOW` itself).
 * It is the primary's time at the last sample plus what our monotonic clock counted since, so a wrong or jumping
 * wall clock of this machine does not matter. It is off by half a round trip at most.
 */
export class ServerClock {
  readonly #admin: mongoose.mongo.Db;
  readonly #timer: NodeJS.Timeout;
  #offsetMs: number;

  private constructor(admin: mongoose.mongo.Db, offsetMs: number) {
    this.#admin = admin;
    this.#offsetMs = offsetMs;
    this.#timer = setInterval(() => {
      // While the database is away the last offset stands.
      void sampleOffsetMs(this.#admin).then(
        (offset) => (this.#offsetMs = offset),
        () => undefined,
      );
    }, REFRESH_MS);
    this.#timer.unref();
  }

  /** @throws the driver's error when the database does not answer */
  static async start(client: mongoose.mongo.MongoClient): Promise<ServerClock> {
    const admin = client.db('admin');
    return new ServerClock(admin, await sampleOffsetMs(admin));
  }

  now(): Date {
    return new Date(performance.now() + this.#offsetMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** What to add to `performance.now()` for the server's time; of a few samples the one with the shortest round trip is the truest. */
export async function sampleOffsetMs(admin: mongoose.mongo.Db): Promise<number> {
  let best = { roundTripMs: Number.POSITIVE_INFINITY, offsetMs: 0 };
  for (let index = 0; index < SAMPLES; index += 1) {
    const sentAt = performance.now();
    const { localTime } = (await admin.command({ hello: 1 })) as unknown as { readonly localTime: Date };
    const roundTripMs = performance.now() - sentAt;
    if (roundTripMs < best.roundTripMs)
      best = { roundTripMs, offsetMs: localTime.getTime() - (sentAt + roundTripMs / 2) };
  }
  return best.offsetMs;
}
