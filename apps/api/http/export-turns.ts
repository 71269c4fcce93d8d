import { OperationalError } from '#domain';

/** Exports at the same time: of one tenant and of all, in a process. */
const AT_ONCE = { tenant: 2, all: 16 } as const;
const RETRY_AFTER_SECONDS = 10;

/** Exports of one kind that are under way in this process: bounded, and so that no tenant has all of the turns. */
export class ExportTurns {
  readonly #running = new Map<string, number>();

  /**
   * Takes a turn.
   * @param tenantId of whose record it is; what has no tenant goes by a name of its own
   * @returns gives the turn back; a second call does nothing
   * @throws OperationalError `tooManyRequests` where as many as may be are under way
   */
  take(tenantId: string): () => void {
    const own = this.#running.get(tenantId) ?? 0;
    const all = [...this.#running.values()].reduce((sum, one) => sum + one, 0);
    if (own >= AT_ONCE.tenant || all >= AT_ONCE.all)
      throw new OperationalError(
        'tooManyRequests',
        'As many exports as may be at the same time are under way. Let one of them end first.',
        RETRY_AFTER_SECONDS,
      );
    this.#running.set(tenantId, own + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const left = (this.#running.get(tenantId) ?? 1) - 1;
      if (left === 0) this.#running.delete(tenantId);
      else this.#running.set(tenantId, left);
    };
  }
}
