import { createHash } from 'node:crypto';
import type { FeedList } from '#plugins';

/** A file of a feed: the list that it shows, and how each entry of it is written. */
export interface FeedFile {
  readonly list: FeedList;
  readonly line: (value: string) => string;
}

const asItIs = (value: string): string => value;

/** What a URL has after `#` is the browser's own; here it would begin a comment. */
const withoutFragment = (url: string): string => url.replace(/#.*/s, '');

/** By their names without `.txt`. */
export const FEED_FILES: Readonly<Record<string, FeedFile>> & Readonly<Record<FeedList, FeedFile>> = {
  ip: { list: 'ip', line: asItIs },
  domain: { list: 'domain', line: asItIs },
  url: { list: 'url', line: withoutFragment },
  // As PAN-OS and Check Point want URLs.
  'url-without-scheme': { list: 'url', line: (url) => withoutFragment(url).replace(/^https?:\/\//, '') },
};

/** What is sent of a list. */
export interface FeedContent {
  /** One entry a line, sorted, none twice; empty for no entries. */
  readonly text: string;
  readonly entries: number;
  /** Strong: the same for the same entries, from whichever process. */
  readonly etag: string;
}

/** Writes a list. Values are canonical, so that none holds a line end or another control character. */
export function feedContent(values: readonly string[], { line }: FeedFile): FeedContent {
  const lines = [...new Set(values.map((value) => line(value)))].toSorted();
  const text = lines.map((one) => `${one}\n`).join('');
  const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"`;
  return { text, entries: lines.length, etag };
}
