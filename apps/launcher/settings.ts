import path from 'node:path';

/** What `npm start` reads from the environment. */
export interface Settings {
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  readonly mongodbUri: string | null;
  readonly redisUrl: string | null;
}

/** The start cannot go on; the message says what to change. Printed as it is, without a stack. */
export class StartError extends Error {}

/** @throws StartError naming the variable that is wrong */
export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const port = Number(env['PORT'] ?? 3000);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new StartError(`PORT has to be a number from 1 to 65535; it is "${env['PORT']}".`);
  return {
    dataDir: path.resolve(env['RIPOSTE_DATA_DIR'] || '.riposte'),
    host: env['HOST'] || '127.0.0.1',
    port,
    mongodbUri: env['MONGODB_URI'] || null,
    redisUrl: env['REDIS_URL'] || null,
  };
}

/**
 * A text with what is secret in the addresses in it left out: all before the last `@`, since passwords with an
 * unescaped `@` or `/` are a common mistake, and the options, which can hold passwords, too.
 */
export function withoutCredentials(text: string): string {
  return text.replaceAll(/\S+/g, (word) => {
    const start = word.indexOf('://');
    if (start === -1) return word;
    const at = word.lastIndexOf('@');
    const shown = at > start ? `${word.slice(0, start)}://…${word.slice(at)}` : word;
    const options = shown.indexOf('?', start);
    return options === -1 ? shown : shown.slice(0, options);
  });
}
