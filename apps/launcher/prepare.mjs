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
  renameSync,
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
const CONSOLE = path.join('apps', 'console');

/**
 * Installs and builds what is missing or out of date; does nothing, in some milliseconds, when nothing is. Ends
 * the process, with a message, when that fails. All it says goes to stderr: stdout is the command's own, of
 * which `npm run --silent token` prints a token and nothing else.
 *
 * @param {{ quiet?: boolean }} options quiet: says nothing unless it fails. Default false
 */
export async function prepare({ quiet = false } = {}) {
  checkNode();
  const say = quiet ? () => undefined : (line) => console.error(line);
  await locked(say, async () => {
    await install(say);
    await build(say);
    await buildConsole(say);
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

async function install(say) {
  const stampFile = path.join(ROOT, 'node_modules', '.riposte-stamp');
  const lock = readIfThere(path.join(ROOT, 'package-lock.json'));
  const wanted = createHash('sha256')
    .update(lock ?? readIfThere(path.join(ROOT, 'package.json')))
    .digest('hex');
  if (readIfThere(stampFile) === wanted) return;
  if (lock !== undefined && isInstalled(JSON.parse(lock))) {
    writeFileSync(stampFile, wanted);
    return;
  }
  const command = lock === undefined ? 'install' : 'ci';
  const what = `Installing dependencies (npm ${command})`;
  say(`${what} …`);
  // The compiler is a development dependency: NODE_ENV=production must not keep it out.
  // prettier-ignore
  const args = [
    command, '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error',
    ...(lock === undefined ? ['--no-package-lock'] : []),
  ];
  const npm = process.env.npm_execpath;
  const npmCode = npm?.endsWith('.js') ? [process.execPath, [npm, ...args]] : ['npm', args];
  const code = await run(...npmCode, (soFar) => say(`${what} ${soFar}`));
  if (code !== 0) {
    fail(`npm ${command} failed; its messages are above. A proxy or registry setting of npm may be needed.`);
  }
  writeFileSync(stampFile, wanted);
}

/** Whether somebody has run `npm ci` already: npm keeps a list of what it put there. */
function isInstalled({ packages }) {
  const list = readIfThere(path.join(ROOT, 'node_modules', '.package-lock.json'));
  if (list === undefined) return false;
  const there = JSON.parse(list).packages;
  return Object.entries(packages).every(
    ([place, { version, optional = false }]) =>
      place === '' || there[place]?.version === version || (optional && there[place] === undefined),
  );
}

async function build(say) {
  const dist = path.join(ROOT, 'dist');
  const stampFile = path.join(dist, '.riposte-stamp');
  const sources = listSources();
  const wanted = stampOf(sources);
  const known = readIfThere(stampFile)?.split('\n') ?? [];
  if (known[0] === wanted) return;
  say('Building …');
  const names = sources.map(({ file }) => file);
  // What a source that is gone left behind could still be imported.
  if (known.slice(1).some((name) => !names.includes(name))) rmSync(dist, { recursive: true, force: true });
  const code = await run(
    process.execPath,
    ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
    (soFar) => say(`Building ${soFar}`),
  );
  if (code !== 0) fail('The build failed; the compiler says above why.');
  writeFileSync(stampFile, [wanted, ...names].join('\n'));
}

/** The pages for browsers, which Vite bundles. After the compiler, for that may begin with an empty `dist`. */
async function buildConsole(say) {
  const stampFile = path.join(ROOT, 'dist', '.riposte-console-stamp');
  const sources = statAll(['package-lock.json', ...filesIn(CONSOLE).filter((file) => !isSpec(file))]);
  const wanted = stampOf(sources);
  if (readIfThere(stampFile) === wanted) return;
  say('Building the console …');
  const code = await run(
    process.execPath,
    [
      'node_modules/vite/bin/vite.js',
      'build',
      '--logLevel',
      'warn',
      '--config',
      'apps/console/vite.config.ts',
    ],
    (soFar) => say(`Building the console ${soFar}`),
  );
  if (code !== 0) fail('The build of the console failed; Vite says above why.');
  writeFileSync(stampFile, wanted);
}

function listSources() {
  const files = SOURCES.flatMap(filesIn).filter(
    (file) => file.endsWith('.ts') && !isSpec(file) && !file.startsWith(CONSOLE + path.sep),
  );
  return statAll([...CONFIG, ...files]);
}

function filesIn(folder) {
  return readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)));
}

function isSpec(file) {
  return /[.-]spec\.ts$/.test(file);
}

function statAll(files) {
  return files
    .filter((file) => existsSync(path.join(ROOT, file)))
    .toSorted()
    .map((file) => ({ file, stat: statSync(path.join(ROOT, file)) }));
}

function stampOf(sources) {
  return createHash('sha256')
    .update(sources.map(({ file, stat }) => `${file} ${stat.mtimeMs} ${stat.size}`).join('\n'))
    .digest('hex');
}

/** Two commands started at once in one checkout take turns. */
async function locked(say, work) {
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
        removeIf(file, readIfThere(file));
        continue;
      }
      if (!said) say(`Waiting for another command (pid ${holder}) that installs or builds here …`);
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

/** Of two commands that find the same stale lock, the slower must not remove what the faster has written since. */
function removeIf(file, text) {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
    if (readFileSync(aside, 'utf8') === text) unlinkSync(aside);
    else renameSync(aside, file);
  } catch {
    // Another was faster.
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

/** Runs a command; its exit code. Says every five seconds for how long it has. A signal ends it and us. */
function run(file, args, saySoFar) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd: ROOT, stdio: ['ignore', 2, 2] });
    const startedAt = performance.now();
    const ticker = setInterval(
      () => saySoFar(`… ${Math.round((performance.now() - startedAt) / 1000)} s`),
      5000,
    );
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    let stopped = false;
    const onSignal = (signal) => {
      stopped = true;
      child.kill(signal);
    };
    for (const signal of signals) process.on(signal, onSignal);
    const ended = (code) => {
      clearInterval(ticker);
      for (const signal of signals) process.off(signal, onSignal);
      if (stopped) process.exit(130);
      resolve(code ?? 1);
    };
    child.on('error', (error) => {
      console.error(`${file} cannot be started: ${error.message}`);
      ended(1);
    });
    child.on('exit', ended);
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
