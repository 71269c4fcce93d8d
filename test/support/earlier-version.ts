import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { PROJECT_DIR } from './project-dir.js';

const run = promisify(execFile);
const git = async (...args: readonly string[]): Promise<string> =>
  (await run('git', ['-C', PROJECT_DIR, ...args])).stdout.trim();

/** What upgrades begin with as long as there is no release: of November 28, 2026. */
const BEFORE_RELEASES = 'dc4908b00ccbe147070e52de3e6dcb7cca775e7d';

/**
 * The version that upgrades are tested from, as git names it: `RIPOSTE_UPGRADE_FROM`, else the last release before this
 * one. Null where this is no clone of the repository, or one without so much of its history.
 */
export async function earlierVersion(): Promise<string | null> {
  const named = process.env['RIPOSTE_UPGRADE_FROM'];
  const wanted =
    named === undefined || named === ''
      ? await git('describe', '--tags', '--abbrev=0', '--match', 'v*', 'HEAD^').catch(() => BEFORE_RELEASES)
      : named;
  return git('rev-parse', '--verify', '--quiet', `${wanted}^{commit}`).catch(() => null);
}

/** A checkout of another version, compiled. */
export interface EarlierCheckout {
  readonly root: string;
  remove(): Promise<void>;
}

/**
 * Compiles a version of the product in a folder of its own, with the packages that are installed here. It takes a minute.
 * @throws Error with what git or the compiler says
 */
export async function checkOut(version: string): Promise<EarlierCheckout> {
  const root = await mkdtemp(path.join(tmpdir(), 'riposte-earlier-'));
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true });
  try {
    const archive = path.join(root, 'checkout.tar');
    await git('archive', '--output', archive, version);
    await run('tar', ['-xf', archive, '-C', root]);
    await symlink(path.join(PROJECT_DIR, 'node_modules'), path.join(root, 'node_modules'));
    await run('npx', ['tsc', '-p', 'tsconfig.build.json'], { cwd: root });
    return { root, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
