import { readFile } from 'node:fs/promises';
import { ConfigurationError } from '#domain';

/**
 * Resolves references `env:NAME` and `file:/path` to their values. A file's trailing line end is cut.
 *
 * @param key where the references stand, for messages; values never appear in one
 * @throws ConfigurationError for a variable that is not set, a file that cannot be read, an empty value
 */
export async function resolveSecrets(
  key: string,
  references: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Readonly<Record<string, string>>> {
  const resolved = await Promise.all(
    Object.entries(references).map(
      async ([name, reference]) => [name, await resolve(`${key}.${name}`, reference, env)] as const,
    ),
  );
  return Object.fromEntries(resolved);
}

async function resolve(
  key: string,
  reference: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const [kind, ...rest] = reference.split(':');
  const target = rest.join(':');
  const value = kind === 'env' ? env[target] : await readSecretFile(key, target);
  if (value === undefined || value === '') {
    throw new ConfigurationError(
      `${key}: ${kind === 'env' ? `the variable ${target} is not set` : `the file ${target} is empty`}`,
    );
  }
  return value;
}

async function readSecretFile(key: string, file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw new ConfigurationError(`${key}: the file ${file} cannot be read`, { cause });
  }
}
