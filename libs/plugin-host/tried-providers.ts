import path from 'node:path';
import { instanceOf, type RiposteConfig } from '#config';
import { ConfigurationError } from '#domain';
import { ProviderRegistry, checkedInstance, type ProviderInstance } from '#engine';
import type { Provider } from '#provider-sdk';
import type { ConfiguredProvidersOptions } from './configured-providers.js';
import { OutsidePlugins } from './outside-plugins.js';

export interface TryProvidersOptions extends Pick<ConfiguredProvidersOptions, 'env' | 'pluginsWith' | 'log'> {
  readonly config: RiposteConfig;
  readonly configFile: string;
}

/** What became of a configured instance: it is usable, or there is a problem in words. */
export type TriedInstance = { readonly id: string; readonly plugin: string } & (
  | { readonly instance: ProviderInstance; readonly problem?: never }
  | { readonly problem: string; readonly instance?: never }
);

export interface TriedProviders {
  /** In the configuration's order. */
  readonly instances: readonly TriedInstance[];
  /** What is wrong besides: plugins that no instance has, and instances that are in each other's way. */
  readonly problems: readonly string[];
  /** Ends the processes of plugins. */
  close(): Promise<void>;
}

/**
 * As `configuredProviders`, but each plugin and each instance by itself: what is wrong with one is told, and hides
 * nothing of the others. Secrets are looked up as a worker does.
 */
export async function tryProviders(options: TryProvidersOptions): Promise<TriedProviders> {
  const { config, configFile, env } = options;
  const loaded = await loadEach(options);
  const problems = [...loaded.problems];
  const plugins = Object.fromEntries(loaded.providers);
  const instances = await Promise.all(
    config.providers.map(async (configured, index): Promise<TriedInstance> => {
      const { id, plugin } = configured;
      const failed = problems.find(([name]) => name === plugin);
      if (failed !== undefined) return { id, plugin, problem: failed[1] };
      try {
        const one = await instanceOf(configured, index, { env, folder: path.dirname(configFile) });
        return { id, plugin, instance: checkedInstance(one, index, plugins) };
      } catch (error) {
        return { id, plugin, problem: problemOf(error) };
      }
    }),
  );
  const usable = instances.flatMap(({ instance }) => (instance === undefined ? [] : [instance.config]));
  const used = new Set(config.providers.map(({ plugin }) => plugin));
  const others = problems.filter(([name]) => !used.has(name)).map(([, problem]) => problem);
  const conflict = conflictOf(usable, plugins);
  return {
    instances,
    problems: [...others, ...(conflict === null ? [] : [`${configFile}: ${conflict}`])],
    close: async () => {
      await Promise.all(loaded.outside.map((one) => one.close()));
    },
  };
}

interface Loaded {
  readonly providers: ReadonlyMap<string, Provider>;
  /** By the plugin's name. */
  readonly problems: readonly (readonly [name: string, problem: string])[];
  readonly outside: readonly OutsidePlugins[];
}

async function loadEach({ config, configFile, pluginsWith, log }: TryProvidersOptions): Promise<Loaded> {
  const shipped = await pluginsWith({}, configFile);
  const providers = new Map(Object.entries(shipped));
  const names = new Set(providers.keys());
  const problems: (readonly [string, string])[] = [];
  const outside: OutsidePlugins[] = [];
  for (const [name, plugin] of Object.entries(config.plugins)) {
    try {
      if (plugin.definition !== undefined) {
        const found = (await pluginsWith({ [name]: plugin }, configFile))[name];
        if (found !== undefined) providers.set(name, found);
        continue;
      }
      const one = await OutsidePlugins.load({ plugins: { [name]: plugin }, configFile, shipped: names, log });
      outside.push(one);
      for (const [loaded, provider] of Object.entries(one.providers)) providers.set(loaded, provider);
    } catch (error) {
      problems.push([name, problemOf(error)]);
    }
  }
  return { providers, problems, outside };
}

/** Null: they go together. */
function conflictOf(
  usable: readonly ProviderInstance['config'][],
  plugins: Readonly<Record<string, Provider>>,
): string | null {
  try {
    // What is wrong with each by itself was found before.
    void new ProviderRegistry(usable, plugins);
    return null;
  } catch (error) {
    return problemOf(error);
  }
}

/** @throws what is no mistake in the configuration */
function problemOf(error: unknown): string {
  if (error instanceof ConfigurationError) return error.message;
  throw error;
}
