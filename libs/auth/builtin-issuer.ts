import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SignJWT, errors, type CryptoKey, type JWSHeaderParameters, type JWTPayload } from 'jose';
import {
  UserError,
  type Application,
  type ApplicationDirectory,
  type IssuerKeyBoard,
  type IssuerPublicKey,
  type Revocation,
} from '#domain';
import { appIdentityOf, tenantIdOf } from './app-identity.js';
import {
  SIGNING_ALGORITHM,
  importPublicKey,
  openSigningKey,
  versionOf,
  type SigningKey,
} from './signing-key.js';
import type { Identity, TrustedIssuer } from './trusted-issuer.js';

/** `iss` of what `npm run token` signs: it knows no address and no database. */
const LOCAL_ISSUER = 'urn:riposte:issuer';
/** `aud` of all its tokens. */
const DEFAULT_AUDIENCE = 'api://riposte';

const MOST_EXPIRY_SECONDS = 24 * 3600;
/** Seconds a token of the token endpoint is good for. */
const APPLICATION_TOKEN_SECONDS = 3600;

/** How old what it knows of the others' keys and of revocations may be: nobody waits longer for a revocation. */
const REFRESH_MS = 5000;
/** How often it says that its key is in use. */
const PUBLISH_MS = 60_000;
/** Tokens with unknown keys make it look again at most this often. */
const LOOK_AGAIN_MS = 10_000;
/** How long such a token waits for that. */
const LOOK_WITHIN_MS = 2000;

export interface TokenRequest {
  readonly tenantId: string;
  readonly appId: string;
  readonly roles: readonly string[];
  /** Seconds the token is good for. 1 … 86,400. */
  readonly expiresInSeconds: number;
}

/** A token and how many seconds it is good for. */
export interface IssuedToken {
  readonly token: string;
  readonly expiresInSeconds: number;
}

/** What an issuer shares with the other API processes of its installation. */
export interface Installation {
  /** Absolute base of its addresses, without a slash at its end. */
  readonly publicUrl: string;
  readonly keys: IssuerKeyBoard;
  readonly applications: ApplicationDirectory;
  /** Told when keys and revocations cannot be had, so that the last known stand, and when they can again. */
  readonly onRefresh: (problem: Error | null) => void;
}

/**
 * The issuer built into small installations. Its private key lies in the data dir, readable by its owner only, and
 * never leaves it; whoever can read it may sign tokens, which is what `npm run token` does. API processes with other
 * data dirs accept each other's tokens by the public keys, which they exchange through the installation's database.
 */
export class BuiltinIssuer implements TrustedIssuer {
  readonly name = 'built-in issuer';
  readonly audiences = [DEFAULT_AUDIENCE];
  readonly algorithms = [SIGNING_ALGORITHM];
  readonly #dataDir: string;
  readonly #installation: Installation | null;
  #signing: SigningKey;
  #published: ReadonlyMap<string, PublishedKey> = new Map();
  #revokedKeys: ReadonlySet<string> = new Set();
  #revocations: ReadonlyMap<string, Revocation> = new Map();
  #publishedAt: { readonly kid: string; readonly at: number } | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #refreshing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(dataDir: string, signing: SigningKey, installation: Installation | null) {
    this.#dataDir = dataDir;
    this.#signing = signing;
    this.#installation = installation;
  }

  /**
   * Opens the issuer of a data dir; makes its key if there is none.
   * @param installation null: it signs, and accepts what was signed with this very key
   * @throws ConfigurationError when the data dir or the key file cannot be used
   */
  static async open(dataDir: string, installation: Installation | null = null): Promise<BuiltinIssuer> {
    return new BuiltinIssuer(dataDir, await openSigningKey(dataDir), installation);
  }

  /**
   * Begins to share keys and to follow revocations, every 5 s until `stop`.
   * @throws OperationalError when revocations cannot be read at first: nobody would be known to be revoked
   */
  async start(): Promise<void> {
    await this.#read();
    this.#timer = setInterval(() => void this.#refresh(), REFRESH_MS);
    this.#timer.unref();
    await this.#publish().catch((error: Error) => this.#installation?.onRefresh(error));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The `iss` of the tokens of a tenant's applications. */
  issuerFor(tenantId: string): string {
    return `${this.#installation?.publicUrl ?? ''}/${tenantId}/v2.0`;
  }

  accepts(iss: string, tid: string | null): boolean {
    if (iss === LOCAL_ISSUER) return true;
    return (
      this.#installation !== null && tid !== null && tenantIdOf(tid) === tid && iss === this.issuerFor(tid)
    );
  }

  async keyOf({ kid }: JWSHeaderParameters): Promise<CryptoKey> {
    if (kid !== undefined) {
      const key = this.#known(kid) ?? (await this.#lookFor(kid));
      if (key !== undefined) return key;
    }
    throw new errors.JWKSNoMatchingKey();
  }

  identityOf(payload: JWTPayload): Identity {
    const identity = appIdentityOf(payload);
    const revocation = this.#revocations.get(idOf(identity));
    if (revocation !== undefined && isEndedBy(revocation, payload.iat ?? 0))
      throw new UserError('unauthenticated', 'The application was revoked.');
    return identity;
  }

  /** Signs an app-only access token in the form of Entra's v2 tokens, with no application registered for it. */
  async issue(request: TokenRequest): Promise<string> {
    return this.#sign(LOCAL_ISSUER, request, now());
  }

  /** A token for an application that has proved to be one. */
  async issueFor({ tenantId, appId, roles, revokedAt }: Application): Promise<IssuedToken> {
    await this.#reload();
    const expiresInSeconds = APPLICATION_TOKEN_SECONDS;
    // One that was restored this very second, or by a clock that is ahead, would be told from its old ones by nothing.
    const issuedAt = Math.max(now(), revokedAt === null ? 0 : Math.floor(revokedAt.getTime() / 1000) + 1);
    const request = { tenantId, appId, roles, expiresInSeconds };
    return { token: await this.#sign(this.issuerFor(tenantId), request, issuedAt), expiresInSeconds };
  }

  /** The public keys whose tokens are accepted: its own, and those of the other API processes. */
  publicKeys(): readonly IssuerPublicKey[] {
    const others = [...this.#published.values()].map(({ key }) => key);
    return [this.#signing.public, ...others.filter(({ kid }) => kid !== this.#signing.public.kid)].filter(
      ({ kid }) => !this.#revokedKeys.has(kid),
    );
  }

  async #sign(issuer: string, request: TokenRequest, issuedAt: number): Promise<string> {
    const { public: key, privateKey } = this.#signing;
    return new SignJWT({
      tid: request.tenantId,
      azp: request.appId,
      azpacr: '1',
      sub: request.appId,
      oid: request.appId,
      roles: [...request.roles],
      idtyp: 'app',
      ver: '2.0',
    })
      .setProtectedHeader({ alg: SIGNING_ALGORITHM, kid: key.kid, typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(DEFAULT_AUDIENCE)
      .setIssuedAt(issuedAt)
      .setNotBefore(Math.min(issuedAt, now()))
      .setExpirationTime(issuedAt + Math.min(request.expiresInSeconds, MOST_EXPIRY_SECONDS))
      .setJti(randomUUID())
      .sign(privateKey);
  }

  #known(kid: string): CryptoKey | undefined {
    if (this.#revokedKeys.has(kid)) return undefined;
    return kid === this.#signing.public.kid ? this.#signing.publicKey : this.#published.get(kid)?.publicKey;
  }

  /** A key made a moment ago: in this data dir, or by another process. */
  async #lookFor(kid: string): Promise<CryptoKey | undefined> {
    await this.#reload();
    if (this.#installation !== null && performance.now() - this.#lookedAt >= LOOK_AGAIN_MS) {
      this.#lookedAt = performance.now();
      await Promise.race([this.#refresh(), sleep(LOOK_WITHIN_MS, undefined, { ref: false })]);
    }
    return this.#known(kid);
  }

  /** Takes up the key that `issuer rotate-key` put in place of the one that was read. */
  async #reload(): Promise<void> {
    const version = await versionOf(this.#dataDir);
    // Without a file the key in memory goes on; a restart would make another.
    if (version === null || version === this.#signing.version) return;
    const before = { key: this.#signing.public, publicKey: this.#signing.publicKey };
    this.#signing = await openSigningKey(this.#dataDir);
    // Until it is read what became of it.
    this.#published = new Map([...this.#published, [before.key.kid, before]]);
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#share()
      .then(
        () => this.#installation?.onRefresh(null),
        (error: Error) => this.#installation?.onRefresh(error),
      )
      .finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #share(): Promise<void> {
    await this.#reload();
    await this.#read();
    await this.#publish();
  }

  async #publish(): Promise<void> {
    const own = this.#signing.public;
    const last = this.#publishedAt;
    if (last?.kid === own.kid && performance.now() - last.at < PUBLISH_MS) return;
    await this.#installation?.keys.publish(own);
    this.#publishedAt = { kid: own.kid, at: performance.now() };
  }

  async #read(): Promise<void> {
    if (this.#installation === null) return;
    const { keys, applications } = this.#installation;
    const [{ valid, revoked }, revocations] = await Promise.all([keys.read(), applications.revocations()]);
    this.#revocations = new Map(revocations.map((revocation) => [idOf(revocation), revocation]));
    this.#revokedKeys = new Set(revoked);
    const imported = await Promise.all(
      valid.map(async (key) => {
        const before = this.#published.get(key.kid);
        if (before !== undefined) return before;
        // Whatever else stands there is nobody's key.
        const publicKey = await importPublicKey(key).catch(() => null);
        return publicKey === null ? null : { key, publicKey };
      }),
    );
    this.#published = new Map(imported.flatMap((key) => (key === null ? [] : [[key.key.kid, key]])));
  }
}

interface PublishedKey {
  readonly key: IssuerPublicKey;
  readonly publicKey: CryptoKey;
}

function idOf({ tenantId, appId }: { readonly tenantId: string; readonly appId: string }): string {
  return `${tenantId}/${appId}`.toLowerCase();
}

/** Whatever a token says about its time while the application is out of use; later, what was issued until then. */
function isEndedBy({ disabledAt, revokedAt }: Revocation, issuedAtSeconds: number): boolean {
  return disabledAt !== null || (revokedAt !== null && issuedAtSeconds * 1000 <= revokedAt.getTime());
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
