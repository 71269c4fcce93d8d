import type { Provider } from '#provider-sdk';
import { provider as mock } from './mock/index.js';

/** Every shipped plugin, by the name riposte.config.yaml calls it. */
export const plugins: Readonly<Record<string, Provider>> = {
  mock,
};
