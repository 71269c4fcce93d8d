import { chmod, link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import {
  SignJWT,
  calculateJwkThumbprint,
  errors,
  exportJWK,
  generateKeyPair,
  importJWK,
  type CryptoKey,
  type JWK,
  type JWSHeaderParameters,
} from 'jose';
import { ConfigurationError } from '#domain';
import { appIdentityOf } from './app-identity.js';
import type { TrustedIssuer } from './trusted-issuer.js';

const BUILTIN_ISSUER = 'urn:riposte:issuer';
const DEFAULT_AUDIENCE = 'api://riposte';
const ALGORITHM = 'RS256';

const KEY_FILE = 'issuer-key.json';
const MOST_EXPIRY_SECONDS = 24 * 3600;

export interface TokenRequest {
  readonly tenantId: string;
  readonly appId: string;
  readonly roles: readonly string[];
  /** Seconds the token is good for. 1 … 86,400. */
  readonly expiresInSeconds: number;
}

/**
 * The issuer built into small installations. Its private key lies in the data dir, readable by its owner only;
 * whoever can read it may sign tokens, which is what `npm run token` does.
 */
export class BuiltinIssuer implements TrustedIssuer {
  readonly name = 'built-in issuer';
  readonly audiences = [DEFAULT_AUDIENCE];
  readonly algorithms = [ALGORITHM];
  readonly identityOf = appIdentityOf;

  private constructor(
    readonly keyId: string,
    readonly publicKey: CryptoKey,
    readonly privateKey: CryptoKey,
  ) {}

  accepts(iss: string): boolean {
    return iss === BUILTIN_ISSUER;
  }

  async keyOf(header: JWSHeaderParameters): Promise<CryptoKey> {
    if (header.kid !== this.keyId) throw new errors.JWKSNoMatchingKey();
    return this.publicKey;
  }

  /**
   * Reads the key, or makes one. Processes that start at once agree on the same.
   * @throws ConfigurationError when the data dir or the key file cannot be used
   */
  static async open(dataDir: string): Promise<BuiltinIssuer> {
    const file = path.join(dataDir, KEY_FILE);
    const jwk = (await readKey(file)) ?? (await makeKey(dataDir, file));
    try {
      const publicJwk = publicPartOf(jwk);
      return new BuiltinIssuer(
        await calculateJwkThumbprint(publicJwk),
        (await importJWK(publicJwk, ALGORITHM)) as CryptoKey,
        (await importJWK(jwk, ALGORITHM)) as CryptoKey,
      );
    } catch (cause) {
      throw new ConfigurationError(
        `${file} holds no usable RSA key. Restore it, or remove it to have a new one made (tokens signed with the old one end).`,
        { cause },
      );
    }
  }

  /** Signs an app-only access token in the form of Entra's v2 tokens. */
  async issue(request: TokenRequest): Promise<string> {
    const seconds = Math.min(request.expiresInSeconds, MOST_EXPIRY_SECONDS);
    return new SignJWT({
      tid: request.tenantId,
      azp: request.appId,
      sub: request.appId,
      oid: request.appId,
      roles: [...request.roles],
      idtyp: 'app',
      ver: '2.0',
    })
      .setProtectedHeader({ alg: ALGORITHM, kid: this.keyId, typ: 'JWT' })
      .setIssuer(BUILTIN_ISSUER)
      .setAudience(DEFAULT_AUDIENCE)
      .setIssuedAt()
      .setNotBefore('0s')
      .setExpirationTime(`${seconds}s`)
      .setJti(randomUUID())
      .sign(this.privateKey);
  }
}

function publicPartOf({ kty, n, e }: JWK): JWK {
  if (kty !== 'RSA' || n === undefined || e === undefined) throw new Error('not an RSA key');
  return { kty, n, e, alg: ALGORITHM };
}

async function readKey(file: string): Promise<JWK | null> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new ConfigurationError(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    return JSON.parse(text) as JWK;
  } catch (cause) {
    throw new ConfigurationError(`${file} is not JSON. Restore it, or remove it to have a new key made.`, {
      cause,
    });
  }
}

async function makeKey(dataDir: string, file: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { modulusLength: 2048, extractable: true });
  const jwk = await exportJWK(privateKey);
  const draft = `${file}.${randomUUID()}`;
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(JSON.stringify(jwk));
      await handle.sync();
    } finally {
      await handle.close();
    }
    // Whoever links first wins; a rename would let the second replace a key that is in use.
    await link(draft, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return;
      // A file system without hard links.
      return rename(draft, file);
    });
    await chmod(file, 0o600);
  } catch (cause) {
    throw new ConfigurationError(
      `the token issuer's key cannot be kept in ${dataDir}: ${(cause as Error).message}. Set RIPOSTE_DATA_DIR to a directory that can be written.`,
      { cause },
    );
  } finally {
    await rm(draft, { force: true });
  }
  const kept = await readKey(file);
  if (kept === null) throw new ConfigurationError(`${file} vanished while it was made`);
  return kept;
}
