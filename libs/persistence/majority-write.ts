import type mongoose from 'mongoose';

/**
 * Makes a small write and waits until a majority has it, with all that was written before.
 * @throws Error after `timeoutMs`, or the driver's
 */
export async function majorityWrite(db: mongoose.mongo.Db, timeoutMs: number): Promise<void> {
  const late = new Promise<never>((_resolve, reject) => {
    setTimeout(() => reject(new Error(`no majority write within ${timeoutMs} ms`)), timeoutMs).unref();
  });
  const write = db
    .collection<{ _id: string }>('health')
    .updateOne({ _id: 'majority' }, [{ $set: { at: '$$NOW' } }], { upsert: true });
  await Promise.race([write, late]);
}
