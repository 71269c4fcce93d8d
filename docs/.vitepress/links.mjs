import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

const ID = /\sid="([^"]+)"/g;
const LOADED =
  /<(?:link|script|img|source|iframe)\s[^<>]*?(?:src|href)="(?:https?:)?\/\/[^"]*"|url\(["']?(?:https?:)?\/\//g;
const LINK = /<a\s[^<>]*?href="([^"]+)"/g;

/** As GitHub names headings, so that a link is right there and on the site. */
export function slugOf(heading) {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}

/**
 * Links to files and headings that a built site does not have. VitePress looks for pages alone.
 * @param {string} folder of the site
 * @param {string} base what its addresses begin with
 * @returns {string[]} a sentence each
 */
export function deadLinks(folder, base) {
  const pages = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.html') && !file.startsWith('provider-sdk'));
  const texts = new Map(pages.map((page) => [page, readFileSync(path.join(folder, page), 'utf8')]));
  const ids = new Map([...texts].map(([page, text]) => [page, new Set(found(ID, text))]));
  const dead = new Set();
  for (const [page, text] of texts) {
    for (const link of found(LINK, text)) {
      if (/^[a-z][a-z+.-]*:/i.test(link)) continue;
      const { pathname, hash } = new URL(link, `http://site${base}${page}`);
      const file = decodeURIComponent(pathname.slice(base.length)).replace(/(?<=^|\/)$/, 'index.html');
      const heading = decodeURIComponent(hash.slice(1));
      if (file.startsWith('provider-sdk/')) continue;
      if (!existsSync(path.join(folder, file))) dead.add(`${page} links to ${link}, which is not there`);
      else if (heading !== '' && !ids.get(file)?.has(heading))
        dead.add(`${page} links to ${link}: ${file} has no such heading`);
    }
  }
  return [...dead];
}

/** What pages and styles of a built site would load from another. @returns {string[]} a sentence each */
export function outsideLoads(folder) {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((file) => /\.(?:html|css)$/.test(file) && !file.startsWith('provider-sdk'))
    .flatMap((file) =>
      [...readFileSync(path.join(folder, file), 'utf8').matchAll(LOADED)].map(
        ([what]) => `${file} loads ${what}`,
      ),
    );
}

function found(what, text) {
  return [...text.matchAll(what)].map(([, value]) => value.replaceAll('&amp;', '&'));
}
