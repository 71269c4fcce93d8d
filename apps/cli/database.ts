import { readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import type { Database } from '#persistence';

const APP_NAME = 'riposte-cli';
const ANSWER_WITHIN_MS = 3000;

/** The command cannot be carried out; the message says what to change. Printed as it is, without a stack. */
export class RefusedError extends Error {}

/**
 * Works with the database that `MONGODB_URI` names, else with that of an `npm start` which runs on
 * `RIPOSTE_DATA_DIR`. A failure of the database is told without the address's credentials.
 *
 * The database's tools take most of a second to load: commands on the HTTP API do without.
 *
 * @throws RefusedError when there is no database, or it fails
 */
export async function withDatabase<T>(
  env: Readonly<Record<string, string | undefined>>,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const [{ BackupError, connectDatabase }, { withoutSecrets }] = await Promise.all([
    import('#persistence'),
    import('#telemetry'),
  ]);
  const given = env['MONGODB_URI'] || null;
  const uri = await databaseUri(env);
  const failed = (what: string) => (cause: unknown) => {
    const problem = withoutSecrets((cause as Error).message, secretsIn(uri)) as string;
    return new RefusedError(`${what}: ${problem}`, { cause });
  };
  const database = await connectDatabase(uri, { appName: APP_NAME }).catch((cause: unknown) => {
    throw failed(given === null ? 'The database cannot be used' : 'MONGODB_URI cannot be used')(cause);
  });
  try {
    return await work(database);
  } catch (error) {
    if (error instanceof BackupError) throw new RefusedError(error.message, { cause: error });
    if (isOfTheDatabase(error)) throw failed('The database failed')(error);
    throw error;
  } finally {
    await database.close();
  }
}

/**
 * `MONGODB_URI`, else the address of the MongoDB of an `npm start` that runs on `RIPOSTE_DATA_DIR`.
 * @throws RefusedError when there is neither
 */
export async function databaseUri(env: Readonly<Record<string, string | undefined>>): Promise<string> {
  return env['MONGODB_URI'] || embeddedUri(path.resolve(env['RIPOSTE_DATA_DIR'] || '.riposte'));
}

/** Where the MongoDB of an `npm start` on this data dir serves. Its port may have become somebody else's since. */
async function embeddedUri(dataDir: string): Promise<string> {
  // As the launcher has it, and libs/embedded-servers remembers its port.
  const dbPath = path.join(dataDir, 'mongo');
  const port = Number((await readFile(`${dbPath}.port`, 'utf8').catch(() => '')).trim());
  if (!(Number.isInteger(port) && port > 0)) {
    throw new RefusedError(
      `There is no database: set MONGODB_URI, or RIPOSTE_DATA_DIR to the data directory of a running "npm start" (${dataDir} is none).`,
    );
  }
  const { serverDataPath } = await import('#persistence');
  const uri = `mongodb://127.0.0.1:${port}/riposte?directConnection=true`;
  const served = await serverDataPath(uri, ANSWER_WITHIN_MS).catch(() => null);
  if (served === null || (await realpath(served).catch(() => served)) !== (await realpath(dbPath))) {
    throw new RefusedError(
      `The database of ${dataDir} does not run: run "npm start" there, or set MONGODB_URI.`,
    );
  }
  return uri;
}

function isOfTheDatabase(error: unknown): boolean {
  return error instanceof Error && /^Mongo|^OperationalError$|^WriteUnconfirmedError$/.test(error.name);
}

/** What of an address no message may show: all of it, and user and password in either spelling. */
function secretsIn(uri: string): readonly string[] {
  const [start, end] = [uri.indexOf('://') + 3, uri.lastIndexOf('@')];
  const credentials = start >= 3 && end > start ? uri.slice(start, end) : '';
  const parts = [credentials, ...credentials.split(':')];
  return [uri, ...parts, ...parts.map(decoded)].filter((part) => part !== '');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
