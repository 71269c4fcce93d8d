import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import { isFinal, type SecurityAction } from '#domain';
import type { FinalView, Recovery } from './evidence.js';

const SAMPLE_MS = 200;

type Row = Pick<SecurityAction, 'epoch' | 'owner' | 'nextAt'>;
export type ActionRow = Omit<SecurityAction, 'id'> & { readonly _id: mongoose.mongo.UUID };

interface Tracked extends Omit<Recovery, 'at'> {
  readonly epoch: number;
}

/** Watches the open actions in the database: how soon those that a fault held up go on, and what they end as. */
export class OpenActions {
  readonly recoveries: Recovery[] = [];
  readonly firstFinals = new Map<string, FinalView>();
  readonly #collection: () => mongoose.mongo.Collection<ActionRow>;
  #open: ReadonlyMap<string, Row> = new Map();
  #tracked = new Map<string, Tracked[]>();
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(collection: () => mongoose.mongo.Collection<ActionRow>) {
    this.#collection = collection;
  }

  start(): void {
    this.#running = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** How many are open, as of the last look. */
  get count(): number {
    return this.#open.size;
  }

  /** Those that are open, as of the last look. */
  get ids(): readonly string[] {
    return [...this.#open.keys()];
  }

  /** Actions that this process holds, as of now. */
  async heldBy(pid: number | undefined): Promise<readonly string[]> {
    await this.#look().catch(() => undefined);
    return [...this.#open].flatMap(([id, { owner }]) => (owner?.includes(`:${pid}:`) === true ? [id] : []));
  }

  /** Actions whose time has come and which nobody has taken, as of now. */
  async due(): Promise<readonly string[]> {
    await this.#look().catch(() => undefined);
    const now = Date.now();
    return [...this.#open].flatMap(([id, { nextAt }]) =>
      nextAt !== null && nextAt.getTime() <= now ? [id] : [],
    );
  }

  /** From now on it is noted when each of these goes on. */
  track(fault: Omit<Recovery, 'at'>, ids: readonly string[]): void {
    for (const id of ids) {
      const epoch = this.#open.get(id)?.epoch ?? 0;
      this.#tracked.set(id, [...(this.#tracked.get(id) ?? []), { ...fault, epoch }]);
    }
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#look();
      } catch {
        // The database is away; so it is looked at again.
      }
      await sleep(SAMPLE_MS);
    }
  }

  async #look(): Promise<void> {
    const rows = await this.#collection()
      .find({ open: true })
      .project<{ _id: mongoose.mongo.UUID } & Row>({ epoch: 1, owner: 1, nextAt: 1 })
      .toArray();
    const open = new Map(rows.map(({ _id, ...row }) => [_id.toString(), row]));
    const gone = [...this.#open.keys()].filter((id) => !open.has(id));
    this.#open = open;
    const now = Date.now();
    for (const [id, entries] of this.#tracked) {
      const epoch = open.get(id)?.epoch ?? Number.POSITIVE_INFINITY;
      const waiting = entries.filter((entry) => {
        if (epoch <= entry.epoch) return true;
        const { epoch: _epoch, ...fault } = entry;
        this.recoveries.push({ ...fault, at: now });
        return false;
      });
      if (waiting.length === 0) this.#tracked.delete(id);
      else this.#tracked.set(id, waiting);
    }
    if (gone.length > 0) await this.#noteEnds(gone);
  }

  async #noteEnds(ids: readonly string[]): Promise<void> {
    const { UUID } = mongoose.mongo;
    const rows = await this.#collection()
      .find({ _id: { $in: ids.map((id) => new UUID(id)) } })
      .project<
        { _id: mongoose.mongo.UUID } & Pick<SecurityAction, 'status' | 'phase' | 'errorInfo' | 'completedAt'>
      >({
        status: 1,
        phase: 1,
        errorInfo: 1,
        completedAt: 1,
      })
      .toArray();
    for (const { _id, status, phase, errorInfo, completedAt } of rows) {
      if (!isFinal(status) || completedAt === null || this.firstFinals.has(_id.toString())) continue;
      this.firstFinals.set(_id.toString(), {
        status,
        phase,
        code: errorInfo?.code ?? null,
        completedAt: completedAt.getTime(),
      });
    }
  }
}
