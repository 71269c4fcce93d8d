import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../..');

interface Locked {
  readonly version: string;
  readonly integrity: string;
  readonly dev?: boolean;
}
interface Component {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses: readonly unknown[];
  readonly hashes: readonly { readonly alg: string; readonly content: string }[];
  readonly properties: readonly { readonly name: string; readonly value: string }[];
}
interface Sbom {
  readonly bomFormat: string;
  readonly metadata: { readonly component: { readonly name: string; readonly type: string } };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-supply-'));
});
afterAll(() => rm(dir, { recursive: true }));

describe('the list of what is shipped, npm run sbom', () => {
  let sbom: Sbom;
  let locked: ReadonlyMap<string, Locked>;
  beforeAll(async () => {
    const file = path.join(dir, 'sbom.json');
    await node('apps/launcher/sbom.mjs', file);
    sbom = await json<Sbom>(file);
    const { packages } = await json<{ packages: Record<string, Locked> }>(
      path.join(ROOT, 'package-lock.json'),
    );
    locked = new Map(Object.entries(packages).filter(([place]) => place !== ''));
  });

  const partOf = (part: string) =>
    sbom.components
      .filter(({ properties }) =>
        properties.some(({ name, value }) => name === 'riposte:part' && value === part),
      )
      .map((component) => component['bom-ref']);

  it('is a CycloneDX document of the application', () => {
    expect(sbom).toMatchObject({
      bomFormat: 'CycloneDX',
      metadata: { component: { name: 'riposte', type: 'application' } },
    });
  });

  it('has every package of the lockfile that production needs, and of the others only what the console holds', () => {
    const wanted = [...locked].filter(([, { dev }]) => dev !== true).map(([place, each]) => ref(place, each));
    expect(partOf('server').toSorted()).toEqual([...new Set(wanted)].toSorted());
    const names = [...locked].map(([place, each]) => ref(place, each));
    for (const each of partOf('console')) expect(names).toContain(each);
    expect(partOf('console').join(' ')).toContain('react-dom@');
    expect(partOf('console').join(' ')).toContain('@fontsource-variable/inter@');
    expect(sbom.components).toHaveLength(partOf('server').length + partOf('console').length);
  });

  it('says of each where it is from, under which licence, and the hash by which the lockfile pins it', () => {
    const hashes = new Map(
      [...locked].map(([place, each]) => [
        ref(place, each),
        Buffer.from(each.integrity.slice('sha512-'.length), 'base64').toString('hex'),
      ]),
    );
    for (const component of sbom.components) {
      expect(component.purl).toMatch(/^pkg:npm\//);
      expect(component.licenses).not.toEqual([]);
      expect(component.hashes).toContainEqual({
        alg: 'SHA-512',
        content: hashes.get(component['bom-ref']),
      });
    }
  });

  it('names nothing in its graph that it does not list', () => {
    const listed = new Set(sbom.components.map((component) => component['bom-ref']));
    const named = sbom.dependencies.flatMap(({ dependsOn }) => dependsOn);
    expect(named.filter((each) => !listed.has(each))).toEqual([]);
  });
});

describe('the check of the lockfile', () => {
  const good = {
    version: '1.0.0',
    integrity: `sha512-${Buffer.alloc(64, 7).toString('base64')}`,
  };
  /** It is plain JavaScript, for it runs where nothing is built. */
  const problemsIn = async (packages: object): Promise<readonly string[]> => {
    const { stdout } = await run(process.execPath, [
      '--input-type=module',
      '--eval',
      `import { problemsIn } from './apps/launcher/check-lockfile.mjs';
       console.log(JSON.stringify(problemsIn(${JSON.stringify({
         'node_modules/@scarf/scarf': good,
         'node_modules/esbuild': good,
         'node_modules/msgpackr-extract': good,
         ...packages,
       })})));`,
    ]);
    return JSON.parse(stdout) as string[];
  };

  it('is passed by the one that is here', async () => {
    await expect(run(process.execPath, ['apps/launcher/check-lockfile.mjs'])).resolves.toMatchObject({
      code: 0,
      stderr: '',
    });
  });

  it('refuses what could be another package than the one that was tried', async () => {
    const problems = await problemsIn({
      'node_modules/unpinned': { version: '1.0.0' },
      'node_modules/weak': { ...good, integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' },
      'node_modules/elsewhere': { ...good, resolved: 'git+ssh://git@example.com/a/b.git#1' },
    });
    expect(problems).toEqual([
      expect.stringContaining('node_modules/unpinned has no SHA-512'),
      expect.stringContaining('node_modules/weak has no SHA-512'),
      expect.stringContaining('node_modules/elsewhere comes from git+ssh:'),
    ]);
  });

  it('refuses an install script that nobody has looked at', async () => {
    expect(
      await problemsIn({ 'node_modules/a/node_modules/b': { ...good, hasInstallScript: true } }),
    ).toEqual([expect.stringContaining('node_modules/a/node_modules/b brings an install script')]);
    expect(await problemsIn({ 'node_modules/esbuild': { ...good, hasInstallScript: true } })).toEqual([]);
  });
});

describe('the licences of what is shipped', () => {
  it('are allowed, and THIRD_PARTY.md lists them', async () => {
    await expect(run(process.execPath, ['apps/launcher/licences.mjs', '--check'])).resolves.toMatchObject({
      code: 0,
      stderr: '',
    });
  });

  it('are refused where they are none of the allowed, or missing', async () => {
    const { stdout } = await run(process.execPath, [
      '--input-type=module',
      '--eval',
      `import { problemsWith } from './apps/launcher/licences.mjs';
       console.log(JSON.stringify(problemsWith([
         { name: 'a', version: '1.0.0', licence: 'MIT' },
         { name: 'b', version: '1.0.0', licence: 'AGPL-3.0-only' },
         { name: 'c', version: '1.0.0' },
       ])));`,
    ]);
    expect(JSON.parse(stdout)).toEqual([
      expect.stringContaining('b@1.0.0 has the licence AGPL-3.0-only'),
      expect.stringContaining('c@1.0.0 has the licence that it does not name'),
    ]);
  });
});

describe('the search for secrets', () => {
  // In parts, so that it does not find them here.
  const ours = (prefix: string) => [prefix, randomBytes(32).toString('base64url')].join('_');
  const texts = {
    'the password of a database': ['mongodb://admin:', 'Tr0ub4dor', '@db.example.com/riposte'].join(''),
    'a token of GitHub': ['ghp', 'wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx'].join('_'),
    'a private key': privateKey(),
    'a client secret of Riposte': ours('rps'),
    'a key of stored secrets': ours('rpk'),
  };
  const INVENTED = 'mongodb://me:hunter2@127.0.0.1/x';
  let found: ReadonlyMap<string, number>;
  beforeAll(async () => {
    // Where nobody would look: in a file that begins with a dot.
    const files = [...Object.values(texts), INVENTED].map((_, index) => path.join(dir, `.leaky-${index}.ts`));
    for (const [index, text] of [...Object.values(texts), INVENTED].entries())
      await writeFile(files[index] ?? '', `export const setting = \`${text}\`;\n`);
    const { stdout } = await run(process.execPath, [
      path.join(ROOT, 'node_modules/secretlint/bin/secretlint.js'),
      '--format',
      'json',
      '--secretlintrc',
      path.join(ROOT, '.secretlintrc.cjs'),
      path.join(dir, '**/*'),
    ]);
    const results = JSON.parse(stdout) as readonly {
      readonly filePath: string;
      readonly messages: readonly unknown[];
    }[];
    found = new Map(results.map(({ filePath, messages }) => [path.basename(filePath), messages.length]));
  });

  it.each(Object.keys(texts).map((what, index) => [what, index] as const))('finds %s', (_what, index) => {
    expect(found.get(`.leaky-${index}.ts`)).toBeGreaterThan(0);
  });

  it('takes the invented ones of the tests for what they are', () => {
    expect(found.get(`.leaky-${Object.keys(texts).length}.ts`)).toBe(0);
  });
});

describe('static analysis', () => {
  const findings = async (source: string): Promise<readonly string[]> => {
    const file = path.join(dir, 'source.ts');
    await writeFile(file, `${source}\n`);
    const { stdout } = await run(process.execPath, [
      path.join(ROOT, 'node_modules/oxlint/bin/oxlint'),
      '--config',
      path.join(ROOT, '.oxlintrc.json'),
      '--format',
      'json',
      file,
    ]);
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: readonly { readonly code: string }[] };
    return diagnostics.map(({ code }) => code);
  };

  it.each([
    [
      'a regular expression that a text can keep busy',
      String.raw`export const late = /T.*(?:Z|[+-]\d{2}:\d{2})$/i;`,
      'regexps(linear)',
    ],
    [
      'one made of what may come from outside',
      'export const made = (text: string): RegExp => new RegExp(text);',
      'security(detect-non-literal-regexp)',
    ],
    [
      'a secret that is compared until it differs',
      'export const same = (secret: string, given: string): string => { if (secret === given) return "yes"; return "no"; };',
      'security(detect-possible-timing-attacks)',
    ],
    ['code made of text', 'export const made = (text: string): unknown => eval(text);', 'eslint(no-eval)'],
  ])('finds %s', async (_what, source, code) => {
    expect(await findings(source)).toContain(code);
  });

  it('leaves one alone that takes as long as the text', async () => {
    expect(
      await findings(String.raw`export const dates = /^[^T]*T.*(?:Z|[+-]\d{2}:\d{2})$/i;`),
    ).not.toContain('regexps(linear)');
  });
});

function privateKey(): string {
  const line = (word: string): string => ['-----', word, ' RSA PRIVATE KEY-----'].join('');
  return [
    line('BEGIN'),
    ...Array.from({ length: 9 }, () => 'MIIEpAIBAAKCAQEA3Tz2mr7SZiAM'),
    line('END'),
  ].join('\n');
}

function ref(place: string, { version }: Locked): string {
  return `${place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length)}@${version}`;
}

async function json<T>(file: string): Promise<T> {
  return JSON.parse(await readFile(file, 'utf8')) as T;
}

async function node(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(process.execPath, args);
  if (code !== 0) throw new Error(stderr);
}

function run(
  file: string,
  args: readonly string[],
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(file, args, { cwd: ROOT, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}
