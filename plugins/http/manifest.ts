import {
  ProviderError,
  Type,
  type ActionManifest,
  type Idempotency,
  type ProviderErrorClass,
  type ProviderManifest,
} from '#provider-sdk';
import type { Seen } from './answers.js';
import type { HttpAction, HttpDefinition, WebhookDefinition } from './definition.js';

/** What an action can do, besides what its definition says in so many words. */
export type Abilities = Pick<
  ActionManifest,
  'idempotency' | 'cancellable' | 'revertible' | 'supportsExpiry' | 'observable' | 'calls'
> & { readonly idempotency: Idempotency };

/** The manifest of a definition. */
export function manifestOf(
  definition: HttpDefinition | WebhookDefinition,
  settings: ProviderManifest['settings'],
  secrets: ProviderManifest['secrets'],
  abilities: Readonly<Record<string, Abilities>>,
): ProviderManifest {
  const { vendor, provider, version, title, docUrl, rateLimits } = definition;
  const actions: Record<string, ActionManifest> = {};
  for (const [name, action] of Object.entries<Described>(definition.actions)) {
    actions[name] = actionManifest(action, abilities[name] as Abilities);
  }
  return {
    vendor,
    provider,
    version,
    ...given({ title, docUrl, rateLimits }),
    settings,
    ...given({ secrets }),
    actions,
  };
}

type Described = Pick<
  HttpAction,
  | 'title'
  | 'aliases'
  | 'parameters'
  | 'required'
  | 'lane'
  | 'blastRadius'
  | 'mutexKey'
  | 'requiredPermissions'
  | 'docUrl'
  | 'deadlineMs'
  | 'attemptTimeoutMs'
>;

function actionManifest(action: Described, abilities: Abilities): ActionManifest {
  const { title, aliases, lane, blastRadius, mutexKey, requiredPermissions, docUrl } = action;
  const { deadlineMs, attemptTimeoutMs } = action;
  return {
    title,
    parameters: objectSchema(action.parameters, action.required),
    ...abilities,
    ...given({
      aliases,
      lane,
      blastRadius,
      mutexKey,
      requiredPermissions,
      docUrl,
      deadlineMs,
      attemptTimeoutMs,
    }),
  };
}

/** An object schema of properties that are JSON Schema as it was written in YAML. */
export function objectSchema(
  properties: Readonly<Record<string, unknown>>,
  required: readonly string[],
): ProviderManifest['settings'] {
  return Type.Unsafe({
    type: 'object',
    properties,
    required,
    additionalProperties: false,
  }) as unknown as ProviderManifest['settings'];
}

/** The failure that an answer is. */
export function errorOf(
  failure: { readonly errorClass: ProviderErrorClass; readonly message?: string },
  { status }: Seen,
): ProviderError {
  return new ProviderError(
    failure.errorClass,
    failure.message ?? `The vendor refused it with HTTP ${status}, by the definition's errors.`,
    { httpStatus: status },
  );
}

function given<T extends object>(values: T): { [Key in keyof T]: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
