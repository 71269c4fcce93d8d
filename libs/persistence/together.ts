import mongoose from 'mongoose';
import type { ActionDocument, Uuid } from './action-document.js';
import { isTransientMongoError } from './write-retry.js';

const { MongoServerError } = mongoose.mongo;
const MAJORITY = { w: 'majority' } as const;
const DUPLICATE_KEY = 11_000;

/** True when an index refused the write because another record has its value. */
export function isDuplicateKey(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === DUPLICATE_KEY;
}

const NONE: ReadonlyMap<string, ActionDocument> = new Map();

/**
 * Several single-document writes in one command, with one majority wait. Unordered: none depends on another.
 * The command is sent as such, for the driver's bulk API hides which error it was behind one of its own.
 */
export class Together {
  readonly #db: mongoose.mongo.Db;
  readonly #actions: mongoose.mongo.Collection<ActionDocument>;

  constructor(db: mongoose.mongo.Db, actions: mongoose.mongo.Collection<ActionDocument>) {
    this.#db = db;
    this.#actions = actions;
  }

  /**
   * @returns in order, the document as it is on record, or what was wrong with that document alone. One whose id
   *   is there already went through on an earlier try.
   */
  async insert(documents: readonly ActionDocument[]): Promise<readonly (ActionDocument | Error)[]> {
    const { errors } = await this.#run({ insert: this.#actions.collectionName, documents });
    const repeated = documents.filter((_document, index) => errors.get(index)?.code === DUPLICATE_KEY);
    const recorded = repeated.length === 0 ? NONE : await this.read(repeated.map(({ _id }) => _id));
    return documents.map((document, index) => {
      const { _id } = document;
      return recorded.get(_id.toString()) ?? errors.get(index) ?? document;
    });
  }

  /** @returns how many filters matched, and by index what was wrong with an update alone */
  async update(
    updates: readonly { readonly q: object; readonly u: readonly object[] }[],
  ): Promise<{ readonly matched: number; readonly errors: ReadonlyMap<number, Error> }> {
    return this.#run({ update: this.#actions.collectionName, updates });
  }

  /** Reads the documents of these ids, as the primary has them. */
  async read(ids: readonly Uuid[]): Promise<ReadonlyMap<string, ActionDocument>> {
    const documents = await this.#actions.find({ _id: { $in: [...ids] } }).toArray();
    return new Map(
      documents.map((document) => {
        const { _id } = document;
        return [_id.toString(), document];
      }),
    );
  }

  /** Reads who owns the documents of these ids, or ended them. */
  async readOwners(ids: readonly Uuid[]): Promise<ReadonlyMap<string, string | null>> {
    const documents = await this.#actions
      .find({ _id: { $in: [...ids] } })
      .project<Pick<ActionDocument, '_id' | 'owner'>>({ owner: 1 })
      .toArray();
    return new Map(documents.map(({ _id, owner }) => [_id.toString(), owner]));
  }

  /** @throws MongoWriteConcernError by the driver when it was applied, but perhaps not by a majority */
  async #run(command: mongoose.mongo.BSON.Document): Promise<{
    readonly matched: number;
    readonly errors: ReadonlyMap<number, mongoose.mongo.MongoServerError>;
  }> {
    const answer = (await this.#db.command({
      ...command,
      ordered: false,
      writeConcern: MAJORITY,
    })) as unknown as {
      readonly n: number;
      readonly writeErrors?: readonly { readonly index: number; readonly code: number }[];
    };
    const errors = new Map<number, mongoose.mongo.MongoServerError>();
    for (const { index, ...error } of answer.writeErrors ?? []) {
      const asError = new MongoServerError(error);
      // An election in the middle is not the one document's fault.
      if (isTransientMongoError(asError)) throw asError;
      errors.set(index, asError);
    }
    return { matched: answer.n, errors };
  }
}
