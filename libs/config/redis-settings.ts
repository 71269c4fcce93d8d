import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { ConfigurationError } from '#domain';

/** Where Redis is, and by which certificates it and this process know each other. */
export interface RedisSettings {
  readonly url: string;
  /** Absent: as Node.js does, where the URL asks for TLS at all. */
  readonly tls?: RedisTls;
}

/** PEM. */
interface RedisTls {
  /** The authorities of Redis' certificate; absent: those that Node.js trusts. */
  readonly ca?: Buffer;
  /** What this process shows, with its key; both or neither. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

const FILES = { ca: 'REDIS_TLS_CA', cert: 'REDIS_TLS_CERT', key: 'REDIS_TLS_KEY' } as const;

/**
 * Reads `REDIS_URL`, and the files that `REDIS_TLS_CA`, `REDIS_TLS_CERT` and `REDIS_TLS_KEY` name.
 * @throws ConfigurationError naming the variable that is missing or wrong; never with the URL, which may hold a password
 */
export async function redisSettingsOf(
  env: Readonly<Record<string, string | undefined>>,
): Promise<RedisSettings> {
  const url = env['REDIS_URL'] || null;
  if (url === null)
    throw new ConfigurationError('REDIS_URL is not set. "npm start" sets it; elsewhere give it yourself.');
  const named = Object.entries(FILES).flatMap(([part, variable]) => {
    const file = env[variable] || null;
    return file === null ? [] : [{ part, variable, file }];
  });
  const [first] = named;
  if (first === undefined) return { url };
  if (!url.startsWith('rediss://'))
    throw new ConfigurationError(
      `${first.variable} is set, but REDIS_URL does not begin with rediss://, so that the connection would be in clear`,
    );
  if (Boolean(env[FILES.cert]) !== Boolean(env[FILES.key]))
    throw new ConfigurationError(`${FILES.cert} and ${FILES.key} have to be set together`);
  const tls: RedisTls = Object.fromEntries(
    await Promise.all(
      named.map(async ({ part, variable, file }) => [part, await readPem(variable, file)] as const),
    ),
  );
  return { url, tls: checked(tls) };
}

async function readPem(variable: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new ConfigurationError(`${variable}: ${file} cannot be read`, { cause });
  }
}

function checked(tls: RedisTls): RedisTls {
  // Node takes a file without any certificate for one that adds none, and then trusts nobody.
  if (tls.ca !== undefined && !tls.ca.includes('-----BEGIN CERTIFICATE-----'))
    throw new ConfigurationError(`${FILES.ca} holds no certificate in PEM`);
  try {
    createSecureContext({ ...tls });
  } catch (cause) {
    throw new ConfigurationError(
      tls.cert === undefined
        ? `${FILES.ca} is no certificate in PEM`
        : `${Object.values(FILES).join(', ')} are not certificates in PEM, and the key of the second`,
      { cause },
    );
  }
  return tls;
}
