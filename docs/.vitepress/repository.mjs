import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Files of the repository that pages link to and that are no pages of `docs`: by path, the name of their page. */
const PUBLISHED = new Map([
  ['libs/engine/README.md', 'how-an-action-runs'],
  ['test/simulators/defender/README.md', 'defender-simulator'],
  ['test/simulators/mock-vendor/README.md', 'mock-vendor'],
  ['apps/console/README.md', 'console-development'],
  ['CONTRIBUTING.md', 'contributing'],
  ['CHANGELOG.md', 'changelog'],
  ['THIRD_PARTY.md', 'third-party'],
  ['docs/examples/feed/nftables-feed.sh', 'nftables-feed'],
  ['docs/examples/migration/javascript/block-ip.mjs', 'block-ip-javascript'],
  ['docs/examples/migration/python/block_ip.py', 'block-ip-python'],
]);
const LINK = /\]\(([^\s()]+)\)/g;

/** @returns {{ page: string, content: string }[]} a page of each: Markdown as it is, anything else as code */
export function publishedPages() {
  return [...PUBLISHED].map(([file, page]) => {
    const text = readFileSync(path.join(ROOT, file), 'utf8');
    return { page, content: file.endsWith('.md') ? withSiteLinks(file, text) : asCode(file, text) };
  });
}

/**
 * Where a link of a file leads on the site.
 * @param {string} file path in the repository of the file that holds the link
 * @param {string} link as it is written there
 * @returns {string | null} null: it is right as it is
 * @throws Error where it leads to nothing that is published
 */
export function siteLink(file, link) {
  if (/^(?:[a-z][a-z+.-]*:|#|\/)/i.test(link)) return null;
  const [target = '', hash] = link.split('#');
  const fragment = hash === undefined ? '' : `#${hash}`;
  const at = path.posix.join(path.posix.dirname(file), decodeURIComponent(target));
  const page = PUBLISHED.get(at);
  if (page !== undefined) return `/repository/${page}${fragment}`;
  if (!existsSync(path.join(ROOT, at))) throw new Error(`${file} links to ${link}, which is not there`);
  if (at.startsWith('docs/images/')) return null;
  if (at.startsWith('docs/') && at.endsWith('.md'))
    return `/${at.slice('docs/'.length).replace(/(?:README|index)?\.md$/, '')}${fragment}`;
  throw new Error(
    `${file} links to ${link}, which is no page of the site: name it in docs/.vitepress/repository.mjs`,
  );
}

function withSiteLinks(file, text) {
  return text.replaceAll(LINK, (whole, link) => {
    const there = siteLink(file, link);
    return there === null ? whole : `](${there})`;
  });
}

function asCode(file, text) {
  const language = path.extname(file).slice(1).replace('mjs', 'js');
  return `# ${path.basename(file)}\n\n\`\`\`${language}\n${text.trimEnd()}\n\`\`\`\n`;
}
