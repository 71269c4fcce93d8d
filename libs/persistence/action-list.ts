import mongoose from 'mongoose';
import { UserError, type ActionFilter, type ActionPage, type ListPosition } from '#domain';
import { UNRESOLVED_INDEX, toAction, type ActionDocument } from './action-document.js';
import { boundedPage } from './bounded-page.js';
import { uuidOf } from './uuid.js';

type Filter = mongoose.mongo.Filter<ActionDocument>;

/** Milliseconds for the one list that no index bounds by more than the tenant. */
export const DEFAULT_PHASE_SCAN_MS = 2000;
const MAX_TIME_EXPIRED = 50;

export interface ListQuery {
  readonly tenantId: string;
  readonly top: number;
  readonly after: ListPosition | null;
  readonly filter: ActionFilter;
  readonly phaseScanMs: number;
}

/**
 * Reads one page of a tenant's actions, newest first, along an index that begins with the tenant. Only what is
 * unresolved has an index of its own; a phase changes too often to be worth one, so the tenant's actions are
 * looked through for it, for `phaseScanMs` at most.
 *
 * @throws UserError `invalidRequest` when that was not enough
 */
export async function readPage(
  actions: mongoose.mongo.Collection<ActionDocument>,
  { tenantId, top, after, filter, phaseScanMs }: ListQuery,
): Promise<ActionPage> {
  const isInbox = filter.unresolved === true;
  const time = isInbox ? 'completedAt' : 'createdAt';
  const cursor = actions
    .find({
      tenantId,
      ...(isInbox ? { unresolved: true } : {}),
      ...(filter.phase === undefined ? {} : { phase: filter.phase }),
      ...(after === null ? {} : beyond(time, after)),
    })
    .sort({ [time]: -1, _id: -1 })
    .limit(top + 1);
  if (isInbox) cursor.hint(UNRESOLVED_INDEX);
  if (filter.phase !== undefined) cursor.maxTimeMS(phaseScanMs);
  const { documents, hasMore } = await boundedPage(cursor, top).catch((error: unknown) => {
    if (error instanceof mongoose.mongo.MongoServerError && error.code === MAX_TIME_EXPIRED) {
      throw new UserError(
        'invalidRequest',
        `Too few of the tenant's many actions are in phase ${filter.phase} to be found in time. Ask for a smaller page, for unresolved ones only, or for all.`,
        { cause: error },
      );
    }
    throw error;
  });
  const page = documents.map(toAction);
  const last = page.at(-1);
  const at = last?.[time] ?? null;
  return {
    actions: page,
    next: hasMore && last !== undefined && at !== null ? { at, id: last.id } : null,
  };
}

/** The first condition bounds the index, the second tells those of the same time apart. */
function beyond(time: 'createdAt' | 'completedAt', { at, id }: ListPosition): Filter {
  return { [time]: { $lte: at }, $or: [{ [time]: { $lt: at } }, { _id: { $lt: uuidOf(id) } }] };
}
