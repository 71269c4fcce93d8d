import { AsyncLocalStorage } from 'node:async_hooks';

const batches = new AsyncLocalStorage<string>();

/** Runs what carries out a request of a batch. No header can pretend to it. */
export function withinBatch<T>(requestId: string, run: () => T): T {
  return batches.run(requestId, run);
}

/** The `request-id` of the batch that the request at hand came in; undefined for one of its own. */
export function enclosingBatch(): string | undefined {
  return batches.getStore();
}
