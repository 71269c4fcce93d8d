import mongoose from 'mongoose';
import { toAction, type ActionDocument } from './action-document.js';
import type { SecurityAction } from '#domain';

/**
 * Bytes of the documents of one page. A thousand ordinary actions have less than half of it; a thousand of the
 * largest (a body of 64 KiB, a result of 256 KiB) would be a third of a gigabyte, and some such pages at once more
 * memory than a process has.
 */
const MOST_BYTES = 4 * 1024 * 1024;

/** The actions of a page, and whether there are more behind the last. */
export interface BoundedPage {
  readonly actions: readonly SecurityAction[];
  readonly last: ActionDocument | null;
  readonly hasMore: boolean;
}

/**
 * Reads a page to its end: `top` actions, or as many as fit into 4 MiB, but one at least.
 * @param found all there is for the page, and one more where there are more than `top`; closed after that
 */
export async function boundedPage(found: AsyncIterable<ActionDocument>, top: number): Promise<BoundedPage> {
  const documents: ActionDocument[] = [];
  const page = (hasMore: boolean): BoundedPage => ({
    actions: documents.map(toAction),
    last: documents.at(-1) ?? null,
    hasMore,
  });
  let bytes = 0;
  for await (const document of found) {
    bytes += mongoose.mongo.BSON.calculateObjectSize(document);
    if (documents.length === top || (documents.length > 0 && bytes > MOST_BYTES)) return page(true);
    documents.push(document);
  }
  return page(false);
}
