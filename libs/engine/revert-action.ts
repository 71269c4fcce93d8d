import { v7 as uuidv7 } from 'uuid';
import {
  UserError,
  asCreated,
  isUnresolved,
  tookEffect,
  type ActionQueue,
  type ActionStore,
  type Admission,
  type Caller,
  type DueLift,
  type NewAction,
  type SecurityAction,
} from '#domain';
import { secretParameterNames, type ActionManifest } from '#provider-sdk';
import { NO_METRICS, activeTraceparent, withSpan, type Logger, type Metrics } from '#telemetry';
import type { ProviderInstance, ProviderRegistry } from './registry.js';
import { withoutSecretValues } from './secret-parameters.js';

/** What a request to undo an action came to. */
export interface Reverted {
  /** The action that undoes it: as it was created, or as it stands where it was asked for before. */
  readonly action: SecurityAction;
  /** True when it was asked for before, by anyone, and did not fail. */
  readonly repeated: boolean;
}

/** Whether an action can be undone now, and why, or why not, in words. */
export interface Reversal {
  readonly possible: boolean;
  readonly message: string;
}

/** Undoes an action that took effect by another one, which goes through the engine like any. */
export class RevertAction {
  readonly #store: ActionStore;
  readonly #queue: ActionQueue;
  readonly #registry: ProviderRegistry;
  readonly #admission: Admission;
  readonly #log: Logger;
  readonly #metrics: Metrics;

  constructor(parts: {
    readonly store: ActionStore;
    readonly queue: ActionQueue;
    readonly registry: ProviderRegistry;
    readonly admission: Admission;
    readonly log: Logger;
    /** Default: nothing is counted. */
    readonly metrics?: Metrics;
  }) {
    this.#metrics = parts.metrics ?? NO_METRICS;
    this.#store = parts.store;
    this.#queue = parts.queue;
    this.#registry = parts.registry;
    this.#admission = parts.admission;
    this.#log = parts.log;
  }

  /**
   * Records the action that undoes this one, in the lane `release`. An action has one revert: asking again is answered
   * with it, also where the first request died between its two writes; only after one that failed another is made.
   *
   * @throws UserError `itemNotFound`, or `notAllowed` when the action cannot be undone, saying why
   * @throws OperationalError `tooManyRequests` when too many wait for the instance; nothing was written
   * @throws OutcomeUnknownError, OperationalError as `ActionStore`
   */
  revert(caller: Caller, id: string): Promise<Reverted> {
    return this.#revert(caller, id, false);
  }

  /**
   * As `revert`, because the effect's time is over: for the application that asked for the effect, however many wait for
   * the instance.
   *
   * @throws UserError, OutcomeUnknownError, OperationalError as `revert`
   */
  lift({ tenantId, appId, id }: Pick<DueLift, 'tenantId' | 'appId' | 'id'>): Promise<Reverted> {
    return this.#revert({ tenantId, appId, user: null }, id, true);
  }

  /**
   * What `revert` would come to now.
   * @throws OperationalError when the database cannot be reached in time
   */
  async reversal(action: SecurityAction): Promise<Reversal> {
    const checked = this.#undoing(action);
    if ('refusal' in checked) return { possible: false, message: sentence(checked.refusal) };
    const { revertedBy } = action;
    const earlier = revertedBy === null ? null : await this.#store.find(action.tenantId, revertedBy);
    if (earlier !== null && earlier.status !== 'Failed') {
      const how = earlier.status === 'Completed' ? 'was undone' : 'is being undone';
      return { possible: false, message: `It ${how} by action ${earlier.id}.` };
    }
    const again = earlier === null ? '' : ` Action ${earlier.id}, which was to undo it, failed.`;
    return { possible: true, message: `Another action takes back what it changed.${again}` };
  }

  async #revert(caller: Caller, id: string, isLift: boolean): Promise<Reverted> {
    const original = await this.#store.find(caller.tenantId, id);
    if (original === null) throw new UserError('itemNotFound', 'No such action exists.');
    const reason = `Undoes action ${id}${isLift ? ": the effect's time is over" : ''}.`;
    const wanted = this.#check(caller, original, reason);
    const before = original.revertedBy;
    const earlier = before === null ? null : await this.#store.find(caller.tenantId, before);
    if (earlier !== null && earlier.status !== 'Failed') return { action: earlier, repeated: true };
    // Before anything is written: a refused one leaves no trace.
    if (!isLift) await this.#admission.admit(original.instance, caller.tenantId);
    // Reserved and not on record: whoever reserved it died, or is about to make it. Under one id it is one action; it is
    // reserved once more so that the original stays on record until it is made.
    const isBegun = before !== null && earlier === null;
    const ours = isBegun ? before : uuidv7();
    const stands =
      (await this.#store.reserveRevert(caller.tenantId, id, ours, before, isLift && !isBegun))?.revertedBy ??
      null;
    if (stands === null) throw new UserError('itemNotFound', 'No such action exists.');
    if (stands === ours && !isBegun)
      return { action: asCreated(await this.#record(ours, wanted, original)), repeated: false };
    const theirs = await this.#store.find(caller.tenantId, stands);
    return { action: theirs ?? (await this.#record(stands, wanted, original)), repeated: true };
  }

  #check(caller: Caller, original: SecurityAction, actionReason: string): Omit<NewAction, 'id'> {
    const { id, name, actionName } = original;
    const checked = this.#undoing(original);
    if ('refusal' in checked)
      throw new UserError('notAllowed', `Action ${id} cannot be reverted: ${checked.refusal}`);
    const { instance, manifest } = checked;
    return {
      caller,
      name: `Revert ${name}`,
      actionReason,
      clientContext: original.clientContext,
      // Secret ones stay with the original, from where a worker takes them.
      parameters: withoutSecretValues(secretParameterNames(manifest), original.parameters),
      vendorInformation: original.vendorInformation,
      instance: instance.id,
      actionName,
      providerVersion: instance.provider.manifest.version,
      // To undo it twice is to succeed and change nothing, whatever its doing is: see `ProviderCalls.revert`.
      idempotency: 'natural',
      lane: 'release',
      mutexKey: original.mutexKey,
      reverts: id,
      deadlineMs: instance.deadlineMs(manifest),
      startBefore: null,
      // Retention leaves it as long as its original; a worker of before does so for a day, as if a key led to it.
      keyed: true,
    };
  }

  /** Who would undo it, or why nobody can. */
  #undoing(
    original: SecurityAction,
  ):
    | { readonly instance: ProviderInstance; readonly manifest: ActionManifest }
    | { readonly refusal: string } {
    const { tenantId, status, reverts, actionName } = original;
    if (reverts !== null)
      return {
        refusal: `it is itself the revert of ${reverts}. Ask for ${actionName} anew if it is wanted again.`,
      };
    if (!tookEffect(original))
      return {
        refusal: isUnresolved(original)
          ? `nobody can say whether it was applied. Check the target and resolve it; what was applied can be reverted then.`
          : `it is ${status}; only what is Completed can be.`,
      };
    const instance = this.#registry.byId(original.instance);
    const manifest = instance?.findAction(actionName)?.manifest;
    if (instance === null || manifest === undefined || !instance.serves(tenantId)) {
      return {
        refusal: `provider instance "${original.instance}" with action ${actionName} is not configured any more. Undo it at the vendor.`,
      };
    }
    if (manifest.revertible !== true)
      return {
        refusal: `${actionName} of ${original.vendorInformation.provider} cannot be undone by the provider.`,
      };
    return { instance, manifest };
  }

  #record(
    id: string,
    wanted: Omit<NewAction, 'id'>,
    { traceparent: ofOriginal }: SecurityAction,
  ): Promise<SecurityAction> {
    const facts = {
      attributes: {
        'riposte.action.id': id,
        'riposte.action.name': wanted.actionName,
        'riposte.instance': wanted.instance,
        'riposte.tenant': wanted.caller.tenantId,
      },
      links: ofOriginal === null ? [] : [ofOriginal],
      // The engine lifts an effect on nobody's request; what was traced is so to its end.
      begins: ofOriginal !== null,
    };
    return withSpan('submit', facts, async () => {
      const action = await this.#store.create({ id, ...wanted, traceparent: activeTraceparent() });
      const { tenantId, instance, actionName, lane, epoch, reverts } = action;
      this.#metrics.actionsCreated.add(1, instance, actionName, tenantId);
      this.#log.info(
        { actionId: id, tenant: tenantId, appId: wanted.caller.appId, action: actionName, instance, reverts },
        'revert submitted',
      );
      void this.#queue.hint({ actionId: id, tenantId, instance, lane, actionName, epoch });
      return action;
    });
  }
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
