import { ERROR_INFO_CODES, errorInfo } from '#domain';
import type { ExactDocument } from './exact-record.js';
import { MOST_ATTEMPTS, phaseAfter } from './pipeline.js';

/**
 * What becomes of the open actions of a backup. `unknown`: they may have been carried out since, so they end and
 * say so, and are never issued again. `resume`: they go on; only for a move, where the source was stopped before
 * the export and is not started again.
 */
export type OpenActions = 'unknown' | 'resume';

export interface Restore {
  readonly open: OpenActions;
  /** Null for an archive, which holds no open actions. */
  readonly exportedAt: Date | null;
}

/** The record that is made of one of a backup, at a time. The same time makes the same record. */
export function restored(record: ExactDocument, { open, exportedAt }: Restore, at: Date): ExactDocument {
  if (record['open'] !== true) return record;
  return open === 'resume' ? resumed(record, at) : settled(record, exportedAt, at);
}

/** When the record that stands for one of a backup was restored, if it was; null where that cannot be. */
export function restoredAt(existing: ExactDocument, { open }: Restore): Date | null {
  const at = open === 'resume' ? existing['nextAt'] : existing.completedAt;
  return at instanceof Date ? at : null;
}

function resumed(record: ExactDocument, at: Date): ExactDocument {
  return { ...record, owner: null, leaseUntil: null, nextAt: at };
}

function settled(record: ExactDocument, exportedAt: Date | null, now: Date): ExactDocument {
  const {
    open: _open,
    mutexHeld: _mutexHeld,
    checkpoint: _checkpoint,
    lastOwner: _lastOwner,
    progressOrder: _progressOrder,
    checkpointOrder: _checkpointOrder,
    operationOrder: _operationOrder,
    ...kept
  } = record as ExactDocument & { readonly checkpoint?: unknown };
  const lastActionAt = record['lastActionAt'] as Date;
  // As a stamp of the store: never before the last change.
  const at = now < lastActionAt ? lastActionAt : now;
  const states = record['states'] as readonly object[];
  const attempts = record['attempts'] as readonly object[];
  const intent = record['intent'] as Readonly<
    Record<'attempt' | 'epoch' | 'at' | 'repeatedAt' | 'providerVersion', unknown>
  > | null;
  const error = errorInfo(
    ERROR_INFO_CODES.outcomeUnknown,
    `It was open in a backup${exportedAt === null ? '' : ` of ${exportedAt.toISOString()}`} and may have been carried out since. Check the target.`,
  );
  return {
    ...(kept as ExactDocument),
    status: 'Failed',
    phase: phaseAfter('restoreAsUnknown', 'outcomeUnknown'),
    states: [...states, { status: 'Failed', updatedAt: at, appId: record['appId'], user: record['user'] }],
    lastActionAt: at,
    completedAt: at,
    errorInfo: error,
    owner: null,
    leaseUntil: null,
    nextAt: null,
    intent: null,
    waiting: null,
    attempts:
      intent === null
        ? attempts
        : [
            ...attempts,
            {
              number: intent.attempt,
              epoch: intent.epoch,
              providerVersion: intent.providerVersion ?? null,
              startedAt: intent.repeatedAt ?? intent.at,
              endedAt: at,
              outcome: 'unknown',
              error,
            },
          ].slice(-MOST_ATTEMPTS),
    // Until somebody has looked and said what became of it.
    unresolved: true,
  };
}
