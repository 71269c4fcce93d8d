import mongoose from 'mongoose';
import { ACTIONS } from './action-document.js';
import { EXACT, isSameRecord, uuidIn, type ExactDocument } from './exact-record.js';
import { restored, restoredAt, type Restore } from './restored.js';
import type { ServerClock } from './server-clock.js';
import { repeatable } from './write-retry.js';

type Filter = mongoose.mongo.Filter<ExactDocument>;

/** Actions read at once: 100 of the largest there are (256 KiB) are 26 MB. */
const PAGE = 100;
const DUPLICATE_KEY = 11_000;

export interface RestoredGroup {
  readonly inserted: number;
  /** There already, the same. */
  readonly skipped: number;
  /** Ids that are there already with something else in the record, which stays. */
  readonly conflicts: readonly string[];
}

/** Reads and writes whole records, for export and import. */
export class BackupStore {
  readonly #actions: mongoose.mongo.Collection<ExactDocument>;
  readonly #clock: ServerClock;
  readonly #budgetMs: number;

  constructor(db: mongoose.mongo.Db, clock: ServerClock, retryBudgetMs: number) {
    this.#actions = db.collection<ExactDocument>(ACTIONS);
    this.#clock = clock;
    this.#budgetMs = retryBudgetMs;
  }

  /** The database's time. */
  now(): Date {
    return this.#clock.now();
  }

  /**
   * A tenant's actions that were created until `until`, oldest first, as a majority has them. One that changes
   * meanwhile is read in one of its states.
   */
  async *read(tenantId: string, until: Date): AsyncGenerator<ExactDocument> {
    let last: ExactDocument | undefined;
    for (;;) {
      const beyond: Filter =
        last === undefined
          ? { createdAt: { $lte: until } }
          : {
              createdAt: { $gte: last.createdAt, $lte: until },
              $or: [{ createdAt: { $gt: last.createdAt } }, { _id: { $gt: uuidIn(last) } }],
            };
      const page = await repeatable(this.#budgetMs, () =>
        this.#actions
          .find({ tenantId, ...beyond }, EXACT)
          .sort({ createdAt: 1, _id: 1 })
          .limit(PAGE)
          .toArray(),
      );
      yield* page;
      if (page.length < PAGE) return;
      last = page.at(-1);
    }
  }

  /** Writes records of a backup that are not there yet, as a majority holds. Safe to repeat. */
  async restore(records: readonly ExactDocument[], restore: Restore): Promise<RestoredGroup> {
    const at = this.#clock.now();
    const documents = records.map((record) => restored(record, restore, at));
    return repeatable(this.#budgetMs, async () => {
      const there = await this.#insert(documents);
      const ids = documents.filter((_document, index) => there.includes(index)).map(uuidIn);
      const existing = await this.#actions.find({ _id: { $in: ids } }, EXACT).toArray();
      const byId = new Map(existing.map((document) => [uuidIn(document).toString(), document]));
      const conflicts = there.flatMap((index) => {
        const record = records[index];
        if (record === undefined) return [];
        const id = uuidIn(record).toString();
        return isRestored(byId.get(id), record, restore) ? [] : [id];
      });
      return {
        inserted: records.length - there.length,
        skipped: there.length - conflicts.length,
        conflicts,
      };
    });
  }

  /** @returns the places of those whose ids are taken */
  async #insert(documents: readonly ExactDocument[]): Promise<readonly number[]> {
    try {
      await this.#actions.insertMany([...documents], { ordered: false });
      return [];
    } catch (error) {
      if (!(error instanceof mongoose.mongo.MongoBulkWriteError)) throw error;
      const errors = [error.writeErrors].flat();
      const concern = error.result.getWriteConcernError();
      if (concern !== undefined || errors.some(({ code }) => code !== DUPLICATE_KEY)) throw error;
      return errors.map(({ index }) => index);
    }
  }
}

/** True when what is there is the record itself, or what restoring it made of it at some time. */
function isRestored(existing: ExactDocument | undefined, record: ExactDocument, restore: Restore): boolean {
  if (existing === undefined) return false;
  if (isSameRecord(existing, record)) return true;
  const at = restoredAt(existing, restore);
  return at !== null && isSameRecord(existing, restored(record, restore, at));
}
