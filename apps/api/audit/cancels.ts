import type { FastifyRequest } from 'fastify';
import { cancelBeside } from '#audit';
import type { CancelAction, Cancelled } from '#engine';
import { callerOf } from '../auth.guard.js';
import { printableId } from '../http/printable-id.js';
import { actorOf, type AuditTrail } from './audit-trail.js';

/** Cancels actions for callers, each of whom the audit record then has. */
export class Cancels {
  readonly #action: CancelAction;
  readonly #trail: AuditTrail;

  constructor(action: CancelAction, trail: AuditTrail) {
    this.#action = action;
    this.#trail = trail;
  }

  /**
   * As {@link CancelAction.cancel}. Who asks first is in the action's own history; who asks after others is recorded
   * beside it before they are answered, once however often they ask.
   *
   * @throws what that does; OperationalError (503) when it could not be recorded: what the others asked for stands
   */
  async one(request: FastifyRequest, id: string): Promise<Cancelled> {
    const answer = await this.#action.cancel(callerOf(request), printableId(id));
    const by = actorOf(request);
    const beside = cancelBeside(answer.action, by, answer.kind);
    if (beside !== null)
      await this.#trail.noteDone(
        by,
        'The cancel stands. That you asked for it, too, could not be recorded in the audit record. Try again.',
        beside,
      );
    return answer;
  }

  /**
   * For many at once, which one entry tells of, if that can be recorded: whoever has to stop a hundred actions must not
   * be kept from it, and each one's own history has who asked first.
   *
   * @returns what cancels one of them, as {@link CancelAction.cancel}
   */
  async ofMany(request: FastifyRequest, ids: readonly string[]): Promise<(id: string) => Promise<Cancelled>> {
    const caller = callerOf(request);
    await this.#trail.noteIfPossible(actorOf(request), {
      chain: caller.tenantId,
      kind: 'actions.bulkCancelRequested',
      details: { ids: ids.map(printableId) },
    });
    return (id) => this.#action.cancel(caller, printableId(id));
  }
}
