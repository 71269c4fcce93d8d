import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ConfigurationError, type Provider } from '#provider-sdk';
import { provider as defender } from './defender/index.js';
import { firewalls } from './firewall/index.js';
import { declaredProvider } from './http/index.js';
import { provider as mock } from './mock/index.js';

export { FEED_LISTS, FEED_PLUGIN, feedListName, type FeedList, type FeedSettings } from './firewall/index.js';

/** Every shipped plugin, by the name riposte.config.yaml calls it. */
export const plugins: Readonly<Record<string, Provider>> = {
  defender,
  mock,
  ...firewalls,
};

/**
 * The shipped plugins and those that `plugins.<name>.definition` describes.
 *
 * @param configFile the configuration; definitions are looked for beside it
 * @throws ConfigurationError naming file and key
 */
export async function pluginsWith(
  outside: Readonly<Record<string, { readonly definition?: string | undefined }>>,
  configFile: string,
): Promise<Readonly<Record<string, Provider>>> {
  const all: Record<string, Provider> = { ...plugins };
  for (const [name, { definition }] of Object.entries(outside)) {
    if (definition === undefined) continue;
    const key = `${configFile}: plugins.${name}`;
    if (Object.hasOwn(plugins, name))
      throw new ConfigurationError(`${key} has the name of a shipped plugin; give it another`);
    const file = path.resolve(path.dirname(configFile), definition);
    const text = await readFile(file, 'utf8').catch((cause: unknown) => {
      throw new ConfigurationError(`${key}.definition: ${file} cannot be read: ${(cause as Error).message}`, {
        cause,
      });
    });
    try {
      all[name] = declaredProvider(text, file);
    } catch (cause) {
      throw new ConfigurationError(`${key}.definition: ${(cause as Error).message}`, { cause });
    }
  }
  return all;
}
