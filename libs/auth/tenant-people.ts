import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import {
  OperationalError,
  UserError,
  type OperatorAccount,
  type OperatorAccounts,
  type Session,
  type TenantChange,
  type TenantRole,
} from '#domain';
import { displayName, operatorName } from './operator-name.js';
import { newPassword } from './password.js';

/** Names a tenant may try in an hour that are taken, by process: they are the installation's, and others may have them. */
const TAKEN_NAMES = 20;
const WINDOW_SECONDS = 3600;

/** An account with the password it was given: told once, and to be changed at the first sign-in. */
export interface WithPassword {
  readonly account: OperatorAccount;
  readonly password: string;
}

/**
 * The accounts of a tenant, as its administrators manage them. They decide about roles in their own tenant; what is the
 * account's everywhere (its password, whether it may be used) only where it is in no other tenant, and operates the
 * installation no more than they do.
 */
export class TenantPeople {
  readonly #accounts: OperatorAccounts;
  readonly #hash: (password: string) => Promise<string>;
  readonly #names = new RateLimiterMemory({ points: TAKEN_NAMES, duration: WINDOW_SECONDS });

  /** @param hash of a password that was made here */
  constructor(accounts: OperatorAccounts, hash: (password: string) => Promise<string>) {
    this.#accounts = accounts;
    this.#hash = hash;
  }

  list({ grant }: Session): Promise<readonly OperatorAccount[]> {
    return this.#accounts.list(grant.tenantId);
  }

  /**
   * @throws UserError `invalidRequest` for a name that is none, `notAllowed` for one that is taken
   * @throws OperationalError `tooManyRequests` after too many names that are taken
   */
  async add(
    { grant: { tenantId } }: Session,
    given: { readonly name: string; readonly displayName: string; readonly role: TenantRole },
  ): Promise<WithPassword> {
    const name = operatorName(given.name);
    const shown = displayName(given.displayName);
    const password = newPassword();
    // Before it is known whether it is taken: of many tried at the same time no more than these are.
    await this.#spendName(tenantId);
    let account: OperatorAccount | null = null;
    let isTaken = false;
    try {
      const made = await this.#accounts.add({
        name,
        displayName: shown,
        passwordHash: await this.#hash(password),
        mustChangePassword: true,
        operates: false,
        grant: { tenantId, role: given.role },
      });
      account = made ? await this.#accounts.find(name) : null;
      isTaken = account === null;
    } finally {
      if (!isTaken) await this.#names.reward(tenantId);
    }
    if (account === null)
      throw new UserError(
        'notAllowed',
        `The name "${name}" is taken; take another one. Nothing was changed.`,
      );
    return { account, password };
  }

  /**
   * @returns the account as it is then
   * @throws UserError `itemNotFound`, `accessDenied`, `notAllowed` for the last administrator of the tenant
   */
  async change(by: Session, name: string, change: Omit<TenantChange, 'remove'>): Promise<OperatorAccount> {
    const shown = change.displayName === undefined ? undefined : displayName(change.displayName);
    await this.#apply(by, name, { ...change, displayName: shown }, (account) => {
      if (change.disabled !== undefined || change.displayName !== undefined) requireOwn(by, account);
    });
    return this.#find(by, name);
  }

  /** Takes an account out of the tenant; one that is in no other goes altogether. As {@link change}. */
  async remove(by: Session, name: string): Promise<void> {
    await this.#apply(by, name, { remove: true }, (account) => {
      if (account.grants.length === 1) requireOwn(by, account);
    });
  }

  /**
   * Gives an account another password, and ends its sessions. As {@link change}, and `notAllowed` for one that changed
   * meanwhile.
   */
  async resetPassword(by: Session, name: string): Promise<WithPassword> {
    const before = await this.#find(by, name);
    requireOwn(by, before);
    const password = newPassword();
    const hash = await this.#hash(password);
    // Hashes wait for their turn: by then it may be another tenant's, too.
    const { generation } = before;
    const account = await this.#accounts.setPassword(before.name, { hash, mustChange: true, generation });
    if (account === null)
      throw new UserError(
        'notAllowed',
        `"${before.name}" was changed at the same time. Its password is the one it had; look at it and try again.`,
      );
    return { account, password };
  }

  async #spendName(tenantId: string): Promise<void> {
    try {
      await this.#names.consume(tenantId);
    } catch (exceeded) {
      if (!(exceeded instanceof RateLimiterRes)) throw exceeded;
      throw new OperationalError(
        'tooManyRequests',
        'Too many names that are taken were tried in the tenant. Nothing was changed.',
        Math.max(1, Math.ceil(exceeded.msBeforeNext / 1000)),
      );
    }
  }

  async #find({ grant: { tenantId } }: Session, name: string): Promise<OperatorAccount> {
    const account = await this.#accounts.find(name);
    if (account?.grants.some((grant) => grant.tenantId === tenantId) !== true) throw notThere(name);
    return account;
  }

  async #apply(
    { grant: { tenantId } }: Session,
    name: string,
    change: TenantChange,
    judge: (account: OperatorAccount) => void,
  ): Promise<void> {
    switch (await this.#accounts.changeInTenant(tenantId, name, change, judge)) {
      case 'done':
        return;
      case 'unknown':
        throw notThere(name);
      case 'lastAdministrator':
        throw new UserError(
          'notAllowed',
          `"${name}" is the last administrator of the tenant. Make another one first; nothing was changed.`,
        );
    }
  }
}

function requireOwn({ person }: Session, { grants, operates }: OperatorAccount): void {
  if (grants.length === 1 && (!operates || person.operates)) return;
  throw new UserError(
    'accessDenied',
    'The account is not the tenant’s alone: it is in other tenants, or operates the installation. Whoever runs the installation can change it (npm run riposte -- operators).',
  );
}

function notThere(name: string): UserError {
  return new UserError('itemNotFound', `The tenant has no account "${name.slice(0, 64)}".`);
}
