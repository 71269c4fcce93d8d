import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OAuthErrorCode, SignInProblem } from '#auth';
import { ERROR_INFO_CODES, ERROR_STATUS } from '#domain';

const ROOT = path.resolve(import.meta.dirname, '../..');
const DOCS = path.join(ROOT, 'docs');

const OAUTH_ERRORS = {
  invalid_request: true,
  invalid_client: true,
  unauthorized_client: true,
  unsupported_grant_type: true,
  invalid_scope: true,
  invalid_tenant: true,
  temporarily_unavailable: true,
  server_error: true,
} as const satisfies Record<OAuthErrorCode, true>;
const SIGN_IN_PROBLEMS = {
  expired: true,
  refused: true,
  failed: true,
  noRole: true,
  unavailable: true,
  insecure: true,
} as const satisfies Record<SignInProblem, true>;

const page = (name: string): Promise<string> => readFile(path.join(DOCS, name), 'utf8');

describe('the page of errors', () => {
  it('explains every code of the API with its status, and no other', async () => {
    const rows = await rowsBelow('Of the API');
    expect(rows.map(([code, status]) => [bare(code), Number(status)])).toEqual(Object.entries(ERROR_STATUS));
  });

  it('explains every code that an action can fail with, and no other', async () => {
    const codes = (await rowsBelow('Why an action failed')).map(([code]) => Number(code));
    expect(codes).toEqual(Object.values(ERROR_INFO_CODES).toSorted((a, b) => a - b));
  });

  it('explains every error of the token endpoint and every problem of signing in', async () => {
    const names = async (title: string) => (await rowsBelow(title)).map(([code]) => bare(code)).toSorted();
    expect(await names('Of the token endpoint')).toEqual(Object.keys(OAUTH_ERRORS).toSorted());
    expect(await names('Of signing in')).toEqual(Object.keys(SIGN_IN_PROBLEMS).toSorted());
  });

  it('says of each what it means and what to do', async () => {
    for (const title of ['Of the API', 'Why an action failed', 'Of the token endpoint', 'Of signing in'])
      for (const row of await rowsBelow(title)) expect(row.slice(-2).every((cell) => cell !== '')).toBe(true);
  });

  async function rowsBelow(title: string): Promise<readonly (readonly string[])[]> {
    const [, section = ''] = (await page('errors.md')).split(`\n## ${title}\n`);
    return tableRows(section.split('\n## ')[0] ?? '');
  }
});

describe('the threats of the security model', async () => {
  const [, section = ''] = (await page('security.md')).split('\n## Threats\n');
  const rows = tableRows(section.split('\n## ')[0] ?? '');

  it('are numbered without a gap', () => {
    expect(rows.map(([id]) => id)).toEqual(rows.map((_, index) => `S${index + 1}`));
    expect(rows.length).toBeGreaterThanOrEqual(27);
  });

  it.each(rows.map(([id = '', , control = '', proof = '']) => [id, control, proof] as const))(
    '%s has a control, and tests that are there and say what is quoted',
    async (_id, control, proof) => {
      expect(control).not.toBe('');
      const named = [...proof.matchAll(/`([^`]+)`(?: _([^;]+)_(?=;|$))?/g)];
      expect(named.length).toBeGreaterThan(0);
      for (const [, file = '', title = ''] of named)
        expect(await readFile(path.join(ROOT, file), 'utf8')).toContain(title.replaceAll('\\_', '_'));
    },
  );
});

describe('the quick start', () => {
  it('has the commands of the README', async () => {
    const readme = await readFile(path.join(ROOT, 'README.md'), 'utf8');
    const commands = codeLines(await page('quick-start.md'));
    expect(commands.length).toBeGreaterThan(5);
    expect(commands.filter((line) => !codeLines(readme).includes(line))).toEqual([]);
  });
});

interface Links {
  readonly deadLinks: (folder: string, base: string) => readonly string[];
  readonly outsideLoads: (folder: string) => readonly string[];
  readonly slugOf: (heading: string) => string;
}
interface Repository {
  readonly siteLink: (file: string, link: string) => string | null;
}

describe('the site of the pages', async () => {
  const { deadLinks, outsideLoads, slugOf } = (await import(
    path.join(DOCS, '.vitepress/links.mjs')
  )) as Links;
  const { siteLink } = (await import(path.join(DOCS, '.vitepress/repository.mjs'))) as Repository;
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'riposte-site-'));
    await mkdir(path.join(dir, 'plugins'));
    await writeFile(
      path.join(dir, 'api.html'),
      '<h2 id="errors">Errors</h2><a class="x" href="#errors">here</a>',
    );
  });
  afterAll(() => rm(dir, { recursive: true }));

  const dead = async (link: string): Promise<readonly string[]> => {
    await writeFile(path.join(dir, 'plugins/index.html'), `<p><a href="${link}">there</a></p>`);
    return deadLinks(dir, '/');
  };

  it('is refused where a link leads to no page or no heading', async () => {
    for (const link of ['/api.html#errors', '../api.html', '/plugins/', 'https://example.com/gone#away'])
      expect(await dead(link)).toEqual([]);
    expect(await dead('/gone.html')).toEqual(['plugins/index.html links to /gone.html, which is not there']);
    expect(await dead('../api.html#gone')).toEqual([
      'plugins/index.html links to ../api.html#gone: api.html has no such heading',
    ]);
  });

  it('is refused where it would load anything from elsewhere', async () => {
    const loads = async (text: string) => {
      await writeFile(path.join(dir, 'plugins/index.html'), text);
      return outsideLoads(dir);
    };
    expect(await loads('<script src="/assets/app.js"></script><a href="https://example.com">')).toEqual([]);
    expect(await loads('<link rel="stylesheet" href="https://fonts.example.com/inter.css">')).toHaveLength(1);
    expect(await loads('<img alt="" src="//cdn.example.com/x.png">')).toHaveLength(1);
    expect(await loads('<style>@font-face{src:url("https://cdn.example.com/x.woff2")}</style>')).toHaveLength(
      1,
    );
  });

  it.each([
    ['docs/api.md', 'configuration.md#people', '/configuration#people'],
    ['docs/plugins/feed.md', '../examples/README.md', '/examples/'],
    ['docs/guarantees.md', '../libs/engine/README.md', '/repository/how-an-action-runs'],
    ['libs/engine/README.md', '../../docs/backup.md#retention', '/backup#retention'],
    ['docs/api.md', '#lists', null],
    ['docs/api.md', 'https://learn.microsoft.com/graph', null],
  ])('leads from %s by %s to %s', (file, link, there) => {
    expect(siteLink(file, link)).toBe(there);
  });

  it('is refused where a page links to what is not there, or is not published', () => {
    expect(() => siteLink('docs/api.md', 'gone.md')).toThrow(
      'docs/api.md links to gone.md, which is not there',
    );
    expect(() => siteLink('docs/api.md', '../package.json')).toThrow('which is no page of the site');
  });

  it('names headings as GitHub does, so that links are right at both', () => {
    expect(slugOf("The vendor's quota")).toBe('the-vendors-quota');
    expect(slugOf('riposte.config.yaml')).toBe('riposteconfigyaml');
    expect(slugOf('Retention, backup and restore')).toBe('retention-backup-and-restore');
  });
});

/** The cells of the first table in a text, without its head. */
function tableRows(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    );
}

function bare(code: string | undefined): string {
  return (code ?? '').replaceAll('`', '');
}

function codeLines(text: string): readonly string[] {
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, code = '']) =>
    code.split('\n').filter((line) => line !== ''),
  );
}
