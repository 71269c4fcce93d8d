import { spawn, type ChildProcess } from 'node:child_process';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '#embedded-servers';
import { eventually } from '../support/eventually.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';

const run = promisify(execFile);

/** The tutorial's code blocks of a language, in order. */
async function blocks(language: string): Promise<readonly string[]> {
  const text = await readFile(path.join(PROJECT_DIR, 'docs/plugins/tutorial.md'), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, block = '']) => block,
  );
}

let dir: string;
let plugin: string;
let stack: Stack | undefined;
let simulator: ChildProcess | undefined;
let commands: readonly string[];

/** A command of the tutorial as it stands there, but for the folders and the port of this run. */
async function sh(command: string, cwd: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { stdout } = await run(
    'bash',
    ['-e', '-c', command.replaceAll('../riposte-plugin-acme-edr', plugin)],
    {
      cwd,
      env: { ...process.env, ...env },
      maxBuffer: 16 * 1024 * 1024,
    },
  );
  return stdout;
}

/** A command line of the tutorial that has this in it. */
function lineWith(containing: string): string {
  const found = commands.flatMap((block) => block.split('\n')).find((line) => line.includes(containing));
  if (found === undefined) throw new Error(`the tutorial has no command with "${containing}"`);
  return found;
}

const riposte = (line: string): Promise<string> =>
  sh(line, PROJECT_DIR, { RIPOSTE_URL: stack?.baseUrl ?? '', RIPOSTE_DATA_DIR: stack?.dataDir ?? '' });

/** How an action ended that a command asks for, and which versions of the plugin its attempts had. */
async function created(line: string): Promise<object> {
  const { status, attempts } = JSON.parse(await riposte(line)) as {
    readonly status: string;
    readonly attempts: readonly { readonly providerVersion: string }[];
  };
  return { status, by: attempts.map(({ providerVersion }) => providerVersion) };
}

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-tutorial-'));
  plugin = path.join(dir, 'riposte-plugin-acme-edr');
  commands = await blocks('sh');
});
afterAll(async () => {
  simulator?.kill();
  await stack?.stop();
  await rm(dir, { recursive: true, force: true });
});

describe('who follows the tutorial for plugin authors', () => {
  it('gets a package that builds and passes the conformance kit', async () => {
    await sh(lineWith('create-plugin'), PROJECT_DIR);
    expect(await readdir(plugin)).toEqual(
      expect.arrayContaining(['package.json', 'riposte.config.yaml', 'sdk', 'src', 'test']),
    );
    await sh('npm install --no-audit --no-fund', plugin);
    expect(await sh('npm test', plugin)).toMatch(/0 failed/);
  }, 300_000);

  it('sees it carry out an action in a Riposte that runs', async () => {
    // Of this run's own: other tests may use the tutorial's port.
    const port = String(await freePort());
    const configFile = path.join(plugin, 'riposte.config.yaml');
    await writeFile(configFile, (await readFile(configFile, 'utf8')).replace('4010', port));
    simulator = spawn(process.execPath, ['dist/test/simulator.js'], {
      cwd: plugin,
      env: { ...process.env, PORT: port },
      stdio: 'ignore',
    });
    stack = await Stack.start({ configFile, env: { ACME_EDR_TOKEN: 'secret' } });
    expect(await created(lineWith('action create BlockIp'))).toEqual({ status: 'Completed', by: ['0.1.0'] });
    expect(await riposte(lineWith('providers show'))).toMatch(/0\.1\.0/);
  }, 300_000);

  it('adds an action, which the running Riposte takes up', async () => {
    for (const [index, diff] of (await blocks('diff')).entries()) {
      const file = path.join(dir, `${index}.diff`);
      await writeFile(file, diff);
      await run('git', ['apply', '--whitespace=nowarn', file], { cwd: plugin });
    }
    expect(await sh('npm test', plugin)).toMatch(/0 failed/);
    // Each process takes it up by itself, and the one that carries actions out has no address to ask.
    const loaded = () =>
      stack?.workers[0]?.log.some(({ msg, version }) => msg === 'plugin loaded again' && version === '0.2.0');
    await eventually(loaded, 60_000);
    // A command of npm each time.
    await eventually(async () => /0\.2\.0/.test(await riposte(lineWith('providers show'))), 60_000, 1000);
    const create = lineWith('action create BlockIp')
      .replace('BlockIp', 'BlockDomain')
      .replace('IP=203.0.113.7', 'Domain=evil.example');
    expect(await created(create)).toEqual({ status: 'Completed', by: ['0.2.0'] });
  }, 300_000);

  it('packs what is installed beside a configuration, and pins it', async () => {
    // As it was built: the script would build it again.
    await sh(lineWith('npm version'), plugin);
    await sh(`${lineWith('npm pack')} --ignore-scripts`, plugin);
    const installation = path.join(dir, 'installation');
    await mkdir(installation);
    await writeFile(path.join(installation, 'package.json'), '{"private":true}');
    const packed = path.join(plugin, 'riposte-plugin-acme-edr-0.2.0.tgz');
    await sh(`npm install --no-audit --no-fund ${packed}`, installation);
    const installed = path.join(installation, 'node_modules/riposte-plugin-acme-edr');
    expect(await readdir(path.join(installation, 'node_modules'))).not.toContain('typescript');
    const hash = lineWith('plugins hash').replace('FOLDER', installed);
    expect(await riposte(hash)).toMatch(/^[0-9a-f]{64}\n$/);
  }, 300_000);
});
