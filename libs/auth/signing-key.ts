import { randomUUID } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type CryptoKey,
  type JWK,
} from 'jose';
import { ConfigurationError, type IssuerPublicKey } from '#domain';

/** What the built-in issuer signs with. */
export const SIGNING_ALGORITHM = 'RS256';

const KEY_FILE = 'issuer-key.json';
const MODULUS_BITS = 2048;

/** The key of a data dir. */
export interface SigningKey {
  readonly public: IssuerPublicKey;
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
  /** Changes when the file is replaced, see {@link versionOf}. */
  readonly version: string;
}

/**
 * Reads the data dir's key, or makes one. Processes that start at once agree on the same.
 * @throws ConfigurationError when the data dir or the key file cannot be used
 */
export async function openSigningKey(dataDir: string): Promise<SigningKey> {
  const file = path.join(dataDir, KEY_FILE);
  // Before the content: a replacement in between is then noticed as one.
  let version = await versionOf(dataDir);
  let jwk = await readKey(file);
  if (jwk === null) {
    await makeKey(dataDir, file);
    version = await versionOf(dataDir);
    jwk = await readKey(file);
  }
  if (jwk === null || version === null) throw new ConfigurationError(`${file} vanished while it was made`);
  try {
    const publicJwk = publicPartOf(jwk);
    return {
      public: { kid: await calculateJwkThumbprint(publicJwk), n: publicJwk.n, e: publicJwk.e },
      publicKey: (await importJWK(publicJwk, SIGNING_ALGORITHM)) as CryptoKey,
      privateKey: (await importJWK(jwk, SIGNING_ALGORITHM)) as CryptoKey,
      version,
    };
  } catch (cause) {
    throw new ConfigurationError(
      `${file} holds no usable RSA key. Restore it, or remove it to have a new one made (tokens signed with the old one end).`,
      { cause },
    );
  }
}

/** Tells one key file from the one that replaced it, without reading either. Null: there is none. */
export async function versionOf(dataDir: string): Promise<string | null> {
  const found = await stat(path.join(dataDir, KEY_FILE), { bigint: true }).catch(() => null);
  return found === null ? null : `${found.ino}-${found.mtimeNs}-${found.size}`;
}

/**
 * Puts a new key in the place of the data dir's, whose private half is gone then.
 *
 * @param announce told both before anything is replaced; when it fails nothing is
 * @throws ConfigurationError when the data dir or the key file cannot be used
 */
export async function replaceSigningKey(
  dataDir: string,
  announce: (before: IssuerPublicKey, next: IssuerPublicKey) => Promise<void>,
): Promise<{ readonly before: IssuerPublicKey; readonly next: IssuerPublicKey }> {
  const file = path.join(dataDir, KEY_FILE);
  const { public: before } = await openSigningKey(dataDir);
  const { draft, jwk } = await draftKey(dataDir, file);
  try {
    const { n, e } = publicPartOf(jwk);
    const next = { kid: await calculateJwkThumbprint({ kty: 'RSA', n, e }), n, e };
    await announce(before, next);
    await rename(draft, file).catch((cause: unknown) => {
      throw notKept(dataDir, cause);
    });
    return { before, next };
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * A key that another process published, ready to verify with.
 * @throws Error for what is no RSA key of at least 2,048 bits, or goes by another key's id
 */
export async function importPublicKey({ kid, n, e }: IssuerPublicKey): Promise<CryptoKey> {
  const jwk = publicPartOf({ kty: 'RSA', n, e });
  if (Buffer.from(n, 'base64url').length * 8 < MODULUS_BITS)
    throw new Error(`the RSA key ${kid} is too short`);
  if ((await calculateJwkThumbprint(jwk)) !== kid) throw new Error(`the key ${kid} has another thumbprint`);
  return (await importJWK(jwk, SIGNING_ALGORITHM)) as CryptoKey;
}

function publicPartOf({ kty, n, e }: JWK): JWK & { readonly n: string; readonly e: string } {
  if (kty !== 'RSA' || typeof n !== 'string' || typeof e !== 'string') throw new Error('not an RSA key');
  return { kty, n, e, alg: SIGNING_ALGORITHM };
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

/** A new key in a file of its own beside the place it is for, readable by its owner only. */
async function draftKey(
  dataDir: string,
  file: string,
): Promise<{ readonly draft: string; readonly jwk: JWK }> {
  const { privateKey } = await generateKeyPair(SIGNING_ALGORITHM, {
    modulusLength: MODULUS_BITS,
    extractable: true,
  });
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
  } catch (cause) {
    await rm(draft, { force: true });
    throw notKept(dataDir, cause);
  }
  return { draft, jwk };
}

async function makeKey(dataDir: string, file: string): Promise<void> {
  const { draft } = await draftKey(dataDir, file);
  try {
    // Whoever links first wins; a rename would let the second replace a key that is in use.
    await link(draft, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return;
      // A file system without hard links.
      return rename(draft, file);
    });
    await chmod(file, 0o600);
  } catch (cause) {
    throw notKept(dataDir, cause);
  } finally {
    await rm(draft, { force: true });
  }
}

function notKept(dataDir: string, cause: unknown): ConfigurationError {
  return new ConfigurationError(
    `the token issuer's key cannot be kept in ${dataDir}: ${(cause as Error).message}. Set RIPOSTE_DATA_DIR to a directory that can be written.`,
    { cause },
  );
}
