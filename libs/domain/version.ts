/** Of Riposte: the one in package.json, as a test sees to. */
export const VERSION = '0.1.0';
