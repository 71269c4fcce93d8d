import { HOW_TO_GET_CHROMIUM, findChromium } from './chromium.js';

/** Says, once, that the tests in a browser are left out where there is none. */
export default function setup(): void {
  if (findChromium() !== null) return;
  console.warn(`\n!!! SKIPPED: every test in a browser, for there is no Chromium. ${HOW_TO_GET_CHROMIUM}.\n`);
}
