import { UserError, type ActionQueue, type ActionStore, type Caller, type CancelAnswer } from '#domain';
import { NO_METRICS, type Logger, type Metrics } from '#telemetry';
import { noteEnd } from './note-end.js';
import { wakeNext } from './wake-next.js';

/** What a cancel came to, with the record as it stands. */
export type Cancelled = Extract<CancelAnswer, { readonly action: unknown }>;

/** Cancels an action before it is issued, or records the wish and tells whoever runs it. */
export class CancelAction {
  readonly #store: ActionStore;
  readonly #queue: ActionQueue;
  readonly #log: Logger;
  readonly #metrics: Metrics;

  constructor(parts: {
    readonly store: ActionStore;
    readonly queue: ActionQueue;
    readonly log: Logger;
    /** Default: nothing is counted. */
    readonly metrics?: Metrics;
  }) {
    this.#store = parts.store;
    this.#queue = parts.queue;
    this.#log = parts.log;
    this.#metrics = parts.metrics ?? NO_METRICS;
  }

  /**
   * `cancelled`: it will not (or did not) take effect. `requested`: it was issued already; the action will end
   * as what really happened. Repeating it is harmless.
   *
   * @throws UserError `itemNotFound`, or `notAllowed` when the action has ended otherwise
   */
  async cancel(caller: Caller, id: string): Promise<Cancelled> {
    const answer = await this.#store.requestCancel(caller, id);
    switch (answer.kind) {
      case 'notFound':
        throw new UserError('itemNotFound', `No security action ${id} exists.`);
      case 'tooLate':
        throw new UserError(
          'notAllowed',
          `Security action ${id} has already ended as ${answer.status}; it cannot be cancelled.`,
        );
      case 'requested': {
        const { action } = answer;
        void this.#queue.announceCancel(action.id);
        void this.#queue.hint({
          actionId: action.id,
          tenantId: action.tenantId,
          instance: action.instance,
          lane: action.lane,
          actionName: action.actionName,
          epoch: action.epoch,
          kind: 'cancel',
        });
        break;
      }
      case 'cancelled':
        if (answer.isEnd)
          noteEnd(
            this.#metrics,
            answer.action,
            (answer.action.completedAt ?? answer.action.lastActionAt).getTime(),
          );
        // It may have held up others at its target.
        if (answer.action.mutexKey !== null)
          void wakeNext({ store: this.#store, queue: this.#queue, log: this.#log }, answer.action.mutexKey);
        break;
    }
    this.#log.info(
      { actionId: id, tenant: caller.tenantId, appId: caller.appId, answer: answer.kind },
      'cancel answered',
    );
    return answer;
  }
}
