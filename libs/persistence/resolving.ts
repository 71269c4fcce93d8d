import type mongoose from 'mongoose';
import {
  OutcomeUnknownError,
  isUnresolved,
  isGuid,
  type Caller,
  type Finding,
  type ResolveAnswer,
} from '#domain';
import { toAction, type ActionDocument } from './action-document.js';
import { STAMP, literal } from './pipeline.js';
import { uuidOf } from './uuid.js';
import { WriteUnconfirmedError, repeatable, type Within } from './write-retry.js';

/**
 * `ActionStore.resolve`: one conditional write. It is no transition, for it starts from a final record, and
 * leaves alone all that was final, `lastActionAt` included.
 */
export async function resolveOutcome(
  actions: mongoose.mongo.Collection<ActionDocument>,
  budgetMs: number,
  caller: Caller,
  id: string,
  finding: Finding,
): Promise<ResolveAnswer> {
  if (!isGuid(id)) return { kind: 'notFound' };
  const { tenantId, appId, user } = caller;
  const { verdict } = finding;
  // As the database will keep it, in UTF-8; or else a repeat with half a surrogate pair would not be known as one.
  const note = Buffer.from(finding.note).toString();
  // Null also finds a record that has no such field yet; the rest is `isUnresolved`, said to the database.
  const unresolved: mongoose.mongo.Filter<ActionDocument> = {
    _id: uuidOf(id),
    tenantId,
    status: 'Failed',
    resolution: null,
    $expr: {
      $or: [{ $eq: ['$phase', 'outcomeUnknown'] }, { $eq: [{ $last: '$attempts.outcome' }, 'unknown'] }],
    },
  };
  const by = { appId: literal(appId), user: literal(user) };
  const resolution = { by, at: STAMP, verdict: literal(verdict), note: literal(note) };
  // What is there now had an end.
  const lifted = verdict === 'applied' ? { liftAt: { $ifNull: ['$effectUntil', '$$REMOVE'] } } : {};
  const changes = [{ $set: { resolution, unresolved: '$$REMOVE', ...lifted } }];

  const attempt = async (within: Within): Promise<ResolveAnswer> => {
    const changed = await actions.findOneAndUpdate(unresolved, changes, {
      returnDocument: 'after',
      ...within,
    });
    const document = changed ?? (await actions.findOne({ _id: uuidOf(id), tenantId }));
    if (document === null) return { kind: 'notFound' };
    const action = toAction(document);
    const found = action.resolution;
    // It ended between the write and the read: now it can be resolved.
    if (isUnresolved(action)) return attempt(within);
    if (found === null) return { kind: 'notUnresolved', action };
    // Also a repeat after an answer that was lost, by whomever.
    return found.verdict === verdict && found.note === note
      ? { kind: 'resolved', action, resolution: found }
      : { kind: 'resolvedOtherwise', resolution: found };
  };
  try {
    return await repeatable(budgetMs, (_isRepeat, within) => attempt(within));
  } catch (cause) {
    if (cause instanceof WriteUnconfirmedError) throw new OutcomeUnknownError(id, { cause });
    throw cause;
  }
}
