export { OutsidePlugins, type OutsidePluginConfig, type OutsidePluginsOptions } from './outside-plugins.js';
