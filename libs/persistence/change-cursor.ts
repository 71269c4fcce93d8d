import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import { ACTIONS, INSTANCES, type Uuid } from './action-document.js';

/** Bookkeeping of the engine's: what is shown of a record is the same after a change of these. */
const UNSEEN = [
  'owner',
  'epoch',
  'leaseUntil',
  'nextAt',
  'lastOwner',
  'checkpoint',
  'intent.checkpoint',
  'progressOrder',
  'checkpointOrder',
  'operationOrder',
  'keptUntil',
  'liftAt',
  'liftTries',
  'health.at',
  'maintained.at',
];

/** The names of what an update changed, as an expression. */
const CHANGED = {
  $concatArrays: [
    { $map: { input: { $objectToArray: '$updateDescription.updatedFields' }, in: '$$this.k' } },
    '$updateDescription.removedFields',
    {
      $map: { input: { $ifNull: ['$updateDescription.truncatedArrays', []] }, in: '$$this.field' },
    },
  ],
};

const SEEN_CHANGES = [
  {
    // By itself, and first: the database applies it to its log before it makes changes of what is in there.
    $match: {
      'ns.coll': { $in: [ACTIONS, INSTANCES] },
      operationType: { $in: ['insert', 'replace', 'update'] },
    },
  },
  {
    $match: {
      $expr: {
        $or: [
          { $ne: ['$operationType', 'update'] },
          { $gt: [{ $size: { $setDifference: [CHANGED, UNSEEN] } }, 0] },
        ],
      },
    },
  },
  // The records stay where they are, with what is sealed in them.
  { $project: { 'ns.coll': 1, documentKey: 1 } },
];

interface Token {
  readonly _data: string;
}

interface ChangeEvent {
  readonly _id: Token;
  readonly ns: { readonly coll: string };
  readonly documentKey: { readonly _id: Uuid | string };
}

/** A record that changed, as somebody sees. */
export type SeenChange = { readonly position: string } & (
  | { readonly collection: typeof ACTIONS; readonly id: Uuid }
  | { readonly collection: typeof INSTANCES; readonly id: string }
);

export interface ChangeCursorOptions {
  /** Null: what changes from now on. */
  readonly after: string | null;
  /** Milliseconds that the database waits for a change before it says that there was none. */
  readonly awaitMs: number;
}

/** Milliseconds after which an answer does not come any more: the driver's own timeouts do not cover all. */
const HANGS_MS = 15_000;

/** A MongoDB change stream over the actions and the records of the provider instances, as a majority has them. */
export class ChangeCursor {
  readonly #stream: mongoose.mongo.ChangeStream<ChangeEvent, ChangeEvent>;
  #first: Promise<ChangeEvent | null> | null = null;
  #opening: Promise<unknown> = Promise.resolve();
  #position: string | null;
  #isClosing = false;

  constructor(db: mongoose.mongo.Db, { after, awaitMs }: ChangeCursorOptions) {
    this.#position = after;
    this.#stream = db.watch<ChangeEvent, ChangeEvent>(SEEN_CHANGES, {
      maxAwaitTimeMS: awaitMs,
      ...(after === null ? {} : { startAfter: { _data: after } }),
    });
    // The same text is a token again, as long as ids are no numbers: those would need its type bits.
    this.#stream.on('resumeTokenChanged', (token) => {
      this.#position = textOf(token as Token);
    });
  }

  /** What changed until there was given out. Null before it is opened. */
  get position(): string | null {
    return this.#position;
  }

  /** Resolves once its {@link position} is known. @throws the driver's error */
  async open(): Promise<void> {
    this.#first = this.#stream.tryNext();
    this.#opening = within(this.#first).catch(() => undefined);
    if (this.#position === null)
      await within(Promise.race([this.#first, once(this.#stream, 'resumeTokenChanged')]));
  }

  /**
   * The next change; null: there was none for a while.
   * @throws the driver's error, {@link isHistoryLost} or not; Error once it has ended
   */
  async next(): Promise<SeenChange | null> {
    const pending = this.#first ?? this.#stream.tryNext();
    this.#first = null;
    const event = await within(pending);
    if (event !== null) return seen(event);
    // For ever, and without asking anybody (driver 7.8): whoever reads on would do nothing else any more.
    if (this.#stream.closed) throw new Error('the change stream has ended');
    return null;
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    // Once, and not before it is open: else the driver leaves it at the server, which keeps it for minutes.
    void this.#opening.then(() => this.#stream.close()).catch(() => undefined);
  }
}

/** The database has forgotten what came after the position, or the position is none of its own. */
export function isHistoryLost(error: unknown): boolean {
  return error instanceof mongoose.mongo.MongoServerError && LOST_CODES.has(Number(error.code));
}

/** FailedToParse, InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost. */
const LOST_CODES = new Set([9, 260, 280, 286]);

function textOf({ _data: text }: Token): string {
  return text;
}

function seen({ _id: token, ns, documentKey: { _id: id } }: ChangeEvent): SeenChange {
  const position = textOf(token);
  return ns.coll === ACTIONS
    ? { position, collection: ACTIONS, id: id as Uuid }
    : { position, collection: INSTANCES, id: id as string };
}

async function within<T>(answer: Promise<T>): Promise<T> {
  const answered = new AbortController();
  const late = sleep(HANGS_MS, undefined, { signal: answered.signal }).then(
    () => Promise.reject(new Error(`the change stream gave no answer within ${HANGS_MS} ms`)),
    () => undefined,
  );
  try {
    return (await Promise.race([answer, late])) as T;
  } finally {
    answered.abort();
  }
}
