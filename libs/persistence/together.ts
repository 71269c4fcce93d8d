import mongoose from 'mongoose';
import { CLAIMED_FIELDS, type ActionDocument, type ClaimedDocument, type Uuid } from './action-document.js';
import { literal, type Expression } from './pipeline.js';
import { uuidOf } from './uuid.js';
import { isTransientMongoError, type Within } from './write-retry.js';

const { MongoServerError } = mongoose.mongo;
const MAJORITY = { w: 'majority' } as const;
const DUPLICATE_KEY = 11_000;

/** True when an index refused the write because another record has its value. */
export function isDuplicateKey(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === DUPLICATE_KEY;
}

/** What a field is set to, by its name. */
export type Changes = Readonly<Record<string, Expression>>;
/** Stands for the value of that name which a write was given. */
export type Given = (name: string) => Expression;

/** A conditional write to one record, as it is for all writes of its kind: they differ in what they are given alone. */
export interface WriteKind {
  /** Two kinds of one name are one. */
  readonly name: string;
  /** The filter, without the id, and the changes of an aggregation pipeline. */
  statement(given: Given): { readonly filter: object; readonly changes: Changes };
}

/** One write of a kind. */
export interface GuardedWrite {
  readonly kind: WriteKind;
  readonly id: string;
  readonly given: Readonly<Record<string, unknown>>;
  /** True where an index may refuse it, which would stop the writes in one statement with it. */
  readonly alone?: boolean;
}

const NONE: ReadonlyMap<string, ActionDocument> = new Map();

/**
 * Several single-document writes in one command, with one majority wait. Unordered: none depends on another.
 * The command is sent as such, for the driver's bulk API hides which error it was behind one of its own.
 *
 * Writes of one kind are one statement: the database reads, checks and plans it once, and finds what each record is
 * given by the place of its id. (One statement a record took it three times as long.)
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
  async insert(
    documents: readonly ActionDocument[],
    within: Within,
  ): Promise<readonly (ActionDocument | Error)[]> {
    const { errors } = await this.#run({ insert: this.#actions.collectionName, documents }, within);
    const repeated = documents.filter((_document, index) => errors.get(index)?.code === DUPLICATE_KEY);
    const recorded = await this.read(repeated.map(({ _id }) => _id));
    return documents.map((document, index) => {
      const { _id } = document;
      return recorded.get(_id.toString()) ?? errors.get(index) ?? document;
    });
  }

  /** A write by itself. @returns the record as it left it; null where its filter did not match */
  updateOne({ kind, id, given }: GuardedWrite, within: Within): Promise<ClaimedDocument | null> {
    const { filter, changes } = kind.statement((name) => literal(given[name]));
    return this.#actions.findOneAndUpdate({ _id: uuidOf(id), ...filter }, [{ $set: changes }], {
      returnDocument: 'after',
      projection: CLAIMED_FIELDS,
      ...within,
    });
  }

  /**
   * @returns whether every filter matched (false where that is not known), and by index what was wrong with a write
   *   alone
   */
  async update(
    writes: readonly GuardedWrite[],
    within: Within,
  ): Promise<{ readonly allMatched: boolean; readonly errors: ReadonlyMap<number, Error> }> {
    const { matched, refused } = await this.#update(statementsOf(writes), within);
    if (refused.size === 0) return { allMatched: matched === writes.length, errors: new Map() };
    const errors = new Map<number, Error>();
    const again: number[] = [];
    for (const [members, error] of refused) {
      if (members.length === 1) for (const index of members) errors.set(index, error);
      // Some of them may be written: those do not match any more, or match with the same result.
      else again.push(...members);
    }
    const alone = await this.#update(
      again.map((index) => ({ members: [index], writes: writes.slice(index, index + 1) })),
      within,
    );
    for (const [members, error] of alone.refused) for (const index of members) errors.set(index, error);
    return { allMatched: false, errors };
  }

  /** Reads of the documents of these ids what a claim needs, as the primary has them. */
  async readClaimed(ids: readonly Uuid[]): Promise<ReadonlyMap<string, ClaimedDocument>> {
    const documents = await this.#actions
      .find({ _id: { $in: [...ids] } })
      .project<ClaimedDocument>(CLAIMED_FIELDS)
      .toArray();
    return byId(documents);
  }

  /** Reads the documents of these ids, as the primary has them. */
  async read(ids: readonly Uuid[]): Promise<ReadonlyMap<string, ActionDocument>> {
    if (ids.length === 0) return NONE;
    const documents = await this.#actions.find({ _id: { $in: [...ids] } }).toArray();
    return byId(documents);
  }

  /** Reads who owns the documents of these ids, or ended them. */
  async readOwners(ids: readonly Uuid[]): Promise<ReadonlyMap<string, string | null>> {
    const documents = await this.#actions
      .find({ _id: { $in: [...ids] } })
      .project<Pick<ActionDocument, '_id' | 'owner'>>({ owner: 1 })
      .toArray();
    return new Map(documents.map(({ _id, owner }) => [_id.toString(), owner]));
  }

  async #update(
    statements: readonly Statement[],
    within: Within,
  ): Promise<{
    readonly matched: number;
    readonly refused: ReadonlyMap<readonly number[], Error>;
  }> {
    if (statements.length === 0) return { matched: 0, refused: new Map() };
    const values: Record<string, Expression> = {};
    const updates = statements.map((statement, index) => updateOf(statement, `s${index}_`, values));
    const { matched, errors } = await this.#run(
      {
        update: this.#actions.collectionName,
        updates,
        ...(Object.keys(values).length === 0 ? {} : { let: values }),
      },
      within,
    );
    const refused = [...errors].map(([index, error]) => [statements[index]?.members ?? [], error] as const);
    return { matched, refused: new Map(refused) };
  }

  /** @throws MongoWriteConcernError by the driver when it was applied, but perhaps not by a majority */
  async #run(
    command: mongoose.mongo.BSON.Document,
    { maxTimeMS, signal }: Within,
  ): Promise<{
    readonly matched: number;
    readonly errors: ReadonlyMap<number, mongoose.mongo.MongoServerError>;
  }> {
    const answer = (await this.#db.command(
      { ...command, ordered: false, writeConcern: MAJORITY, maxTimeMS },
      { signal },
    )) as unknown as {
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

/** Writes of one kind, by their places among all. */
interface Statement {
  readonly members: number[];
  readonly writes: GuardedWrite[];
}

/** One statement a kind; a record that is written twice is in two. */
function statementsOf(writes: readonly GuardedWrite[]): readonly Statement[] {
  const statements: Statement[] = [];
  const open = new Map<string, { readonly statement: Statement; readonly ids: Set<string> }>();
  for (const [index, write] of writes.entries()) {
    const { kind, id, alone = false } = write;
    const name = alone ? '' : kind.name;
    const there = open.get(name);
    if (!alone && there !== undefined && !there.ids.has(id)) {
      there.statement.members.push(index);
      there.statement.writes.push(write);
      there.ids.add(id);
      continue;
    }
    const statement: Statement = { members: [index], writes: [write] };
    statements.push(statement);
    if (!alone) open.set(name, { statement, ids: new Set([id]) });
  }
  return statements;
}

/** The statement as the command has it. What differs from record to record goes into `values`, in the order of the ids. */
function updateOf(
  { writes }: Statement,
  prefix: string,
  values: Record<string, Expression>,
): mongoose.mongo.BSON.Document {
  const [first] = writes;
  if (first === undefined) throw new TypeError('a statement without a write');
  const ids = writes.map(({ id }) => uuidOf(id));
  const place = { $indexOfArray: [`$$${prefix}ids`, '$_id'] };
  const given = (name: string): Expression => {
    const value = first.given[name];
    if (writes.every((write) => Object.is(write.given[name], value))) return literal(value);
    values[`${prefix}ids`] = literal(ids);
    values[prefix + name] = literal(writes.map((write) => write.given[name] ?? null));
    return { $arrayElemAt: [`$$${prefix}${name}`, place] };
  };
  const { filter, changes } = first.kind.statement(given);
  return writes.length === 1
    ? { q: { _id: ids[0], ...filter }, u: [{ $set: changes }] }
    : { q: { _id: { $in: ids }, ...filter }, u: [{ $set: changes }], multi: true, hint: { _id: 1 } };
}

function byId<Document extends { readonly _id: Uuid }>(
  documents: readonly Document[],
): ReadonlyMap<string, Document> {
  return new Map(
    documents.map((document) => {
      const { _id } = document;
      return [_id.toString(), document];
    }),
  );
}
