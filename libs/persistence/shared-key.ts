import { randomBytes } from 'node:crypto';
import type mongoose from 'mongoose';
import { repeatable } from './write-retry.js';

interface KeyDocument {
  readonly _id: string;
  readonly key: string;
}

const BUDGET_MS = 12_000;

/**
 * A key that all processes on a database share, made by whoever asks first. It stands there in clear, so it may
 * protect only what those who read the database know anyway, such as the position in a list.
 */
export function sharedKey(db: mongoose.mongo.Db, name: string): Promise<Buffer> {
  const made = randomBytes(32).toString('base64');
  return repeatable(BUDGET_MS, async () => {
    const keys = db.collection<KeyDocument>('keys');
    await keys.updateOne({ _id: name }, { $setOnInsert: { key: made } }, { upsert: true }).catch(onlyIfLost);
    const found = await keys.findOne({ _id: name });
    if (found === null) throw new Error(`the shared key "${name}" vanished while it was made`);
    return Buffer.from(found.key, 'base64');
  });
}

/** Two made the first one at the same time: it is the other's. */
function onlyIfLost(error: { readonly code?: unknown }): void {
  if (error.code !== 11_000) throw error as Error;
}
