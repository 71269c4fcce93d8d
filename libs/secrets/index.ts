export { EnvelopeSeal } from './envelope-seal.js';
export { keyFileOf, makeKeyFile, readKeyRing } from './key-file.js';
export type { KeyRing, KeyWrapper } from './key-wrapper.js';
export { LocalKey, newKey } from './local-key.js';
