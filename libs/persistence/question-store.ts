import type mongoose from 'mongoose';
import type { Question, QuestionAnswer, Questions } from '#domain';
import { indexesOf } from './index-declaration.js';
import { NOW, inMs, literal } from './pipeline.js';
import { repeatable } from './write-retry.js';

interface QuestionDocument extends Omit<Question, 'id'> {
  readonly _id: string;
  readonly askedAt: Date;
  readonly taken: boolean;
  readonly answer?: QuestionAnswer;
  readonly expireAt: Date;
}

/** The collection of the questions. */
const QUESTIONS = 'questions';
/** MongoDB removes what was left. */
export const QUESTION_INDEXES = indexesOf(QUESTIONS, { key: { expireAt: 1 }, expireAfterSeconds: 0 });
/** Milliseconds after which what nobody collected is removed. */
const LIFE_MS = 300_000;
/** Milliseconds a call may go on repeating through an election: whoever waits gives up soon. */
const BUDGET_MS = 8000;

/** `Questions` on MongoDB: one document each, by the database's own clock. */
export class MongoQuestions implements Questions {
  readonly #questions: mongoose.mongo.Collection<QuestionDocument>;

  constructor(db: mongoose.mongo.Db) {
    this.#questions = db.collection<QuestionDocument>(QUESTIONS);
  }

  async ask({ id, kind, instance, about }: Question): Promise<void> {
    const asked = {
      _id: literal(id),
      kind: literal(kind),
      instance: literal(instance),
      about: literal(about),
      askedAt: NOW,
      taken: false,
      expireAt: inMs(LIFE_MS),
    };
    // A repeat after an answer that was lost must not bring back what a worker has taken off the record.
    const once = { $cond: [{ $eq: [{ $type: '$taken' }, 'missing'] }, asked, '$$ROOT'] };
    await repeatable(BUDGET_MS, () =>
      this.#questions.updateOne({ _id: id }, [{ $replaceWith: once }], { upsert: true }),
    );
  }

  async collect(id: string): Promise<QuestionAnswer | null> {
    // Read first, as a repeat of a removal would find nothing.
    const found = await repeatable(BUDGET_MS, () =>
      this.#questions.findOne({ _id: id, answer: { $exists: true } }),
    );
    if (found?.answer === undefined) return null;
    await this.withdraw(id);
    return found.answer;
  }

  async withdraw(id: string): Promise<void> {
    await repeatable(BUDGET_MS, () => this.#questions.deleteOne({ _id: id }));
  }

  async take(instances: readonly string[], withinMs: number): Promise<Question | null> {
    if (instances.length === 0) return null;
    // Not repeated: one that was taken with its answer lost is asked again by whoever wants to know.
    const found = await this.#questions.findOneAndUpdate(
      {
        taken: false,
        instance: { $in: [...instances] },
        $expr: { $gt: ['$askedAt', { $subtract: [NOW, withinMs] }] },
      },
      // Of no more use on record as soon as somebody has it.
      [{ $set: { taken: true, about: null } }],
      { returnDocument: 'before', sort: { askedAt: 1 } },
    );
    if (found === null) return null;
    const { _id: id, kind, instance, about } = found;
    // One that an earlier version asked has nothing sealed.
    return { id, kind, instance, about: about === null ? null : { ...about, sealed: about.sealed ?? null } };
  }

  async answer(id: string, answer: QuestionAnswer): Promise<void> {
    await repeatable(BUDGET_MS, () =>
      this.#questions.updateOne({ _id: id }, [{ $set: { answer: literal(answer) } }]),
    );
  }
}
