import { UserError, type Caller, type KeyValuePair, type NewAction, type VendorInformation } from '#domain';
import { parseParameters, secretParameterNames } from '#provider-sdk';
import type { ProviderInstance, ProviderRegistry } from './registry.js';

/** A request to act, already of the right shape. */
export interface Submission {
  readonly name: string;
  readonly actionReason: string | null;
  readonly clientContext: string | null;
  readonly parameters: readonly KeyValuePair[];
  readonly vendorInformation: VendorInformation;
  readonly startBefore: Date | null;
}

/** A submission that was checked: the action to record but for its id, and the names not to be logged. */
export interface CheckedSubmission {
  readonly action: Omit<NewAction, 'id' | 'keyed'>;
  readonly secret: ReadonlySet<string>;
  readonly instance: ProviderInstance;
}

/**
 * @throws UserError for an unknown provider, action or parameter, naming what was wrong and what is known; for what the
 *   plugin refuses, `accessDenied` or `invalidRequest`, in its words
 */
export function checkSubmission(
  registry: ProviderRegistry,
  caller: Caller,
  submission: Submission,
): CheckedSubmission {
  if (submission.startBefore !== null && submission.startBefore.getTime() <= Date.now())
    throw new UserError('invalidRequest', '@riposte.startBefore has to be a time in the future.');
  const instance = registry.resolve(submission.vendorInformation, caller.tenantId);
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
  const refused = instance.refusalOf({ action: found.name, parameters: parsed.values });
  if (refused !== null)
    throw new UserError(
      refused.kind === 'invalid' ? 'invalidRequest' : 'accessDenied',
      `${found.name}: ${refused.message}`,
    );
  return {
    action: {
      caller,
      ...submission,
      instance: instance.id,
      actionName: found.name,
      providerVersion: provider.version,
      idempotency: instance.idempotencyOf(found.name, found.manifest),
      lane: found.manifest.lane ?? 'routine',
      mutexKey: instance.mutexKeyOf(found.manifest, parsed.values),
      deadlineMs: instance.deadlineMs(found.manifest),
    },
    secret: secretParameterNames(found.manifest),
    instance,
  };
}
