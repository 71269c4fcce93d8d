import { errors, importJWK, type CryptoKey, type JWSHeaderParameters } from 'jose';
import { OperationalError } from '#domain';
import { fetchJson } from './fetch-json.js';
import { issuerUrl } from './issuer-url.js';
import { readKeySet, type IssuerKey } from './key-set.js';

/** The age at which keys are read again, beside the requests that go on using them. */
const REFRESH_AFTER_MS = 4 * 60_000;
/** The age at which a request waits for newer keys first, so that a removed one ends within 10 minutes. */
const WAIT_AFTER_MS = 8 * 60_000;
/** How long keys go on being used while the issuer cannot be reached. */
const KEEP_MS = 24 * 3_600_000;
const DISCOVERY_FRESH_MS = 3_600_000;
/** Milliseconds for discovery document and keys together. */
const TIMEOUT_MS = 5000;
/** Whatever asks for keys, this many fetches at most in any such time. */
const FETCHES = 2;
const FETCHES_WITHIN_MS = 60_000;
/** Without any keys nobody gets in, so the issuer is asked more often. */
const RETRY_WITHOUT_KEYS_MS = 5000;
const MOST_KID_LENGTH = 256;

/** Where operators read what became of an issuer's keys. A pino logger is one. */
export interface IssuerLog {
  info(facts: object, event: string): void;
  warn(facts: object, event: string): void;
}

export interface IssuerKeysSettings {
  /** The issuer's name in messages. */
  readonly name: string;
  /** Address of the discovery document. */
  readonly discovery: URL;
  /** What `issuer` in the discovery document has to be, exactly. */
  readonly issuer: string;
  readonly log: IssuerLog;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface KnownKeys {
  readonly keys: readonly IssuerKey[];
  readonly readAtMs: number;
}

/**
 * The public keys of an issuer, found by OIDC discovery and kept in memory.
 *
 * - They are read when first needed; requests that come meanwhile share that one fetch.
 * - A `kid` that is not known has them read again at once, within two fetches in any minute, whoever asks.
 * - They are read again every few minutes; a key the issuer removed is refused within 10 minutes.
 * - While the issuer is away those read last serve for 24 hours.
 *
 * jose's `createRemoteJWKSet` has none of the bounds while an issuer is down: its cooldown counts from the last success.
 */
export class IssuerKeys {
  readonly #settings: IssuerKeysSettings;
  #known: KnownKeys | null = null;
  #discovered: { readonly jwksUri: URL; readonly atMs: number } | null = null;
  #fetch: Promise<void> | null = null;
  #fetchedAtMs: readonly number[] = [];
  #lastFailed = false;

  constructor(settings: IssuerKeysSettings) {
    this.#settings = settings;
  }

  /**
   * The key a token names by `kid` for its `alg`. Nothing else of the header is looked at.
   * @param serves whether a key may be used for the token; see {@link IssuerKey.issuer}
   * @throws JWKSNoMatchingKey of jose for one that is not there, and for a `kid` that several different keys have
   * @throws OperationalError `serviceNotAvailable` while there are no keys
   */
  async keyOf(
    { kid, alg }: JWSHeaderParameters,
    serves: (key: IssuerKey) => boolean = () => true,
  ): Promise<CryptoKey> {
    if (typeof kid !== 'string' || kid === '' || kid.length > MOST_KID_LENGTH || typeof alg !== 'string')
      throw new errors.JWKSNoMatchingKey();
    const find = (keys: readonly IssuerKey[]) =>
      keys.filter((key) => key.kid === kid && key.algorithms.includes(alg) && serves(key));
    let found = find(await this.#current());
    if (found.length === 0 && (await this.#refresh())) found = find(await this.#current());
    const [key, another] = found;
    // Which of several is meant cannot be told, and trying each would let an issuer's mistake multiply our work.
    if (key === undefined || another !== undefined) throw new errors.JWKSNoMatchingKey();
    return (await importJWK(key.jwk, alg)) as CryptoKey;
  }

  /** Reads the keys ahead of the first request; what goes wrong is logged, and tried again when they are needed. */
  async warmUp(): Promise<void> {
    await this.#refresh();
  }

  async #current(): Promise<readonly IssuerKey[]> {
    const age = this.#ageMs();
    // After a failure nobody waits: an issuer that hangs must not slow down every request.
    if (age > KEEP_MS || (age > WAIT_AFTER_MS && !this.#lastFailed)) await this.#refresh();
    else if (age > REFRESH_AFTER_MS) void this.#refresh();
    if (this.#known === null || this.#ageMs() > KEEP_MS) {
      throw new OperationalError(
        'serviceNotAvailable',
        'The keys that the access token is verified with cannot be had from its issuer for now.',
        RETRY_WITHOUT_KEYS_MS / 1000,
      );
    }
    return this.#known.keys;
  }

  /** Infinite without keys, and when the clock was put back behind the last fetch. */
  #ageMs(): number {
    const age = this.#known === null ? Infinity : this.#settings.now() - this.#known.readAtMs;
    return age < 0 ? Infinity : age;
  }

  /** True when the keys were read, false when that failed or was not allowed yet. Never rejects. */
  async #refresh(): Promise<boolean> {
    if (this.#fetch === null) {
      if (!this.#mayFetch()) return false;
      this.#fetch = this.#read().finally(() => {
        this.#fetch = null;
      });
    }
    await this.#fetch;
    return !this.#lastFailed;
  }

  #mayFetch(): boolean {
    const now = this.#settings.now();
    const within = this.#ageMs() > KEEP_MS ? RETRY_WITHOUT_KEYS_MS : FETCHES_WITHIN_MS;
    const most = this.#ageMs() > KEEP_MS ? 1 : FETCHES;
    const recent = this.#fetchedAtMs.filter((at) => at <= now && now - at < within);
    if (recent.length >= most) return false;
    this.#fetchedAtMs = [...recent, now];
    return true;
  }

  /**
   * Reads discovery document and keys now, whatever is known; nothing is kept.
   * @returns how many keys fit
   * @throws Error saying what is wrong with the issuer
   */
  async check(): Promise<number> {
    return (await this.#fetched()).length;
  }

  /** @throws Error saying what is wrong */
  async #fetched(): Promise<readonly IssuerKey[]> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const keys = readKeySet(await fetchJson(await this.#jwksUri(signal), signal));
    if (keys.length === 0) throw new Error('its key set holds no key that signs access tokens');
    return keys;
  }

  async #read(): Promise<void> {
    const { name, log, now } = this.#settings;
    const startedAtMs = now();
    try {
      const keys = await this.#fetched();
      const before = this.#known?.keys.map(({ kid }) => kid) ?? [];
      const after = keys.map(({ kid }) => kid);
      this.#known = { keys, readAtMs: startedAtMs };
      if (before.join('\n') !== after.join('\n')) log.info({ issuer: name, keys: after }, 'issuer keys read');
      this.#lastFailed = false;
    } catch (error) {
      this.#lastFailed = true;
      // It may have moved its keys.
      this.#discovered = null;
      log.warn(
        { issuer: name, error: (error as Error).message, keysKept: this.#ageMs() <= KEEP_MS },
        'issuer keys could not be read',
      );
    }
  }

  async #jwksUri(signal: AbortSignal): Promise<URL> {
    const { discovery, issuer, now } = this.#settings;
    const known = this.#discovered;
    if (known !== null && Math.abs(now() - known.atMs) < DISCOVERY_FRESH_MS) return known.jwksUri;
    const document = await fetchJson(discovery, signal);
    if (typeof document !== 'object' || document === null)
      throw new Error(`${discovery.href} is no discovery document`);
    const { issuer: named, jwks_uri: uri } = document as Record<string, unknown>;
    if (named !== issuer)
      throw new Error(`${discovery.href} is of the issuer ${String(named).slice(0, 200)}, not of ${issuer}`);
    const jwksUri = typeof uri === 'string' ? issuerUrl(uri) : null;
    // From a remote issuer, an address on this machine would be a way in.
    if (jwksUri === null || (discovery.protocol === 'https:' && jwksUri.protocol !== 'https:'))
      throw new Error(`${discovery.href} names no jwks_uri with https`);
    this.#discovered = { jwksUri, atMs: now() };
    return jwksUri;
  }
}
