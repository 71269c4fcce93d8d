import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { loadConfig, usesLocalAccounts } from '#config';
import type { Servers } from './servers.js';
import type { Settings } from './settings.js';

/** By whom one can sign in. */
export type FirstOperator =
  /** An account that was just made. Its password is told to the terminal, and nowhere else. */
  | { readonly kind: 'made'; readonly name: string; readonly password: string }
  /** The accounts that are there. */
  | { readonly kind: 'before' }
  /** Nobody by an account that is kept here, or nobody knows. */
  | { readonly kind: 'none' };

const WITHIN_MS = 30_000;
/** Beside the data that it says something of, so that it goes with them. */
const MARK = 'riposte-first-operator';

/**
 * Makes the first account in the embedded database, once, where accounts are kept here and there is none yet.
 * @param script the compiled command line: to use the database takes longer to load than all of the launcher
 * @param say told when it could not be made
 */
export async function makeFirstOperator(
  settings: Settings,
  servers: Servers,
  script: string,
  say: (line: string) => void,
): Promise<FirstOperator> {
  const mark = path.join(settings.dataDir, 'mongo', MARK);
  if (settings.mongodbUri !== null) return { kind: 'none' };
  // One that is wrong stops the API, which says why.
  const config = await loadConfig({ ...process.env, RIPOSTE_EMBEDDED: '1' }, process.cwd()).catch(() => null);
  if (config === null || !usesLocalAccounts(config)) return { kind: 'none' };
  if (existsSync(mark)) return { kind: 'before' };
  const args = [script, 'operators', 'add-first', '--tenant', config.console.firstTenant, '--json'];
  const env = { ...process.env, MONGODB_URI: servers.mongodbUri };
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: WITHIN_MS, env });
    await writeFile(mark, '');
    if (stdout.trim() === '') return { kind: 'before' };
    return { kind: 'made', ...(JSON.parse(stdout) as { name: string; password: string }) };
  } catch {
    // Not what it printed: that could be the password.
    say('No account was made to sign in with. Make one: npm run riposte -- operators add --help');
    return { kind: 'none' };
  }
}
