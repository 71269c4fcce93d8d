import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, cp, mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { PROJECT_DIR } from '../support/project-dir.js';

const execute = promisify(execFile);
const HERE = path.join(PROJECT_DIR, 'test/sdk');
/** Ignored by git, and gone with `node_modules`. */
const CACHE = path.join(PROJECT_DIR, 'node_modules/.cache/riposte-sdk');

/** What a program is started by: a file and its arguments. */
export type Command = readonly [file: string, ...args: string[]];

/** One of Microsoft's SDKs, and the program that tells the story with it. */
export interface Sdk {
  readonly language: string;
  readonly packages: string;
  /** Commands that have to be on the machine, each with an argument that makes it answer and end. */
  readonly tools: readonly Command[];
  /** Files that say what is installed; another installation is made when one of them changes. */
  readonly locks: readonly string[];
  /** Installs into an empty directory, from the language's own package registry. */
  readonly install: (dir: string) => Promise<void>;
  /** The story's program, once installed. */
  readonly program: (dir: string) => Command;
}

const python: Sdk = {
  language: 'Python',
  packages: 'msgraph-beta-sdk 1.66.0',
  tools: [['python3', '-c', 'import venv, ensurepip']],
  locks: ['python/requirements.txt'],
  async install(dir) {
    await run(dir, 'python3', '-m', 'venv', '--copies', '.');
    const requirements = path.join(HERE, 'python/requirements.txt');
    await run(
      dir,
      'bin/python',
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-deps',
      '--no-compile',
      '-r',
      requirements,
    );
  },
  program: (dir) => [pythonIn(dir), path.join(HERE, 'python/acceptance.py')],
};

const java: Sdk = {
  language: 'Java',
  packages: 'microsoft-graph-beta 6.59.0',
  tools: [
    ['java', '-version'],
    ['mvn', '-version'],
  ],
  locks: ['java/pom.xml'],
  async install(dir) {
    const pom = path.join(HERE, 'java/pom.xml');
    await run(dir, 'mvn', '-q', '-B', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${dir}`);
  },
  program: (dir) => ['java', '-cp', path.join(dir, '*'), path.join(HERE, 'java/Acceptance.java')],
};

const go: Sdk = {
  language: 'Go',
  packages: 'msgraph-sdk-go-core 1.4.0 with kiota-http-go 1.5.4',
  tools: [['go', 'version']],
  locks: ['go/go.mod', 'go/go.sum', 'go/main.go', 'go/models.go'],
  install: (dir) =>
    run(path.join(HERE, 'go'), 'go', 'build', '-mod=readonly', '-o', path.join(dir, 'acceptance'), '.'),
  program: (dir) => [path.join(dir, 'acceptance')],
};

const javascript: Sdk = {
  language: 'JavaScript',
  packages: '@microsoft/msgraph-beta-sdk 1.0.0-preview.81',
  tools: [['npm', '--version']],
  locks: ['javascript/package.json', 'javascript/package-lock.json', 'javascript/acceptance.mjs'],
  async install(dir) {
    await cp(path.join(HERE, 'javascript'), dir, { recursive: true });
    await run(dir, 'npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund');
  },
  program: (dir) => [process.execPath, path.join(dir, 'acceptance.mjs')],
};

export const SDKS: readonly Sdk[] = [python, java, go, javascript];

/** The interpreter with the Python SDK, in the directory that {@link installed} gave. */
export function pythonIn(dir: string): string {
  return path.join(dir, 'bin/python');
}

/** The Python SDK, for the examples of the migration page, which use it too. */
export const PYTHON = python;

/** The first command of an SDK that this machine does not have; null when it has all. */
export async function missingTool(sdk: Sdk): Promise<string | null> {
  for (const [file, ...args] of sdk.tools) {
    try {
      await execute(file, args, { timeout: 60_000 });
    } catch {
      return file;
    }
  }
  return null;
}

/**
 * The directory with the SDK, installed there when it is not yet. An installation that was interrupted is not taken
 * for a whole one.
 * @throws Error with what the package manager said
 */
export async function installed(sdk: Sdk): Promise<string> {
  const hash = createHash('sha256');
  for (const lock of sdk.locks) hash.update(await readFile(path.join(HERE, lock)));
  const dir = path.join(CACHE, `${sdk.language.toLowerCase()}-${hash.digest('hex').slice(0, 12)}`);
  const whole = path.join(dir, 'whole');
  if (await exists(whole)) return dir;
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  // A virtual environment cannot be moved, so the installation is made in place and marked when it is whole.
  await sdk.install(dir);
  const marker = path.join(dir, 'marker');
  await mkdir(marker);
  await rename(marker, whole);
  return dir;
}

async function run(cwd: string, file: string, ...args: readonly string[]): Promise<void> {
  try {
    await execute(file, args, { cwd, timeout: 900_000, maxBuffer: 64 * 1024 * 1024 });
  } catch (cause) {
    const { stdout, stderr } = cause as { readonly stdout?: string; readonly stderr?: string };
    throw new Error(`${file} ${args.join(' ')} failed: ${stderr ?? ''}${stdout ?? ''}`, { cause });
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
