import {
  UserError,
  type ActionStore,
  type Caller,
  type Finding,
  type Resolution,
  type SecurityAction,
} from '#domain';
import type { Logger } from '#telemetry';

/** Puts on record what somebody found at the target of an action whose outcome is unknown. */
export class ResolveOutcome {
  readonly #store: ActionStore;
  readonly #log: Logger;

  constructor(parts: { readonly store: ActionStore; readonly log: Logger }) {
    this.#store = parts.store;
    this.#log = parts.log;
  }

  /**
   * The action with its resolution; all else of it is as it was. The first finding stands: the same one again, by
   * anyone, is answered with what is on record.
   *
   * @throws UserError `itemNotFound`, or `notAllowed` when its outcome is not unknown or something else was found
   *   before
   */
  async resolve(caller: Caller, id: string, finding: Finding): Promise<SecurityAction> {
    const answer = await this.#store.resolve(caller, id, finding);
    switch (answer.kind) {
      case 'notFound':
        throw new UserError('itemNotFound', 'No such action exists.');
      case 'notUnresolved':
        throw new UserError(
          'notAllowed',
          `There is nothing to resolve: the outcome of action ${id} is not unknown. It is ${answer.action.status}, phase ${answer.action.phase}.`,
        );
      case 'resolvedOtherwise':
        throw new UserError('notAllowed', `Action ${id} ${described(answer.resolution)}. That stands.`);
      case 'resolved': {
        const { action, resolution } = answer;
        this.#log.info(
          {
            actionId: action.id,
            tenant: caller.tenantId,
            instance: action.instance,
            action: action.actionName,
            appId: resolution.by.appId,
            verdict: resolution.verdict,
          },
          'outcome resolved',
        );
        return action;
      }
    }
  }
}

function described({ by, at, verdict, note }: Resolution): string {
  const who = by.user === null ? `application ${by.appId}` : `${by.user} (application ${by.appId})`;
  return `was resolved as ${verdict} by ${who} at ${at.toISOString()}, with the note "${note}"`;
}
