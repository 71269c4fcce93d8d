import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigurationError } from '#domain';
import { keyFileOf, makeKeyFile, newKey, readKeyRing } from '#secrets';
import { localKey } from '../support/secrets.js';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-keys-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function problemOf(env: Record<string, string>): Promise<string> {
  const error: unknown = await readKeyRing(env).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ConfigurationError);
  return (error as Error).message;
}

describe('making a key file', () => {
  it('makes one, for its owner only, however many begin at once', async () => {
    const file = path.join(dir, 'first', 'secrets.keys');
    const made = await Promise.all(Array.from({ length: 20 }, () => makeKeyFile(file)));
    expect(made.filter(Boolean)).toHaveLength(1);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(path.dirname(file))).mode & 0o777).toBe(0o700);
    expect(await readdir(path.dirname(file))).toEqual(['secrets.keys']);
    const { current, others } = await readKeyRing({ RIPOSTE_SECRETS_KEY_FILE: file });
    expect(current.id).toMatch(/^[0-9a-f]{12}$/);
    expect(others).toEqual([]);
  });

  it('leaves one that is there', async () => {
    const file = path.join(dir, 'there.keys');
    await writeFile(file, 'mine');
    expect(await makeKeyFile(file)).toBe(false);
    expect(await readFile(file, 'utf8')).toBe('mine');
  });

  it('says which file cannot be written', async () => {
    const file = path.join(dir, 'no-folder');
    await writeFile(file, '');
    await expect(makeKeyFile(path.join(file, 'secrets.keys'))).rejects.toThrow(
      /The key file .*no-folder\/secrets\.keys cannot be written.*RIPOSTE_SECRETS_KEY_FILE/,
    );
  });
});

describe('the keys of an installation', () => {
  const [one, two] = [newKey(), newKey()];
  const ids = [one, two].map((text) => localKey(text).id);

  it('are the lines of the file: the first seals, the others open; remarks are passed over', async () => {
    const file = path.join(dir, 'two.keys');
    await writeFile(file, `# of March\n${one} # seals\n\n  ${two}\n`);
    const { current, others } = await readKeyRing({ RIPOSTE_SECRETS_KEY_FILE: file });
    expect([current, ...others].map(({ id }) => id)).toEqual(ids);
  });

  it('or stand in the environment, with blanks between them', async () => {
    const { current, others } = await readKeyRing({ RIPOSTE_SECRETS_KEY: `${one} ${two}` });
    expect([current, ...others].map(({ id }) => id)).toEqual(ids);
  });

  it('are looked for in the data dir where nothing says where they are', async () => {
    const dataDir = path.join(dir, 'data');
    await mkdir(dataDir);
    await writeFile(path.join(dataDir, 'secrets.keys'), one);
    expect(keyFileOf({ RIPOSTE_DATA_DIR: dataDir })).toBe(path.join(dataDir, 'secrets.keys'));
    expect((await readKeyRing({ RIPOSTE_DATA_DIR: dataDir })).current.id).toBe(ids[0]);
  });

  it('have to be there: the message names the file and how to make it', async () => {
    const message = await problemOf({ RIPOSTE_DATA_DIR: path.join(dir, 'none') });
    expect(message).toContain(path.join(dir, 'none', 'secrets.keys'));
    expect(message).toMatch(/secrets new-key --out FILE.*RIPOSTE_SECRETS_KEY_FILE/);
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ['both are set', { RIPOSTE_SECRETS_KEY: one, RIPOSTE_SECRETS_KEY_FILE: 'x' }, /not both/],
    ['one is none', { RIPOSTE_SECRETS_KEY: `${one} ${two.slice(0, -1)}` }, /RIPOSTE_SECRETS_KEY: entry 2/],
    ['there are only blanks', { RIPOSTE_SECRETS_KEY: ' \n ' }, /RIPOSTE_SECRETS_KEY holds no key/],
    ['the file is a folder', { RIPOSTE_SECRETS_KEY_FILE: '/' }, /cannot be read/],
  ])('are refused without being shown where %s', async (_name, env, message) => {
    const problem = await problemOf(env);
    expect(problem).toMatch(message);
    expect(problem).not.toMatch(/rpk_[\w-]{10}/);
  });
});
