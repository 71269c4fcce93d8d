import { copyFileSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { defineConfig } from 'vitepress';
import { deadLinks, outsideLoads, slugOf } from './links.mjs';
import { ROOT, siteLink } from './repository.mjs';

/** The pages under `docs` as a site: `npm run docs`. A link that leads nowhere fails it. */

const DOCS = path.join(ROOT, 'docs');
const BASE = process.env['RIPOSTE_DOCS_BASE'] ?? '/';
const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));

/** @type {[string, string[]][]} */
const GROUPS = [
  ['Begin', ['quick-start', 'concepts', 'guarantees', 'glossary']],
  ['Use', ['api', 'errors', 'notifications', 'console', 'cli', 'migration', 'examples/README']],
  [
    'Operate',
    [
      'configuration',
      'deployment',
      'sizing',
      'upgrading',
      'backup',
      'doctor',
      'metrics',
      'tracing',
      'scaling',
      'performance',
    ],
  ],
  ['Security', ['security', 'audit', 'security/supply-chain']],
  [
    'Providers',
    [
      'providers',
      'plugins/defender',
      'plugins/nftables',
      'plugins/feed',
      'plugins/unbound',
      'plugins/openc2',
      'plugins/opnsense',
      'plugins/panos',
      'plugins/fortigate',
    ],
  ],
  [
    'Plugins',
    [
      'plugins/README',
      'plugins/tutorial',
      'plugins/declarative',
      'plugins/webhook',
      'plugins/http',
      'plugins/rules',
      'plugins/rails',
      'plugins/conformance',
      'plugins/running',
    ],
  ],
];
/** Where a page goes that no group names. */
const OTHERS = 'Operate';
const SDK = { text: 'SDK reference', link: '/provider-sdk/index.html', target: '_self' };

export default defineConfig({
  title: 'Riposte',
  description: 'A self-hosted security-action engine that speaks the Microsoft Graph securityAction API.',
  lang: 'en',
  base: BASE,
  outDir: path.join(ROOT, 'dist/docs/site'),
  cacheDir: path.join(ROOT, 'node_modules/.vitepress'),
  cleanUrls: false,
  rewrites: { ':folder/README.md': ':folder/index.md' },
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${BASE}favicon.svg` }]],
  markdown: { config: linkToTheSite, anchor: { slugify: slugOf } },
  themeConfig: {
    logo: '/favicon.svg',
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    nav: [
      { text: 'Quick start', link: '/quick-start' },
      { text: 'API', link: '/api' },
      { text: 'Configuration', link: '/configuration' },
      SDK,
      { text: version, link: '/repository/changelog' },
    ],
    sidebar: sidebar(),
    footer: { message: 'Apache-2.0' },
  },
  buildEnd({ outDir }) {
    copyFileSync(path.join(ROOT, 'apps/console/public/favicon.svg'), path.join(outDir, 'favicon.svg'));
    const problems = [...deadLinks(outDir, BASE), ...outsideLoads(outDir)];
    if (problems.length > 0) throw new Error(problems.join('\n'));
  },
});

function sidebar() {
  const named = new Set(GROUPS.flatMap(([, pages]) => pages));
  const others = readdirSync(DOCS, { recursive: true })
    .filter((file) => file.endsWith('.md') && !/^(?:index\.md$|repository|\.vitepress)/.test(file))
    .map((file) => file.slice(0, -'.md'.length))
    .filter((page) => !named.has(page))
    .toSorted((a, b) => a.localeCompare(b));
  const runbooks = others.filter((page) => page.startsWith('runbooks/'));
  return [
    ...GROUPS.map(([text, pages]) => ({
      text,
      collapsed: false,
      items: [
        ...(text === OTHERS ? pages.concat(others.filter((page) => !runbooks.includes(page))) : pages).map(
          item,
        ),
        ...(text === 'Plugins' ? [SDK] : []),
      ],
    })),
    { text: 'Runbooks', collapsed: true, items: runbooks.map(item) },
    {
      text: 'The repository',
      collapsed: false,
      items: [
        { text: 'How an action runs', link: '/repository/how-an-action-runs' },
        { text: 'Contributing', link: '/repository/contributing' },
        { text: 'Changelog', link: '/repository/changelog' },
        { text: 'Third-party software', link: '/repository/third-party' },
      ],
    },
  ];
}

/** By the heading that the page has itself. */
function item(page) {
  const heading = /^# (.+)$/m.exec(readFileSync(path.join(DOCS, `${page}.md`), 'utf8'))?.[1] ?? page;
  return { text: heading, link: `/${page.replace(/README$/, '')}` };
}

/** Pages are read in the repository, too, where their links lead to files. */
function linkToTheSite(md) {
  const code = md.renderer.rules.code_inline;
  md.renderer.rules.code_inline = (tokens, index, ...rest) => {
    // What stands in braces is text, and nothing of Vue's.
    tokens[index].attrSet('v-pre', '');
    return code(tokens, index, ...rest);
  };
  const original = md.renderer.rules.link_open;
  md.renderer.rules.link_open = (tokens, index, options, env, self) => {
    const token = tokens[index];
    const file = path.relative(ROOT, env.path ?? '');
    const link = token.attrGet('href');
    if (link !== null && file.startsWith('docs/') && !file.startsWith('docs/repository/')) {
      const there = siteLink(file, link);
      if (there !== null) token.attrSet('href', there);
    }
    return original(tokens, index, options, env, self);
  };
}
