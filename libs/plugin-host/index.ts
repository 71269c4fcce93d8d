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
