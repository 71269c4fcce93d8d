import {
  UserError,
  type BlastClass,
  type Caller,
  type KeyValuePair,
  type NewAction,
  type VendorInformation,
} from '#domain';
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
  readonly effectUntil: Date | null;
}

/**
 * A submission that was checked: the action to record but for its id, its parameters as they were sent, and the names of
 * those not to be stored or logged as they are.
 */
export interface CheckedSubmission {
  readonly action: Omit<NewAction, 'id' | 'keyed'>;
  readonly secret: ReadonlySet<string>;
  /** The class of actions it counts as, where only so many may be asked for; null: none. */
  readonly blastClass: BlastClass | null;
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
  checkTimes(submission);
  const instance = registry.resolve(submission.vendorInformation, caller.tenantId);
  const found = instance.findAction(submission.name);
  const { manifest: provider } = instance.provider;
  if (found === null) {
    throw new UserError(
      'invalidRequest',
      `name: ${provider.vendor}/${provider.provider} has no action "${submission.name}"; known: ${Object.keys(provider.actions).join(', ')}.`,
    );
  }
  if (submission.effectUntil !== null && found.manifest.revertible !== true) {
    throw new UserError(
      'invalidRequest',
      `@riposte.effectUntil: ${found.name} of ${provider.vendor}/${provider.provider} cannot be undone, so its effect stays. Leave @riposte.effectUntil out.`,
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
      // What has not begun when its effect was to end is not begun at all.
      startBefore: submission.startBefore ?? submission.effectUntil,
      instance: instance.id,
      actionName: found.name,
      providerVersion: provider.version,
      idempotency: instance.idempotencyOf(found.name, found.manifest),
      lane: found.manifest.lane ?? 'routine',
      mutexKey: instance.mutexKeyOf(found.manifest, parsed.values),
      deadlineMs: instance.deadlineMs(found.manifest),
    },
    secret: secretParameterNames(found.manifest),
    blastClass: found.manifest.blastRadius ?? null,
    instance,
  };
}

function checkTimes({ startBefore, effectUntil }: Submission): void {
  const now = Date.now();
  for (const [name, time] of Object.entries({ startBefore, effectUntil }))
    if (time !== null && time.getTime() <= now)
      throw new UserError('invalidRequest', `@riposte.${name} has to be a time in the future.`);
  if (startBefore !== null && effectUntil !== null && effectUntil <= startBefore)
    throw new UserError('invalidRequest', '@riposte.effectUntil has to be later than @riposte.startBefore.');
}
