import type { ActionQueue, ActionStore } from '#domain';
import type { Logger } from '#telemetry';

/** Lets the action go on that waits the longest for a target that has become free. What fails here the sweep does. */
export async function wakeNext(
  { store, queue, log }: { readonly store: ActionStore; readonly queue: ActionQueue; readonly log: Logger },
  mutexKey: string,
): Promise<void> {
  try {
    const next = await store.wakeNext(mutexKey);
    if (next === null) return;
    const { id: actionId, tenantId, instance, lane, actionName, epoch } = next;
    // Its own hint was used up when it found the target taken; a job that is there all the same must not swallow this.
    await queue.hint({ actionId, tenantId, instance, lane, actionName, epoch, kind: 'again' });
  } catch (error) {
    log.warn({ error: String(error) }, 'who waits for a target was not woken');
  }
}
