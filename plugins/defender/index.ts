import { defenderProvider } from './defender-provider.js';

export { defenderProvider };

/** The shipped one. */
export const provider = defenderProvider();
