import path from 'node:path';
import { configFileOf, inFile, instancesOf, loadConfig, type RiposteConfig } from '#config';
import { ProviderRegistry } from '#engine';
import type { Provider } from '#provider-sdk';
import type { Logger } from '#telemetry';
import { OutsidePlugins } from './outside-plugins.js';

export interface ConfiguredProvidersOptions {
  /** Names the configuration's file, and has the secrets. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Plugins that need no process of their own, by name: the shipped ones and those that a definition describes. */
  readonly pluginsWith: (
    plugins: RiposteConfig['plugins'],
    configFile: string,
  ) => Promise<Readonly<Record<string, Provider>>>;
  /** Whether this process looks up the secrets and certificates of such a plugin. One that calls no vendor has no use for them. */
  readonly readsSecrets: (plugin: string) => boolean;
  readonly log: Logger;
}

/** The provider instances of an installation. */
export interface ConfiguredProviders {
  readonly config: RiposteConfig;
  readonly registry: ProviderRegistry;
  /** Ends the processes of plugins. Calls under way have a second. */
  close(): Promise<void>;
}

/**
 * Reads the configuration, loads the plugins it names, and brings both together. A plugin with `watch` is replaced in
 * the registry when its files change.
 *
 * @throws ConfigurationError naming file and key
 */
export async function configuredProviders(options: ConfiguredProvidersOptions): Promise<ConfiguredProviders> {
  const { env, log, readsSecrets } = options;
  const config = await loadConfig(env, process.cwd());
  const configFile = configFileOf(env, process.cwd());
  const folder = path.dirname(configFile);
  const inside = await options.pluginsWith(config.plugins, configFile);
  const outside = await OutsidePlugins.load({
    plugins: config.plugins,
    configFile,
    shipped: new Set(Object.keys(inside)),
    log,
  });
  try {
    const registry = await inFile(
      configFile,
      async () =>
        new ProviderRegistry(await instancesOf(config, { env, folder, readsSecrets }), {
          ...inside,
          ...outside.providers,
        }),
    );
    outside.watch((name, provider) => registry.replacePlugin(name, provider));
    return { config, registry, close: () => outside.close() };
  } catch (error) {
    await outside.close();
    throw error;
  }
}
