import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  openSync,
  closeSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  existsSync,
  unlinkSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/**
 * What every command needs before it can run on a fresh checkout: a Node that is new enough, the dependencies,
 * the build. Plain JavaScript without dependencies, for it runs before any of them is there.
 */

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LEAST_NODE = [20, 19];
const SOURCES = ['apps', 'libs', 'plugins', 'test'];
const CONFIG = ['package.json', 'tsconfig.json', 'tsconfig.build.json'];

/** Installs and builds what is missing or out of date; does nothing, in some milliseconds, when nothing is. */
export async function prepare() {
  checkNode();
  await locked(async () => {
    await install();
    await build();
  });
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < LEAST_NODE[0] || (major === LEAST_NODE[0] && minor < LEAST_NODE[1])) {
    fail(
      `Node ${LEAST_NODE.join('.')} or newer is needed; this is ${process.versions.node}. See https://nodejs.org.`,
    );
  }
}

async function install() {
  const lockfile = path.join(ROOT, 'package-lock.json');
  const stampFile = path.join(ROOT, 'node_modules', '.riposte-stamp');
  const wanted = createHash('sha256').update(readFileSync(lockfile)).digest('hex');
  if (readIfThere(stampFile) === wanted) return;
  console.log('Installing dependencies (npm ci) …');
  const npm = process.env.npm_execpath;
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const code = npm?.endsWith('.js') ? await run(process.execPath, [npm, ...args]) : await run('npm', args);
  if (code !== 0)
    fail('npm ci failed; its messages are above. A proxy or registry setting of npm may be needed.');
  writeFileSync(stampFile, wanted);
}

async function build() {
  const dist = path.join(ROOT, 'dist');
  const stampFile = path.join(dist, '.riposte-stamp');
  const sources = listSources();
  const wanted = createHash('sha256')
    .update(sources.map(({ file, stat }) => `${file} ${stat.mtimeMs} ${stat.size}`).join('\n'))
    .digest('hex');
  const known = readIfThere(stampFile)?.split('\n') ?? [];
  if (known[0] === wanted) return;
  console.log('Building …');
  const names = sources.map(({ file }) => file);
  // What a source that is gone left behind could still be imported.
  if (known.slice(1).some((name) => !names.includes(name))) rmSync(dist, { recursive: true, force: true });
  const code = await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  if (code !== 0) fail('The build failed; the compiler says above why.');
  writeFileSync(stampFile, [wanted, ...names].join('\n'));
}

function listSources() {
  const files = SOURCES.flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter(
        (entry) =>
          entry.isFile() && entry.name.endsWith('.ts') && !/\.(?:spec|e2e-spec)\.ts$/.test(entry.name),
      )
      .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name))),
  );
  return [...CONFIG, ...files].toSorted().map((file) => ({ file, stat: statSync(path.join(ROOT, file)) }));
}

/** Two commands started at once in one checkout take turns. */
async function locked(work) {
  const file = path.join(ROOT, '.riposte-prepare.lock');
  let said = false;
  for (;;) {
    try {
      const handle = openSync(file, 'wx');
      writeFileSync(handle, String(process.pid));
      closeSync(handle);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST')
        fail(`${file} cannot be written (${error.code}): the checkout has to be writable.`);
      const holder = Number(readIfThere(file) ?? 0);
      // A holder that was killed leaves its file behind; one that has not written its pid yet gets a moment.
      if (holder > 0 ? !isAlive(holder) : isOlderThan(file, 2000)) {
        rmSync(file, { force: true });
        continue;
      }
      if (!said) console.log(`Waiting for another command (pid ${holder}) that installs or builds here …`);
      said = true;
      await sleep(200);
    }
  }
  const release = () => {
    try {
      unlinkSync(file);
    } catch {
      // Already gone.
    }
  };
  process.once('exit', release);
  try {
    await work();
  } finally {
    release();
    process.off('exit', release);
  }
}

function isOlderThan(file, ms) {
  try {
    return Date.now() - statSync(file).mtimeMs > ms;
  } catch {
    return false;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function run(file, args) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', (error) => {
      console.error(`${file} cannot be started: ${error.message}`);
      resolve(1);
    });
    child.on('exit', (code) => resolve(code ?? 1));
    const stop = (signal) => child.kill(signal);
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);
    child.on('exit', () => ['SIGINT', 'SIGTERM'].forEach((signal) => process.off(signal, stop)));
  });
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

// `node apps/launcher/prepare.mjs [script …]`: prepares, then runs a script of the build in this process.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await prepare();
  const script = process.argv[2];
  if (script !== undefined) {
    process.argv.splice(1, 2, path.join(ROOT, script));
    await import(path.join(ROOT, script));
  }
}
