import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { chromium, type Browser } from 'playwright-core';

/** What Chromium, or a browser made of it, is called. */
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const ELSEWHERE = [
  '/usr/bin',
  '/snap/bin',
  '/Applications/Google Chrome.app/Contents/MacOS',
  '/Applications/Chromium.app/Contents/MacOS',
];

/** How to get one, for people. */
export const HOW_TO_GET_CHROMIUM =
  'Install it (Debian, Ubuntu: apt-get install chromium), or set RIPOSTE_CHROMIUM to the path of a Chromium or Chrome';

/**
 * The path of Chromium: what `RIPOSTE_CHROMIUM` names, else the first that is installed. Null: there is none, or
 * `RIPOSTE_CHROMIUM=none` says so.
 * @throws Error when `RIPOSTE_CHROMIUM` names no program
 */
export function findChromium(env: NodeJS.ProcessEnv = process.env): string | null {
  const named = env['RIPOSTE_CHROMIUM'] ?? '';
  if (named === 'none') return null;
  if (named !== '') {
    if (isProgram(named)) return named;
    throw new Error(`RIPOSTE_CHROMIUM names ${named}, which is no program that can be started.`);
  }
  const folders = [...(env['PATH'] ?? '').split(path.delimiter), ...ELSEWHERE].filter((folder) =>
    path.isAbsolute(folder),
  );
  const files = [...NAMES, 'Google Chrome', 'Chromium'].flatMap((name) =>
    folders.map((folder) => path.join(folder, name)),
  );
  return files.find(isProgram) ?? null;
}

/** @throws Error where there is no Chromium: it says how to get it */
export function launchChromium(executablePath = findChromium()): Promise<Browser> {
  if (executablePath === null) throw new Error(`There is no Chromium. ${HOW_TO_GET_CHROMIUM}.`);
  return chromium.launch({
    executablePath,
    // For root, as in most containers, there is no sandbox; what is shown here is the product's own pages.
    chromiumSandbox: process.getuid?.() !== 0,
    // Shared memory is small in containers.
    args: ['--disable-dev-shm-usage'],
  });
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
