import { BulkheadRejectedError, bulkhead } from 'cockatiel';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { OperationalError, UserError, type AccountDirectory, type OperatorAccount } from '#domain';
import type { KnownDevices } from './known-devices.js';
import { networkOf } from './network-of.js';
import { checkNewPassword, hashOfPassword, isPasswordOf } from './password.js';

/** Failed attempts that are let through in five minutes. */
export interface FailureLimits {
  /** At a name from an address. Default 10. */
  readonly ofName: number;
  /** From an address altogether. Default 50. */
  readonly ofAddress: number;
}

/** Where an attempt comes from. */
export interface Origin {
  readonly address: string;
  /** What the browser keeps of an earlier sign-in, see `KnownDevices`; null: nothing. */
  readonly device: string | null;
}

const DEFAULT_LIMITS: FailureLimits = { ofName: 10, ofAddress: 50 };
const WINDOW_SECONDS = 300;
/** Each takes 32 MiB and one of libuv's four threads, which files, DNS and the applications' secrets need, too. */
const HASHES_AT_ONCE = 1;
/** Some 5 s of hashing. */
const HASHES_WAITING = 16;
/** Of these that wait, so many from one address: others get their turn. */
const WAITING_OF_ADDRESS = 4;

const LONGEST_NAME = 64;

/** The name or the password is wrong, or the account is disabled. */
export class SignInRefusedError extends UserError {
  /** @param account that was tried, for the record; null: there is none of that name. Whoever tries is not told */
  constructor(readonly account: Pick<OperatorAccount, 'name' | 'grants'> | null) {
    super('unauthenticated', 'The name or the password is wrong, or the account is disabled.');
  }
}

/**
 * Lets people sign in by name and password. Who guesses is slowed down per name and address, and per address, by each
 * API process; nobody is kept from signing in by what others try from elsewhere, and, in a browser where they have signed in
 * before, by what others try from the same address. Of an unknown name, a disabled account
 * and a wrong password all get the same answer after the same work.
 */
export class LocalSignIn {
  readonly #accounts: AccountDirectory;
  readonly #devices: KnownDevices;
  readonly #ofName: RateLimiterMemory;
  readonly #ofAddress: RateLimiterMemory;
  readonly #hashing = bulkhead(HASHES_AT_ONCE, HASHES_WAITING);
  readonly #waiting = new Map<string, number>();

  constructor(
    accounts: AccountDirectory,
    devices: KnownDevices,
    { ofName, ofAddress }: FailureLimits = DEFAULT_LIMITS,
  ) {
    this.#accounts = accounts;
    this.#devices = devices;
    this.#ofName = new RateLimiterMemory({ points: ofName, duration: WINDOW_SECONDS });
    this.#ofAddress = new RateLimiterMemory({ points: ofAddress, duration: WINDOW_SECONDS });
  }

  /**
   * The account with this name and password.
   * @throws SignInRefusedError
   * @throws OperationalError `tooManyRequests` after too many failures, or when too many sign in at once
   */
  async check(name: string, password: string, origin: Origin): Promise<OperatorAccount> {
    const known = name.trim().toLowerCase();
    const network = this.#placeOf(known, origin);
    const place = `${known.slice(0, LONGEST_NAME)} ${network}`;
    // Before the password is looked at: of many guesses at the same time no more than these are.
    await this.#spend(this.#ofAddress, network);
    await this.#spend(this.#ofName, place);
    const { account, isRight } = await this.#look(known, password, network).catch(async (error: unknown) => {
      // That nobody can say is no failure of whoever asks.
      await Promise.all([this.#ofAddress.reward(network), this.#ofName.reward(place)]);
      throw error;
    });
    if (account === null || !isRight || account.disabledAt !== null) throw new SignInRefusedError(account);
    await this.#ofName.delete(place);
    await this.#ofAddress.reward(network);
    return account;
  }

  /** For the browser to keep and to send with later attempts, see {@link Origin}. */
  proofFor({ name }: OperatorAccount): string {
    return this.#devices.proofFor(name);
  }

  /** Notes the time, for people. */
  noteSignIn({ name }: OperatorAccount): Promise<void> {
    return this.#accounts.noteSignIn(name);
  }

  /**
   * Replaces somebody's password, and ends their sessions.
   * @param current the one they have, which is asked for again: a screen may be left alone
   * @returns the account as it is then
   * @throws UserError `accessDenied` when `current` is wrong, `invalidRequest` for a new one that is no good
   * @throws OperationalError as {@link check}
   */
  async changePassword(
    name: string,
    given: { readonly current: string; readonly next: string },
    origin: Origin,
  ): Promise<OperatorAccount> {
    checkNewPassword(given.next, name);
    if (given.next === given.current)
      throw new UserError('invalidRequest', 'The new password is the one you have.');
    const { generation } = await this.check(name, given.current, origin).catch((error: unknown) => {
      // Not that nobody has signed in: the session goes on.
      if (!(error instanceof UserError)) throw error;
      throw new UserError('accessDenied', 'The current password is wrong.', { cause: error });
    });
    const hash = await this.#hashed(this.#placeOf(name, origin), () => hashOfPassword(given.next));
    const account = await this.#accounts.setPassword(name, { hash, mustChange: false, generation });
    if (account === null)
      throw new UserError('unauthenticated', 'The account was changed at the same time. Sign in again.');
    return account;
  }

  /** Hashes a password that was made here, in its turn. */
  hash(password: string): Promise<string> {
    return this.#hashed('', () => hashOfPassword(password));
  }

  /** By what failures are counted: a device that is known for the account, else the network. */
  #placeOf(account: string, { address, device }: Origin): string {
    const id = device === null ? null : this.#devices.idOf(account, device);
    return id === null ? networkOf(address) : `device ${id}`;
  }

  async #look(name: string, password: string, network: string) {
    const account = name.length > LONGEST_NAME ? null : await this.#accounts.find(name);
    const isRight = await this.#hashed(network, () => isPasswordOf(password, account?.passwordHash ?? null));
    return { account, isRight };
  }

  async #spend(limiter: RateLimiterMemory, key: string): Promise<void> {
    try {
      await limiter.consume(key);
    } catch (exceeded) {
      if (!(exceeded instanceof RateLimiterRes)) throw exceeded;
      throw tooMany(
        'Too many failed attempts to sign in from this address.',
        Math.max(1, Math.ceil(exceeded.msBeforeNext / 1000)),
      );
    }
  }

  async #hashed<T>(network: string, work: () => Promise<T>): Promise<T> {
    const waiting = this.#waiting.get(network) ?? 0;
    if (waiting >= WAITING_OF_ADDRESS) throw tooMany('Too many sign in at once from this address.', 2);
    this.#waiting.set(network, waiting + 1);
    try {
      return await this.#hashing.execute(work);
    } catch (cause) {
      if (!(cause instanceof BulkheadRejectedError)) throw cause;
      throw tooMany('Too many sign in at once.', 2, cause);
    } finally {
      const left = (this.#waiting.get(network) ?? 1) - 1;
      if (left > 0) this.#waiting.set(network, left);
      else this.#waiting.delete(network);
    }
  }
}

function tooMany(what: string, retryAfterSeconds: number, cause?: unknown): OperationalError {
  const message = `${what} Try again in ${retryAfterSeconds} s.`;
  return new OperationalError('tooManyRequests', message, retryAfterSeconds, { cause });
}
