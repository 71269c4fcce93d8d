import type mongoose from 'mongoose';
import type {
  ChangeOutcome,
  Grant,
  NewOperator,
  NewPassword,
  OperatorAccount,
  OperatorAccounts,
  TenantChange,
  TenantRole,
} from '#domain';
import { indexesOf } from './index-declaration.js';
import { NOW, literal } from './pipeline.js';
import { repeatedRead, repeatedWrite } from './write-retry.js';

export interface OperatorDocument extends Omit<OperatorAccount, 'name'> {
  readonly _id: string;
}

/** What becomes of an account's rights; what is not given stays. */
export interface RightsChange {
  /** A role in a tenant, in place of the one it has there. */
  readonly grant?: Grant | undefined;
  /** Whether it operates the installation. */
  readonly operates?: boolean | undefined;
}

type Update = Readonly<Record<string, unknown>>;

/** The collection of the accounts. */
export const OPERATORS = 'operators';
/** One document for each tenant, which whatever may take its last administrator writes. */
export const OPERATOR_TENANTS = 'operatorTenants';
/** The accounts of a tenant. */
export const OPERATOR_INDEXES = indexesOf(OPERATORS, { key: { 'grants.tenantId': 1 } });
const LIST_MOST = 10_000;
const DUPLICATE_KEY = 11_000;
/** What ends every session of the account, in the same write as what it is done for. */
const ENDS_SESSIONS = { generation: { $add: ['$generation', 1] } } as const;

/** The accounts of people who sign in here, in MongoDB. Times are the database's. */
export class OperatorStore implements OperatorAccounts {
  readonly #client: mongoose.mongo.MongoClient;
  readonly #operators: mongoose.mongo.Collection<OperatorDocument>;
  readonly #tenants: mongoose.mongo.Collection<{ readonly _id: string }>;
  readonly #budgetMs: number;

  /** @param budgetMs milliseconds a call may go on repeating through an election */
  constructor(client: mongoose.mongo.MongoClient, db: mongoose.mongo.Db, budgetMs: number) {
    this.#client = client;
    this.#budgetMs = budgetMs;
    this.#operators = db.collection<OperatorDocument>(OPERATORS);
    this.#tenants = db.collection<{ readonly _id: string }>(OPERATOR_TENANTS);
  }

  async find(name: string): Promise<OperatorAccount | null> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#operators.findOne({ _id: name.toLowerCase() }),
    );
    return found === null ? null : accountOf(found);
  }

  async list(tenantId: string | null): Promise<readonly OperatorAccount[]> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#operators
        .find(tenantId === null ? {} : { 'grants.tenantId': tenantId })
        .sort({ _id: 1 })
        .limit(LIST_MOST)
        .toArray(),
    );
    return found.map(accountOf);
  }

  /** True when there is an account, of whatever tenant. */
  async any(): Promise<boolean> {
    return (await repeatedRead(this.#budgetMs, () => this.#operators.findOne({}))) !== null;
  }

  async add({ name, grant, passwordHash, ...account }: NewOperator): Promise<boolean> {
    // An upsert by pipeline, for the database's clock; where the name is there already, it stays as it is.
    const once = (field: string, value: unknown): unknown => ({ $ifNull: [`$${field}`, value] });
    await repeatedWrite(this.#budgetMs, () =>
      this.#operators.updateOne(
        { _id: name },
        [
          {
            $set: {
              displayName: once('displayName', literal(account.displayName)),
              passwordHash: once('passwordHash', literal(passwordHash)),
              mustChangePassword: once('mustChangePassword', account.mustChangePassword),
              operates: once('operates', account.operates),
              grants: once('grants', literal([grant])),
              createdAt: once('createdAt', NOW),
              disabledAt: once('disabledAt', null),
              lastSignInAt: once('lastSignInAt', null),
              // Sessions of an account that had the name before are none of its.
              generation: once('generation', { $toLong: NOW }),
            },
          },
        ],
        { upsert: true },
      ),
    );
    return (await this.find(name))?.passwordHash === passwordHash;
  }

  async noteSignIn(name: string): Promise<void> {
    await this.#change(name, { lastSignInAt: NOW });
  }

  async setPassword(
    name: string,
    { hash, mustChange, generation }: NewPassword,
  ): Promise<OperatorAccount | null> {
    // A repeat finds the hash there, and raises nothing: the session that was begun since goes on.
    const filter = {
      _id: name.toLowerCase(),
      passwordHash: { $ne: hash },
      ...(generation === undefined ? {} : { generation }),
    };
    await repeatedWrite(this.#budgetMs, () =>
      this.#operators.updateOne(filter, [
        { $set: { passwordHash: literal(hash), mustChangePassword: mustChange, ...ENDS_SESSIONS } },
      ]),
    );
    const account = await this.find(name);
    return account?.passwordHash === hash ? account : null;
  }

  /** Changes what it may do, all of it or nothing, and ends its sessions. False: there is no such account. */
  setRights(name: string, { grant, operates }: RightsChange): Promise<boolean> {
    return this.#change(name, {
      ...(grant === undefined ? {} : { grants: withGrant(grant.tenantId, grant.role) }),
      ...(operates === undefined ? {} : { operates }),
      ...ENDS_SESSIONS,
    });
  }

  /** Takes it out of use, or puts it back. False: there is no such account. */
  setDisabled(name: string, disabled: boolean): Promise<boolean> {
    return this.#change(name, disabledOrNot(disabled));
  }

  /** Ends its sessions. False: there is no such account. */
  endSessions(name: string): Promise<boolean> {
    return this.#change(name, ENDS_SESSIONS);
  }

  /** Takes it out of a tenant, or (null) away altogether; in no tenant it goes, too. False: there was none such. */
  async remove(name: string, tenantId: string | null): Promise<boolean> {
    const filter = { _id: name.toLowerCase(), ...(tenantId === null ? {} : { 'grants.tenantId': tenantId }) };
    // Read first: what is repeated after a lost answer finds nothing any more.
    const isThere = await repeatedRead(this.#budgetMs, () => this.#operators.countDocuments(filter));
    if (isThere === 0) return false;
    await repeatedWrite(this.#budgetMs, () =>
      this.#operators.deleteOne(tenantId === null ? filter : { ...filter, grants: { $size: 1 } }),
    );
    if (tenantId !== null)
      await this.#change(name, { grants: withoutGrant(tenantId), ...ENDS_SESSIONS }, filter);
    return true;
  }

  async changeInTenant(
    tenantId: string,
    name: string,
    change: TenantChange,
    judge: (account: OperatorAccount) => void,
  ): Promise<ChangeOutcome> {
    await repeatedWrite(this.#budgetMs, () =>
      this.#tenants
        .updateOne({ _id: tenantId }, { $setOnInsert: {} }, { upsert: true })
        .catch((error: { readonly code?: unknown }) => {
          // Somebody else made it at the same time.
          if (error.code !== DUPLICATE_KEY) throw error;
        }),
    );
    return repeatedWrite(this.#budgetMs, () =>
      this.#client.withSession((session) =>
        session.withTransaction(async () => {
          // Both of two changes write it, so that the second sees what the first did.
          await this.#tenants.updateOne({ _id: tenantId }, { $inc: { changes: 1 } }, { session });
          const filter = { _id: name.toLowerCase(), 'grants.tenantId': tenantId };
          const before = await this.#operators.findOne(filter, { session });
          if (before === null) return 'unknown';
          judge(accountOf(before));
          const isGone = change.remove === true && before.grants.length === 1;
          if (isGone) await this.#operators.deleteOne(filter, { session });
          else await this.#operators.updateOne(filter, [{ $set: changed(tenantId, change) }], { session });
          if (administers(before, tenantId)) {
            const another = await this.#operators.findOne(administratorOf(tenantId), { session });
            if (another === null) {
              await session.abortTransaction();
              return 'lastAdministrator';
            }
          }
          return 'done';
        }),
      ),
    );
  }

  async #change(name: string, set: Update, filter: Update = { _id: name.toLowerCase() }): Promise<boolean> {
    const { matchedCount } = await repeatedWrite(this.#budgetMs, () =>
      this.#operators.updateOne(filter, [{ $set: set }]),
    );
    return matchedCount === 1;
  }
}

/** What is known of an account, out of its document. */
export function accountOf({ _id, ...account }: OperatorDocument): OperatorAccount {
  return { name: _id, ...account };
}

function changed(tenantId: string, { role, displayName, disabled, remove }: TenantChange): Update {
  const endsSessions = role !== undefined || disabled !== undefined || remove === true;
  return {
    ...(displayName === undefined ? {} : { displayName: literal(displayName) }),
    ...(disabled === undefined ? {} : disabledOrNot(disabled)),
    ...(role === undefined ? {} : { grants: withGrant(tenantId, role) }),
    ...(remove === true ? { grants: withoutGrant(tenantId) } : {}),
    ...(endsSessions ? ENDS_SESSIONS : {}),
  };
}

function disabledOrNot(disabled: boolean): Update {
  return { disabledAt: disabled ? { $ifNull: ['$disabledAt', NOW] } : null, ...ENDS_SESSIONS };
}

/** Its grants with this one, where it has none in the tenant at the end. */
function withGrant(tenantId: string, role: TenantRole): Update {
  const wanted = literal({ tenantId, role });
  const inPlace = {
    $map: { input: '$grants', in: { $cond: [{ $eq: ['$$this.tenantId', tenantId] }, wanted, '$$this'] } },
  };
  return {
    $cond: [{ $in: [tenantId, '$grants.tenantId'] }, inPlace, { $concatArrays: ['$grants', [wanted]] }],
  };
}

function withoutGrant(tenantId: string): Update {
  return { $filter: { input: '$grants', cond: { $ne: ['$$this.tenantId', tenantId] } } };
}

function administers({ grants, disabledAt }: OperatorDocument, tenantId: string): boolean {
  return (
    disabledAt === null &&
    grants.some((grant) => grant.tenantId === tenantId && grant.role === 'Administrator')
  );
}

/** As {@link administers}. */
function administratorOf(tenantId: string): Update {
  return { grants: { $elemMatch: { tenantId, role: 'Administrator' } }, disabledAt: null };
}
