import { readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import { configFileOf, loadConfig, redisSettingsOf, type RiposteConfig } from '#config';
import { connectDatabase, type Database } from '#persistence';
import { inspectRedis, type RedisAddress, type RedisFacts } from '#queue';
import { RefusedError, databaseUri } from '../database.js';

type Env = Readonly<Record<string, string | undefined>>;

const ANSWER_WITHIN_MS = 5000;
const REDIS_WITHIN_MS = 3000;

/** What is looked at: what environment and configuration lead to. Each thing is looked up once, when first needed. */
export class Installation {
  /** Of an `npm start`, and of the built-in issuer. */
  readonly dataDir: string;
  readonly configFile: string;
  /** Texts that nothing may show. */
  readonly secrets = new Set<string>();
  #config: Promise<RiposteConfig> | undefined;
  #mongodbUri: Promise<string> | undefined;
  #redisAddress: Promise<RedisAddress> | undefined;
  #redis: Promise<RedisFacts> | undefined;
  #database: Promise<Database> | undefined;

  constructor(
    readonly env: Env,
    private readonly workingDir: string,
  ) {
    this.dataDir = path.resolve(workingDir, env['RIPOSTE_DATA_DIR'] || '.riposte');
    this.configFile = configFileOf(env, workingDir);
    for (const address of [env['MONGODB_URI'], env['REDIS_URL']])
      for (const secret of secretsIn(address ?? '')) this.secrets.add(secret);
    for (const key of (env['RIPOSTE_SECRETS_KEY'] ?? '').split(/\s+/)) if (key !== '') this.secrets.add(key);
  }

  /** @throws ConfigurationError naming file and key */
  config(): Promise<RiposteConfig> {
    return (this.#config ??= loadConfig({ ...this.env, RIPOSTE_EMBEDDED: '1' }, this.workingDir));
  }

  /** @throws RefusedError when there is none */
  mongodbUri(): Promise<string> {
    return (this.#mongodbUri ??= databaseUri({ ...this.env, RIPOSTE_DATA_DIR: this.dataDir }));
  }

  /** @throws RefusedError when there is none, ConfigurationError when its certificates cannot be used */
  redisAddress(): Promise<RedisAddress> {
    return (this.#redisAddress ??= this.#findRedis());
  }

  /** @throws RefusedError when there is none, Error in words when it cannot be used */
  redis(): Promise<RedisFacts> {
    return (this.#redis ??= this.redisAddress().then((address) => inspectRedis(address, REDIS_WITHIN_MS)));
  }

  /** The database as the product uses it; nothing is made in it. @throws RefusedError, or the driver's error */
  database(): Promise<Database> {
    return (this.#database ??= this.mongodbUri().then((uri) =>
      connectDatabase(uri, {
        appName: 'riposte-doctor',
        makesIndexes: false,
        serverSelectionMs: ANSWER_WITHIN_MS,
        retryBudgetMs: ANSWER_WITHIN_MS,
      }),
    ));
  }

  async #findRedis(): Promise<RedisAddress> {
    if (this.env['REDIS_URL']) return redisSettingsOf(this.env);
    // As the launcher has it, and libs/embedded-servers remembers its port.
    const folder = path.join(this.dataDir, 'redis');
    const port = Number((await readFile(`${folder}.port`, 'utf8').catch(() => '')).trim());
    if (!(Number.isInteger(port) && port > 0)) {
      throw new RefusedError(
        `There is no Redis: set REDIS_URL, or RIPOSTE_DATA_DIR to the data directory of a running "npm start" (${this.dataDir} is none).`,
      );
    }
    const url = `redis://127.0.0.1:${port}`;
    // The port may have become somebody else's since.
    const served = (await inspectRedis(url, REDIS_WITHIN_MS).catch(() => null))?.dataDir ?? null;
    if (served === null || (await realpath(served).catch(() => served)) !== (await realpath(folder))) {
      throw new RefusedError(
        `The Redis of ${this.dataDir} does not answer: run "npm start" there, or set REDIS_URL.`,
      );
    }
    return url;
  }
}

/** What of an address nothing may show: all of it where there is a password in it, and that in either spelling. */
function secretsIn(address: string): readonly string[] {
  const [start, end] = [address.indexOf('://') + 3, address.lastIndexOf('@')];
  const [, ...word] = (start >= 3 && end > start ? address.slice(start, end) : '').split(':');
  const password = word.join(':');
  const others = address
    .split(/[?&]/)
    .slice(1)
    .map((option) => option.split('='))
    .flatMap(([name = '', ...value]) => (/password|token/i.test(name) ? [value.join('=')] : []));
  const parts = [password, ...others].filter((part) => part !== '');
  return parts.length === 0 ? [] : [address, ...parts, ...parts.map(decoded)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
