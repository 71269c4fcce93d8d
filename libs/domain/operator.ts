import type { Role } from './roles.js';

/** What a person may do in a tenant, each more than the one before it. */
export const TENANT_ROLES = ['Viewer', 'Operator', 'Administrator'] as const;
export type TenantRole = (typeof TENANT_ROLES)[number];

/** The application that people act through who have signed in: the `appId` of what they ask for, in every tenant. */
export const CONSOLE_APP_ID = '7c0e5013-5e55-4107-a6e7-c045013e0001';

/** A person's role in a tenant. */
export interface Grant {
  /** GUID in small letters. */
  readonly tenantId: string;
  readonly role: TenantRole;
}

/** An account that is kept here, with a password of its own. */
export interface OperatorAccount {
  /** What the person signs in by, in small letters; unique in the installation. */
  readonly name: string;
  readonly displayName: string;
  /** What `#auth` made of the password; the password itself is nowhere. */
  readonly passwordHash: string;
  /** True: nothing else is allowed before the password was changed. */
  readonly mustChangePassword: boolean;
  /** True: `Riposte.Operator`, in the whole installation. */
  readonly operates: boolean;
  /** One for each tenant it may see; at least one. */
  readonly grants: readonly Grant[];
  /** Since when nobody can sign in with it. Null: it is in use. */
  readonly disabledAt: Date | null;
  readonly createdAt: Date;
  readonly lastSignInAt: Date | null;
  /**
   * Raised by what ends all of its sessions: each belongs to one. It begins higher than that of any account that had the
   * name before.
   */
  readonly generation: number;
}

/** Who has signed in, as things stand now. */
export interface Person {
  /** `local`: an account that is kept here; `issuer`: somebody an outside issuer vouched for. */
  readonly kind: 'local' | 'issuer';
  /** Unique, whoever vouches: `local:alice`, `entra:<sub>`. */
  readonly id: string;
  /** The `user` of what they ask for. */
  readonly name: string;
  readonly displayName: string;
  readonly grants: readonly Grant[];
  readonly operates: boolean;
  readonly mustChangePassword: boolean;
}

/** A person's time at the console, between signing in and out. */
export interface Session {
  /** What it is stored under; its secret cannot be told from it. */
  readonly id: string;
  readonly person: Person;
  /** Where the person works now: one of their grants. */
  readonly grant: Grant;
  /** By whom the person is known. */
  readonly who: SignedIn;
  readonly startedAt: Date;
  /** When it ends unless it is used before; never later than `endsAt`. */
  readonly idleUntil: Date;
  readonly endsAt: Date;
}

/** Whose session it is: an account as it was when its password was seen, or what an issuer said. */
export type SignedIn =
  | { readonly kind: 'local'; readonly account: Pick<OperatorAccount, 'name' | 'generation'> }
  | { readonly kind: 'issuer'; readonly issuer: string; readonly person: Person };

/** A session to be recorded. */
export interface NewSession {
  readonly id: string;
  readonly who: SignedIn;
  readonly tenantId: string;
  readonly idleMs: number;
  /** Milliseconds from now, or when an earlier one of the same sign-in would have ended. */
  readonly ends: { readonly inMs: number } | { readonly with: Session };
}

/**
 * The sessions of all API processes. Methods throw `OperationalError` without a database; times are the database's.
 */
export interface SessionStore {
  /** Safe to repeat. */
  add(session: NewSession): Promise<void>;
  /**
   * A session that goes on, with the person's rights as they are now. Null: it ended, by time or by what became of the
   * account, or never was. Where it was not used for `touchMs`, it is noted as used.
   */
  use(id: string, limits: { readonly idleMs: number; readonly touchMs: number }): Promise<Session | null>;
  /** Safe to repeat. False: it was not there, or (where an answer was lost) no more. */
  end(id: string): Promise<boolean>;
  /** Ends all of a person's sessions, everywhere and at once. */
  endAllOf(person: Pick<Person, 'kind' | 'id' | 'name'>): Promise<void>;
}

/** What signing in has to know of the accounts. Methods throw `OperationalError` without a database. */
export interface AccountDirectory {
  /** @param name in small letters */
  find(name: string): Promise<OperatorAccount | null>;
  /** Notes the time, for people. */
  noteSignIn(name: string): Promise<void>;
  /**
   * Replaces the password and ends all sessions. Safe to repeat. Null: there is no such account, or it changed since it
   * had the `generation`, and nothing was done.
   */
  setPassword(name: string, password: NewPassword): Promise<OperatorAccount | null>;
}

/** A password that takes the place of another one. */
export interface NewPassword {
  readonly hash: string;
  readonly mustChange: boolean;
  /** That of the account for which it was decided that this may be done. Absent: whatever became of it. */
  readonly generation?: number;
}

/** An account to be made. */
export type NewOperator = Pick<
  OperatorAccount,
  'name' | 'displayName' | 'passwordHash' | 'mustChangePassword' | 'operates'
> & { readonly grant: Grant };

/** What an administrator changes of an account in the tenant; what is not given stays. */
export interface TenantChange {
  readonly role?: TenantRole | undefined;
  readonly displayName?: string | undefined;
  readonly disabled?: boolean | undefined;
  /** Takes the account out of the tenant; one that is in no other goes altogether. */
  readonly remove?: true | undefined;
}

/** What became of it. */
export type ChangeOutcome = 'done' | 'unknown' | 'lastAdministrator';

/** The accounts, for who manages them. Methods throw `OperationalError` without a database. */
export interface OperatorAccounts extends AccountDirectory {
  /** By name, of one tenant or (null) of all; at most 10,000. */
  list(tenantId: string | null): Promise<readonly OperatorAccount[]>;
  /** Makes an account. Safe to repeat with the same hash. False: the name is taken. */
  add(account: NewOperator): Promise<boolean>;
  /**
   * Changes an account of a tenant, and never takes that its last administrator who can sign in: of two who take each
   * other's role at the same time, one is refused. What concerns more than the name that is shown ends its sessions.
   *
   * @param judge is given the account that would be changed, as it is then. What it throws is thrown, and nothing changed
   */
  changeInTenant(
    tenantId: string,
    name: string,
    change: TenantChange,
    judge: (account: OperatorAccount) => void,
  ): Promise<ChangeOutcome>;
}

/** What a person with this role in a tenant may ask for there. */
export function rolesOf(role: TenantRole, operates: boolean): readonly Role[] {
  return [
    role === 'Viewer' ? 'SecurityActions.Read.All' : 'SecurityActions.ReadWrite.All',
    ...(role === 'Administrator' ? (['Audit.Read.All'] as const) : []),
    ...(operates ? (['Riposte.Operator'] as const) : []),
  ];
}
