export {
  OutsidePlugins,
  hashOfPlugin,
  type OutsidePluginConfig,
  type OutsidePluginsOptions,
} from './outside-plugins.js';
