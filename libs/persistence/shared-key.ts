import { randomBytes } from 'node:crypto';
import type mongoose from 'mongoose';
import { ConfigurationError, UnsealError, type SealedPlace, type SecretSeal } from '#domain';
import { repeatable } from './write-retry.js';

/** A key under its name. One of the time before keys were sealed stands there in clear. */
export type SharedKeyDocument = { readonly _id: string } & (
  { readonly sealed: string; readonly key?: never } | { readonly key: string; readonly sealed?: never }
);

/** The keys there are, by what they are for. */
export type SharedKeyName = 'fingerprint' | 'skip-token' | 'sign-in' | 'device' | 'audit';

/** The collection of the keys. */
export const SHARED_KEYS = 'keys';
const BUDGET_MS = 12_000;

/** Where a shared key is sealed for. */
export function placeOfSharedKey(name: string): SealedPlace {
  return { kind: 'sharedKey', tenantId: '', id: name };
}

/** A new key, as it is sealed. */
export function newSharedKey(): string {
  return randomBytes(32).toString('base64');
}

/**
 * A key that all processes on a database share, made by whoever asks first and stored sealed.
 * @throws ConfigurationError when this process does not have the keys that it is sealed with
 */
export async function sharedKey(
  db: mongoose.mongo.Db,
  name: SharedKeyName,
  seal: SecretSeal,
): Promise<Buffer> {
  const sealed = await seal.seal(newSharedKey(), placeOfSharedKey(name));
  const found = await repeatable(BUDGET_MS, async () => {
    const keys = db.collection<{ _id: string }>(SHARED_KEYS);
    const there = await keys.findOne<SharedKeyDocument>({ _id: name });
    if (there !== null) return there;
    // No update, which would ask for leave to change the key of all.
    await keys.insertOne({ _id: name, sealed } as SharedKeyDocument).catch(onlyIfLost);
    return keys.findOne<SharedKeyDocument>({ _id: name });
  });
  if (found === null) throw new Error(`the shared key "${name}" vanished while it was made`);
  const key = found.key ?? (await opened(found.sealed, name, seal));
  return Buffer.from(key, 'base64');
}

async function opened(sealed: string, name: string, seal: SecretSeal): Promise<string> {
  try {
    return await seal.open(sealed, placeOfSharedKey(name));
  } catch (cause) {
    if (!(cause instanceof UnsealError)) throw cause;
    throw new ConfigurationError(
      cause.missingKey === null
        ? `The shared key "${name}" in the database was changed. Restore the collection "${SHARED_KEYS}", or have it made anew: npm run riposte -- secrets rotate --lost`
        : `The secrets in the database are sealed with the key ${cause.missingKey}, which this process does not have. Give it the keys of the others (RIPOSTE_SECRETS_KEY_FILE), or restore the key file from its copy. Where it is lost for ever: npm run riposte -- secrets rotate --lost`,
      { cause },
    );
  }
}

/** Two made the first one at the same time: it is the other's. */
function onlyIfLost(error: { readonly code?: unknown }): void {
  if (error.code !== 11_000) throw error as Error;
}
