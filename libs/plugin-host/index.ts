export {
  configuredProviders,
  type ConfiguredProviders,
  type ConfiguredProvidersOptions,
} from './configured-providers.js';
export {
  OutsidePlugins,
  hashOfPlugin,
  type OutsidePluginConfig,
  type OutsidePluginsOptions,
} from './outside-plugins.js';
export {
  tryProviders,
  type TriedInstance,
  type TriedProviders,
  type TryProvidersOptions,
} from './tried-providers.js';
