import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, link, mkdir, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { ConfigurationError } from '#domain';
import type { KeyRing } from './key-wrapper.js';
import { LocalKey, newKey } from './local-key.js';

type Env = Readonly<Record<string, string | undefined>>;

/** The key file of a data dir. */
const KEY_FILE = 'secrets.keys';
const HOW_TO_MAKE = 'npm run riposte -- secrets new-key --out FILE';

/** The file that has the keys: `RIPOSTE_SECRETS_KEY_FILE`, by default `secrets.keys` in `RIPOSTE_DATA_DIR`. */
export function keyFileOf(env: Env): string {
  return path.resolve(
    env['RIPOSTE_SECRETS_KEY_FILE'] || path.join(env['RIPOSTE_DATA_DIR'] || '.riposte', KEY_FILE),
  );
}

/**
 * The installation's keys: those in `RIPOSTE_SECRETS_KEY`, with blanks between them, or the lines of the key file, where
 * `#` begins a remark. The first one seals, the others only open.
 *
 * @throws ConfigurationError naming variable and file, never a key: there is none, or what is there is none
 */
export async function readKeyRing(env: Env): Promise<KeyRing> {
  const given = env['RIPOSTE_SECRETS_KEY'] || null;
  if (given !== null && env['RIPOSTE_SECRETS_KEY_FILE'])
    throw new ConfigurationError('Set RIPOSTE_SECRETS_KEY or RIPOSTE_SECRETS_KEY_FILE, not both.');
  if (given !== null) return ringOf('RIPOSTE_SECRETS_KEY', given);
  const file = keyFileOf(env);
  return ringOf(file, await contentOf(file));
}

/**
 * Makes a key file with one new key, readable by its owner only. Of several at the same time one is made, whole.
 * @returns false: there is a file already, which stays as it is
 * @throws ConfigurationError when it cannot be written
 */
export async function makeKeyFile(file: string): Promise<boolean> {
  const draft = `${file}.${randomUUID()}`;
  const folder = path.dirname(file);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (await isThere(file)) return false;
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(
        `# Seals the secrets that Riposte stores. Without it they are lost: keep a copy, apart from the database's.\n${newKey()}\n`,
      );
      await handle.sync();
    } finally {
      await handle.close();
    }
    const made = await place(draft, file);
    await syncFolder(folder);
    return made;
  } catch (cause) {
    throw new ConfigurationError(
      `The key file ${file} cannot be written: ${(cause as Error).message}. Set RIPOSTE_SECRETS_KEY_FILE to one that can.`,
      { cause },
    );
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
}

/** Whoever is first wins: a rename would let the second replace a key that is in use. */
async function place(draft: string, file: string): Promise<boolean> {
  try {
    await link(draft, file).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') throw error;
      // A file system without hard links.
      await copyFile(draft, file, constants.COPYFILE_EXCL);
      await chmod(file, 0o600);
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** What is sealed from now on outlives a power cut, and so must the file's name. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function isThere(file: string): Promise<boolean> {
  return readFile(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

async function contentOf(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replaceAll(/#.*$/gm, '');
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new ConfigurationError(
      isMissing
        ? `There is no key to seal stored secrets with: ${file} is not there. Copy it from where Riposte runs already, so that all processes have the same; for the first one make it (${HOW_TO_MAKE}). RIPOSTE_SECRETS_KEY_FILE says where it is.`
        : `The key file ${file} cannot be read: ${(cause as Error).message}`,
      { cause },
    );
  }
}

function ringOf(where: string, text: string): KeyRing {
  const keys = text
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word, index) => {
      const key = LocalKey.of(word);
      if (key === null)
        throw new ConfigurationError(
          `${where}: entry ${index + 1} is no key. A key is rpk_ and 43 characters; ${HOW_TO_MAKE} makes one.`,
        );
      return key;
    });
  const [current, ...others] = keys;
  if (current === undefined)
    throw new ConfigurationError(
      `${where} holds no key. Restore it from its copy, or make one: ${HOW_TO_MAKE}`,
    );
  return { current, others };
}
