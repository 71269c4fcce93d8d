import path from 'node:path';

const UP = path.resolve(import.meta.dirname, '../..');
const IS_COMPILED = path.basename(UP) === 'dist';

/** The checkout, also for the compiled form of what asks. */
export const PROJECT_DIR = IS_COMPILED ? path.dirname(UP) : UP;

/** The compiled product in it. */
export const DIST_DIR = path.join(PROJECT_DIR, 'dist');
