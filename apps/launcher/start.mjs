import { prepare } from './prepare.mjs';

/** `npm start`: prepares a fresh checkout, then brings up the whole system. */

await prepare();
await import('../../dist/apps/launcher/main.js');
