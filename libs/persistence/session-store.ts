import type mongoose from 'mongoose';
import type { NewSession, OperatorAccount, Person, Session, SessionStore } from '#domain';
import { indexesOf } from './index-declaration.js';
import { OPERATORS, accountOf, type OperatorDocument, type OperatorStore } from './operator-store.js';
import { NOW, inMs, literal, wholeMs } from './pipeline.js';
import { repeatedRead, repeatedWrite } from './write-retry.js';

interface SessionDocument {
  readonly _id: string;
  readonly personId: string;
  readonly tenantId: string;
  /** The account's name, where it is one that is kept here. */
  readonly account: string | null;
  /** That of the account; null: an issuer vouched for the person. */
  readonly generation: number | null;
  readonly issuer: string | null;
  /** What the issuer said. */
  readonly person: Person | null;
  readonly startedAt: Date;
  readonly seenAt: Date;
  readonly idleUntil: Date;
  readonly endsAt: Date;
}

const COLLECTION = 'sessions';
/** MongoDB removes a session that nobody used for too long. */
export const SESSION_INDEXES = indexesOf(
  COLLECTION,
  { key: { idleUntil: 1 }, expireAfterSeconds: 0 },
  { key: { personId: 1 } },
);

/** `SessionStore` on MongoDB: what one API process ends, has ended for all. */
export class MongoSessionStore implements SessionStore {
  readonly #sessions: mongoose.mongo.Collection<SessionDocument>;
  readonly #operators: Pick<OperatorStore, 'endSessions'>;

  readonly #budgetMs: number;

  /** @param budgetMs milliseconds a call may go on repeating through an election */
  constructor(db: mongoose.mongo.Db, operators: Pick<OperatorStore, 'endSessions'>, budgetMs: number) {
    this.#budgetMs = budgetMs;
    this.#sessions = db.collection<SessionDocument>(COLLECTION);
    this.#operators = operators;
  }

  async add({ id, who, tenantId, idleMs, ends }: NewSession): Promise<void> {
    const endsAt = 'with' in ends ? ends.with.endsAt : inMs(wholeMs(ends.inMs));
    const isLocal = who.kind === 'local';
    await repeatedWrite(this.#budgetMs, () =>
      this.#sessions.updateOne(
        { _id: id },
        [
          {
            $set: {
              personId: literal(isLocal ? localId(who.account.name) : who.person.id),
              tenantId,
              account: isLocal ? literal(who.account.name) : null,
              generation: isLocal ? who.account.generation : null,
              issuer: isLocal ? null : literal(who.issuer),
              person: isLocal ? null : literal(who.person),
              startedAt: 'with' in ends ? ends.with.startedAt : NOW,
              seenAt: NOW,
              endsAt,
              idleUntil: { $min: [inMs(wholeMs(idleMs)), endsAt] },
            },
          },
        ],
        { upsert: true },
      ),
    );
  }

  async use(
    id: string,
    { idleMs, touchMs }: { readonly idleMs: number; readonly touchMs: number },
  ): Promise<Session | null> {
    const [found] = await repeatedRead(this.#budgetMs, () =>
      this.#sessions
        .aggregate<SessionDocument & { readonly accounts: readonly OperatorDocument[]; readonly now: Date }>([
          // The index removes documents some time after; and it is the database's clock that counts.
          { $match: { _id: id, $expr: { $gt: ['$idleUntil', NOW] } } },
          { $lookup: { from: OPERATORS, localField: 'account', foreignField: '_id', as: 'accounts' } },
          { $set: { now: NOW } },
        ])
        .toArray(),
    );
    if (found === undefined) return null;
    const session = sessionOf(found, found.accounts.map(accountOf)[0] ?? null);
    if (session === null) return null;
    if (found.now.getTime() - found.seenAt.getTime() < touchMs) return session;
    await this.#touch(id, idleMs);
    const idleUntil = Math.min(found.now.getTime() + idleMs, found.endsAt.getTime());
    return { ...session, idleUntil: new Date(idleUntil) };
  }

  async end(id: string): Promise<boolean> {
    const { deletedCount } = await repeatedWrite(this.#budgetMs, () => this.#sessions.deleteOne({ _id: id }));
    return deletedCount === 1;
  }

  async endAllOf({ kind, id, name }: Pick<Person, 'kind' | 'id' | 'name'>): Promise<void> {
    if (kind === 'local') await this.#operators.endSessions(name);
    await repeatedWrite(this.#budgetMs, () => this.#sessions.deleteMany({ personId: id }));
  }

  async #touch(id: string, idleMs: number): Promise<void> {
    await repeatedWrite(this.#budgetMs, () =>
      this.#sessions.updateOne({ _id: id }, [
        { $set: { seenAt: NOW, idleUntil: { $min: [inMs(wholeMs(idleMs)), '$endsAt'] } } },
      ]),
    );
  }
}

/** Null where the person has no right to go on: what is kept of a session says nothing of that by itself. */
function sessionOf(document: SessionDocument, account: OperatorAccount | null): Session | null {
  const { _id: id, tenantId, startedAt, idleUntil, endsAt } = document;
  const known = document.account === null ? vouchedFor(document) : keptHere(document, account);
  const grant = known?.person.grants.find((one) => one.tenantId === tenantId);
  return known === null || grant === undefined ? null : { id, ...known, grant, startedAt, idleUntil, endsAt };
}

type Known = Pick<Session, 'person' | 'who'>;

function vouchedFor({ person, issuer }: SessionDocument): Known | null {
  return person === null || issuer === null ? null : { person, who: { kind: 'issuer', issuer, person } };
}

function keptHere({ generation }: SessionDocument, account: OperatorAccount | null): Known | null {
  if (account === null || account.disabledAt !== null || account.generation !== generation) return null;
  const { name, displayName, grants, operates, mustChangePassword } = account;
  return {
    person: { kind: 'local', id: localId(name), name, displayName, grants, operates, mustChangePassword },
    who: { kind: 'local', account },
  };
}

function localId(name: string): string {
  return `local:${name}`;
}
