import { bulkhead } from 'cockatiel';
import { OperationalError, UserError, type RiposteError } from '#domain';
import type { BatchAnswer } from './batch-answer.js';
import { MOST_REQUESTS } from './batch.dto.js';
import type { BatchStep } from './parse-batch.js';

/** A batch takes no more of the service than a client with as many connections. */
const AT_ONCE = 5;
/** One that comes later than this waits for a service in trouble: better told so than kept waiting. */
const BEGIN_WITHIN_MS = 10_000;
const RETRY_AFTER_SECONDS = 5;
/** Bytes of answers, with which no more of a batch is begun. */
const MOST_ANSWER_BYTES = 4 * 1024 * 1024;

/** How the requests of a batch are carried out. */
export interface BatchRunner {
  /** Carries one out. Resolves with what the caller is told, also of a failure. */
  readonly carryOut: (step: BatchStep) => Promise<BatchAnswer>;
  /** The answer to one that is not carried out. */
  readonly refuse: (step: BatchStep, error: RiposteError) => BatchAnswer;
  /** True once nobody waits for the answers. */
  readonly isAbandoned: () => boolean;
}

/**
 * Carries out each request once those it depends on have succeeded, five at a time. One whose dependency failed
 * is answered 424; one that could not be begun within 10 s, or after the caller went away, 503, and one whose turn
 * comes when the answers have 4 MiB, 429: nothing of it was done.
 *
 * @returns the answers in the order of the requests
 */
export function runBatch(steps: readonly BatchStep[], runner: BatchRunner): Promise<readonly BatchAnswer[]> {
  const slots = bulkhead(AT_ONCE, MOST_REQUESTS);
  const beginBy = performance.now() + BEGIN_WITHIN_MS;
  const answers = new Map<BatchStep, Promise<BatchAnswer>>();
  let bytes = 0;
  const answerOf = (step: BatchStep): Promise<BatchAnswer> => {
    const answer = answers.get(step) ?? goThrough(step);
    answers.set(step, answer);
    return answer;
  };
  const goThrough = async (step: BatchStep): Promise<BatchAnswer> => {
    const failed = (await Promise.all(step.dependsOn.map(answerOf))).find(({ status }) => status >= 400);
    if (failed !== undefined) {
      const message = `Request "${failed.id}", which this one depends on, failed with ${failed.status}.`;
      return runner.refuse(step, new UserError('failedDependency', message));
    }
    return slots.execute(async () => {
      if (bytes > MOST_ANSWER_BYTES) {
        const message = 'The answers of this batch are too large; this request was not begun. Send it again.';
        return runner.refuse(step, new OperationalError('tooManyRequests', message, 1));
      }
      if (!runner.isAbandoned() && performance.now() < beginBy) {
        const answer = await runner.carryOut(step);
        bytes += answer.body?.length ?? 0;
        return answer;
      }
      const message = 'The batch took too long; this request was not begun. Send it again.';
      return runner.refuse(step, new OperationalError('serviceNotAvailable', message, RETRY_AFTER_SECONDS));
    });
  };
  return Promise.all(steps.map(answerOf));
}
