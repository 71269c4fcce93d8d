import {
  ERROR_INFO_CODES,
  isFinal,
  isUnresolved,
  type HintPlace,
  type QueuePlaces,
  type SecurityAction,
} from '#domain';
import type { ProviderRegistry, Reversal, RevertAction } from '#engine';
import { cancelWords, words, type LiveWaiting, type WaitingNow } from './waiting.js';

/** What a cancel of an action would do now. */
export const CANCEL_MEANS = ['stopsBeforeIssue', 'asksVendor', 'recordsWish', 'nothing'] as const;

/** What a cancel would mean now, in words. */
export interface Cancellation {
  /** False: it would change nothing. */
  readonly possible: boolean;
  readonly means: (typeof CANCEL_MEANS)[number];
  readonly message: string;
}

/** What is told of one action beyond its record. */
export interface Outlook {
  readonly waiting: WaitingNow;
  readonly job: HintPlace | null;
  readonly cancellation: Cancellation;
  readonly reversal: Reversal;
  /** What to do about its failure; null: there is none, or nothing to do. */
  readonly advice: string | null;
}

/** What one action waits for, what can be done with it, and what should be. */
export class Outlooks {
  readonly #registry: ProviderRegistry;
  readonly #revert: RevertAction;
  readonly #waiting: LiveWaiting;
  readonly #places: QueuePlaces;

  constructor(parts: {
    readonly registry: ProviderRegistry;
    readonly revert: RevertAction;
    readonly waiting: LiveWaiting;
    readonly places: QueuePlaces;
  }) {
    this.#registry = parts.registry;
    this.#revert = parts.revert;
    this.#waiting = parts.waiting;
    this.#places = parts.places;
  }

  /**
   * @param operates whether the reader operates the installation
   * @throws OperationalError when the database cannot be reached in time
   */
  async of(action: SecurityAction, operates: boolean): Promise<Outlook> {
    const [waiting, job, reversal] = await Promise.all([
      this.#waiting.of(action, operates),
      isFinal(action.status) ? null : this.#places.hintOf(action),
      this.#revert.reversal(action),
    ]);
    return {
      waiting,
      job,
      cancellation: this.#cancellation(action),
      reversal,
      advice: this.#advice(action),
    };
  }

  #manifestOf({ instance, actionName }: SecurityAction) {
    return this.#registry.byId(instance)?.findAction(actionName)?.manifest;
  }

  #cancellation(action: SecurityAction): Cancellation {
    const { status, phase, intent, cancel, reverts } = action;
    const nothing = (message: string): Cancellation => ({ possible: false, means: 'nothing', message });
    if (isFinal(status)) {
      const wasCancelled = phase === 'cancelled' || phase === 'cancelledAtProvider';
      return nothing(wasCancelled ? 'It was cancelled.' : `It has ended as ${status}.`);
    }
    if (intent === null)
      return {
        possible: cancel === null,
        means: 'stopsBeforeIssue',
        message: 'It has not been sent to the provider: it ends at once, and nothing is done.',
      };
    if (cancel !== null) return nothing(`Cancel requested at ${words(cancel.at)}. ${cancelWords(action)}`);
    // What undoes can be stopped before it is issued only.
    if (reverts === null && this.#manifestOf(action)?.cancellable === true)
      return {
        possible: true,
        means: 'asksVendor',
        message:
          'It was sent: the provider is asked to cancel it. It ends as cancelled if the provider confirms that, otherwise with what really happened.',
      };
    return {
      possible: true,
      means: 'recordsWish',
      message:
        'It was sent, and the provider cannot cancel it: the request is recorded, and it ends with what really happened.',
    };
  }

  #advice(action: SecurityAction): string | null {
    const { errorInfo, phase, resolution, instance, name } = action;
    if (errorInfo === null) return null;
    if (isUnresolved(action))
      return `Check the target at the provider: is the effect of ${name} in place? Then record what you found: applied, or not applied.`;
    if (resolution !== null)
      return resolution.verdict === 'applied'
        ? 'It was found to be applied. Undo it if it is not wanted; otherwise there is nothing to do.'
        : 'It was found not to be applied. Create it again if it is still wanted.';
    const manifest = this.#manifestOf(action);
    const docs = manifest?.docUrl === undefined ? '' : ` Vendor documentation: ${manifest.docUrl}`;
    const permissions = manifest?.requiredPermissions ?? [];
    switch (errorInfo.code) {
      case ERROR_INFO_CODES.parametersRefused:
        return `Correct the parameters as the message says, and create it again.${docs}`;
      case ERROR_INFO_CODES.credentialsRefused:
        return `Renew the credentials of provider instance "${instance}" and create it again.${docs}`;
      case ERROR_INFO_CODES.permissionMissing: {
        const needs = permissions.length === 0 ? '' : ` It needs ${permissions.join(', ')}.`;
        return `Grant the permission that the message names, or stay within the safeguards, and create it again.${needs}${docs}`;
      }
      case ERROR_INFO_CODES.targetUnknown:
        return `Check how the target is written, and that the provider knows it; then create it again.${docs}`;
      case ERROR_INFO_CODES.timedOut:
        return `Find out what it was waiting for: see the health, quota and backlog of provider instance "${instance}". Create it again if it is still wanted.`;
      case ERROR_INFO_CODES.conflict:
        return `Check the provider for what conflicts with it, or name the target unambiguously; then create it again.${docs}`;
      case ERROR_INFO_CODES.expired:
        return 'Nothing was done. If it is still wanted, create it again with a later time.';
      case ERROR_INFO_CODES.vendorRateLimited:
        return `The provider's own limit lasted until the deadline. Create it again later, spread over more time, or have the limit raised.${docs}`;
      case ERROR_INFO_CODES.cancelled:
        return phase === 'cancelledAtProvider'
          ? 'The provider says it was cancelled. Check the target if it may have been partly done, and create it again if it is still wanted.'
          : 'Nothing was done. Create it again if it is still wanted.';
      case ERROR_INFO_CODES.defect:
        return `This is a defect: search the worker logs for the action's id, and report it to the maker of the plugin of provider instance "${instance}". Create it again if it is still wanted.`;
      case ERROR_INFO_CODES.vendorError:
        return `The provider itself failed: check its status page, and create it again once it has recovered.${docs}`;
      case ERROR_INFO_CODES.vendorUnreachable:
        return `Check that the workers can reach the provider (address, network, proxy, certificate); then create it again.`;
      case ERROR_INFO_CODES.vendorFull:
        return `Make room at the provider by removing what is no longer needed or raising the limit; then create it again.${docs}`;
      default:
        return `Find out what the provider means by it, and create it again if it is still wanted.${docs}`;
    }
  }
}
