import mongoose from 'mongoose';

/**
 * The folder in which the MongoDB at an address keeps its data; null where it does not say.
 * @throws the driver's error when it does not answer within `timeoutMs`
 */
export async function serverDataPath(uri: string, timeoutMs: number): Promise<string | null> {
  const client = new mongoose.mongo.MongoClient(uri, {
    serverSelectionTimeoutMS: timeoutMs,
    connectTimeoutMS: timeoutMs,
    socketTimeoutMS: timeoutMs,
  });
  try {
    const { parsed } = (await client.db('admin').command({ getCmdLineOpts: 1 })) as {
      readonly parsed?: { readonly storage?: { readonly dbPath?: string } };
    };
    return parsed?.storage?.dbPath ?? null;
  } finally {
    await client.close();
  }
}
