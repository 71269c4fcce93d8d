import mongoose from 'mongoose';
import type { ActionDocument } from './action-document.js';

/** Bytes of BSON on a page of more than one action. A thousand ordinary actions are fewer. */
const PAGE_BYTES = 2 * 1024 * 1024;

type Cursor = mongoose.mongo.AbstractCursor<ActionDocument>;

/** Actions of a page, and whether there is another. */
interface BoundedPage {
  readonly documents: readonly ActionDocument[];
  readonly hasMore: boolean;
}

/**
 * Reads a page of at most `top` actions and 2 MiB, but of one action at least.
 * @param cursor not yet read from; gives one action more than `top` where there is one. Closed in the end
 */
export async function boundedPage(cursor: Cursor, top: number): Promise<BoundedPage> {
  const documents: ActionDocument[] = [];
  let bytes = 0;
  try {
    while (await cursor.hasNext()) {
      // One by one: only what was taken from the driver's batch, which may be 16 MiB, becomes objects.
      for (const document of oneByOne(cursor)) {
        bytes += mongoose.mongo.BSON.calculateObjectSize(document);
        if (documents.length === top || (documents.length > 0 && bytes > PAGE_BYTES))
          return { documents, hasMore: true };
        documents.push(document);
      }
    }
    return { documents, hasMore: false };
  } finally {
    await cursor.close();
  }
}

function* oneByOne(cursor: Cursor): Generator<ActionDocument> {
  for (;;) {
    const [document] = cursor.readBufferedDocuments(1);
    if (document === undefined) return;
    yield document;
  }
}
