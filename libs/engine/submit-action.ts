import { v7 as uuidv7 } from 'uuid';
import {
  UserError,
  type ActionQueue,
  type ActionStore,
  type Admission,
  type Caller,
  type KeyValuePair,
  type SecurityAction,
  type VendorInformation,
} from '#domain';
import { canonicalName, parseParameters, secretParameterNames } from '#provider-sdk';
import { REDACTED, type Logger } from '#telemetry';
import type { ProviderRegistry } from './registry.js';

/** A request to act, already of the right shape. */
export interface Submission {
  readonly name: string;
  readonly actionReason: string | null;
  readonly clientContext: string | null;
  readonly parameters: readonly KeyValuePair[];
  readonly vendorInformation: VendorInformation;
  readonly startBefore: Date | null;
}

/** First step of the story: check, record with a majority write, hint. */
export class SubmitAction {
  readonly #store: ActionStore;
  readonly #queue: ActionQueue;
  readonly #registry: ProviderRegistry;
  readonly #admission: Admission;
  readonly #log: Logger;

  constructor(parts: {
    readonly store: ActionStore;
    readonly queue: ActionQueue;
    readonly registry: ProviderRegistry;
    readonly admission: Admission;
    readonly log: Logger;
  }) {
    this.#store = parts.store;
    this.#queue = parts.queue;
    this.#registry = parts.registry;
    this.#admission = parts.admission;
    this.#log = parts.log;
  }

  /**
   * Records the action; from then on it will end, whatever fails. The hint that follows is best effort and
   * not part of the acknowledgement.
   *
   * @throws UserError for an unknown provider, action or parameter, naming what was wrong and what is known
   * @throws OperationalError `tooManyRequests` when too many wait for the instance; nothing was written
   * @throws OutcomeUnknownError, OperationalError as `ActionStore.create`
   */
  async submit(caller: Caller, submission: Submission): Promise<SecurityAction> {
    const instance = this.#registry.resolve(submission.vendorInformation, caller.tenantId);
    const found = instance.findAction(submission.name);
    const { manifest: provider } = instance.provider;
    if (found === null) {
      throw new UserError(
        'invalidRequest',
        `name: ${provider.vendor}/${provider.provider} has no action "${submission.name}"; known: ${Object.keys(provider.actions).join(', ')}.`,
      );
    }
    const parsed = parseParameters(found.manifest, submission.parameters);
    if (!parsed.ok) throw new UserError('invalidRequest', `${found.name}: ${parsed.problems.join('; ')}.`);
    await this.#admission.admit(instance.id);
    const action = await this.#store.create({
      id: uuidv7(),
      caller,
      ...submission,
      instance: instance.id,
      actionName: found.name,
      providerVersion: provider.version,
      idempotency: instance.idempotencyOf(found.name, found.manifest),
      deadlineMs: instance.deadlineMs(found.manifest),
    });
    const secret = secretParameterNames(found.manifest);
    this.#log.info(
      {
        actionId: action.id,
        tenant: caller.tenantId,
        appId: caller.appId,
        action: found.name,
        instance: instance.id,
        parameters: submission.parameters.map(({ name, value }) => ({
          name,
          value: secret.has(canonicalName(name)) ? REDACTED : value,
        })),
      },
      'action submitted',
    );
    void this.#queue.hint({ actionId: action.id, instance: instance.id, actionName: found.name, epoch: 0 });
    return action;
  }
}
