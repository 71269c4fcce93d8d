import { createHash } from 'node:crypto';
import { cp, lstat, mkdir, readFile, readdir, readlink, realpath, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigurationError } from '#domain';

/** The product's folder: this file is in `libs/plugin-host` of it, or of its `dist`. */
const HERE = import.meta.dirname;
const COMPILED = path.basename(path.resolve(HERE, '../..')) === 'dist';
export const PRODUCT = path.resolve(HERE, COMPILED ? '../../..' : '../..');
const SDK = '@riposte/provider-sdk';
/** Of a package's folder, what is no part of the package. */
const LEFT_OUT: ReadonlySet<string> = new Set(['.git', 'node_modules']);
const PACKAGE_NAME = /^(?:@[a-z0-9~_-][a-z0-9._~-]*\/)?[a-z0-9~_-][a-z0-9._~-]*$/i;

/** A plugin's package as it stands in the folder it was found in. */
export interface PluginPackage {
  readonly folder: string;
  /** Its entry, relative to the folder. */
  readonly entry: string;
}

/**
 * Finds a package: `.`, `./folder`, `/folder`, or a name looked up in `node_modules` of the configuration's folder and of
 * those around it, then of the product.
 *
 * @param key names the place in the configuration in messages
 * @throws ConfigurationError where there is none, it names no entry, or the entry is not there
 */
export async function findPackage(key: string, name: string, configFolder: string): Promise<PluginPackage> {
  const folder = /^(\.{1,2}$|\.{0,2}\/)/.test(name)
    ? path.resolve(configFolder, name)
    : await inNodeModules(name, [configFolder, PRODUCT]);
  const file = folder === null ? null : path.join(folder, 'package.json');
  const text = file === null ? null : await readFile(file, 'utf8').catch(() => null);
  if (folder === null || file === null || text === null) {
    throw new ConfigurationError(
      `${key}: no package "${name}" ${folder === null ? `in node_modules of ${configFolder}` : `at ${folder}`}; give a folder with a package.json, for example ./plugins/acme, or install it`,
    );
  }
  let entry: unknown;
  try {
    entry = (JSON.parse(text) as { readonly riposteProvider?: unknown } | null)?.riposteProvider;
  } catch (cause) {
    throw new ConfigurationError(`${key}: ${file} is no JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (typeof entry !== 'string' || entry === '')
    throw new ConfigurationError(
      `${key}: ${file} has no "riposteProvider"; it names the entry, for example "./dist/index.js"`,
    );
  const real = await realpath(folder);
  const full = path.resolve(real, entry);
  if (!full.startsWith(real + path.sep))
    throw new ConfigurationError(`${key}: "riposteProvider" of ${file} leads out of the package`);
  if (!(await stat(full).catch(() => null))?.isFile())
    throw new ConfigurationError(
      `${key}: ${full} is not there, which "riposteProvider" of ${file} names; build the package first`,
    );
  return { folder: real, entry: path.relative(real, full) };
}

/** A copy of a package that nobody changes any more. */
export interface StagedPackage {
  readonly folder: string;
  readonly entry: string;
  /** Over every file of the copy, with what it depends on; in hex. */
  readonly sha256: string;
}

/**
 * Copies a package, with what it depends on, to where it runs from: what is checked is then what runs, however often
 * its process is started anew, and the SDK is the host's own.
 */
export async function stage(from: PluginPackage, to: string): Promise<StagedPackage> {
  const folder = path.join(to, 'plugin');
  const modules = path.join(to, 'node_modules');
  await mkdir(modules, { recursive: true });
  await copyPackage(from.folder, folder);
  await copyDependencies(from.folder, folder, { from: from.folder, to: folder, modules, done: new Set() });
  const sha256 = await hashOf(to);
  const sdk = path.join(modules, SDK);
  await mkdir(sdk, { recursive: true });
  const index = pathToFileURL(path.join(PRODUCT, 'dist/libs/provider-sdk/index.js')).href;
  await writeFile(
    path.join(sdk, 'package.json'),
    JSON.stringify({ name: SDK, version: '0.0.0', type: 'module', exports: './index.js' }),
  );
  await writeFile(path.join(sdk, 'index.js'), `export * from ${JSON.stringify(index)};\n`);
  return { folder, entry: path.join(folder, from.entry), sha256 };
}

/** Changes when a file of the package does, but for what is installed in it: names, sizes and times. */
export async function signatureOf(folder: string): Promise<string> {
  const top = (await readdir(folder)).filter((name) => !LEFT_OUT.has(name)).toSorted();
  const facts = await Promise.all(
    top.map(async (name) => {
      const found = path.join(folder, name);
      const files = (await lstat(found)).isDirectory() ? await filesOf(found) : [''];
      return Promise.all(
        files.map(async (file) => {
          const is = await lstat(path.join(found, file)).catch(() => null);
          return `${name}/${file} ${is?.mtimeMs} ${is?.size}`;
        }),
      );
    }),
  );
  return facts.flat().join('\n');
}

/** A package's own files. */
function copyPackage(from: string, to: string): Promise<void> {
  return cp(from, to, {
    recursive: true,
    dereference: true,
    filter: (source) => path.dirname(source) !== from || !LEFT_OUT.has(path.basename(source)),
  });
}

interface Copying {
  /** The plugin's own folder, and that of its copy. */
  readonly from: string;
  readonly to: string;
  /** For what stands in a `node_modules` around the plugin. */
  readonly modules: string;
  readonly done: Set<string>;
}

/**
 * What a package needs to run, wherever npm put it, to where the copy finds it; what its author builds it with, a compiler
 * for example, is left behind.
 */
async function copyDependencies(packageFolder: string, copy: string, copying: Copying): Promise<void> {
  const text = await readFile(path.join(packageFolder, 'package.json'), 'utf8');
  const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(text) as Readonly<
    Record<string, Record<string, string> | undefined>
  >;
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
    if (name === SDK) continue;
    // Names with dots in them lead out of `node_modules`, from where it is read and to where it is written.
    if (!PACKAGE_NAME.test(name)) throw new Error(`its dependency "${name}" is no name of a package`);
    const found = await inNodeModules(name, [packageFolder]);
    if (found === null) continue;
    const to =
      found === path.join(packageFolder, 'node_modules', name)
        ? path.join(copy, 'node_modules', name)
        : found.startsWith(copying.from + path.sep)
          ? path.join(copying.to, path.relative(copying.from, found))
          : path.join(copying.modules, name);
    if (copying.done.has(to)) continue;
    copying.done.add(to);
    await copyPackage(found, to);
    await copyDependencies(found, to, copying);
  }
}

async function inNodeModules(name: string, folders: readonly string[]): Promise<string | null> {
  for (const start of folders) {
    for (let folder = start; ; folder = path.dirname(folder)) {
      const candidate = path.join(folder, 'node_modules', name);
      if ((await stat(path.join(candidate, 'package.json')).catch(() => null)) !== null) return candidate;
      if (path.dirname(folder) === folder) break;
    }
  }
  return null;
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .toSorted();
}

async function hashOf(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const file of await filesOf(folder)) {
    const full = path.join(folder, file);
    const content = (await lstat(full)).isSymbolicLink() ? await readlink(full) : await readFile(full);
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}
