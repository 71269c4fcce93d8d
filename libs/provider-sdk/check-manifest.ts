import { BLAST_CLASSES, ConfigurationError } from '#domain';
import { compileSchema, describeSchemaError, schemaProblems } from './json-schema.js';
import { canonicalName } from './names.js';
import { secretParameterNames } from './parameters.js';
import type { ActionManifest, ProviderManifest } from './provider.js';

const text = { type: 'string', minLength: 1, maxLength: 500 };
const texts = { type: 'array', items: text };
const schemaOfObject = {
  type: 'object',
  properties: { type: { const: 'object' }, properties: { type: 'object' } },
  required: ['type', 'properties'],
};

/** JSON Schema of a manifest: its form. What it means is checked by code below. */
const MANIFEST_SCHEMA = {
  type: 'object',
  properties: {
    vendor: text,
    provider: text,
    providerAliases: texts,
    version: text,
    title: text,
    docUrl: text,
    rateLimits: {
      type: 'array',
      maxItems: 20,
      items: {
        type: 'object',
        properties: {
          calls: { type: 'integer', minimum: 1 },
          perSeconds: { type: 'integer', minimum: 1, maximum: 86_400 },
          actions: { type: 'array', items: text, minItems: 1 },
        },
        required: ['calls', 'perSeconds'],
        additionalProperties: false,
      },
    },
    concurrency: { type: 'integer', minimum: 1, maximum: 1000 },
    settings: schemaOfObject,
    secrets: {
      type: 'object',
      properties: { required: texts, optional: texts },
      additionalProperties: false,
    },
    actions: {
      type: 'object',
      minProperties: 1,
      additionalProperties: {
        type: 'object',
        properties: {
          title: text,
          aliases: texts,
          parameters: schemaOfObject,
          idempotency: { type: 'string', enum: ['key', 'natural', 'lookup', 'none'] },
          cancellable: { type: 'boolean' },
          revertible: { type: 'boolean' },
          supportsExpiry: { type: 'boolean' },
          observable: { type: 'boolean' },
          lane: { type: 'string', enum: ['release', 'containment', 'routine'] },
          blastRadius: { type: 'string', enum: [...BLAST_CLASSES] },
          calls: { type: 'integer', minimum: 1, maximum: 1000 },
          mutexKey: texts,
          result: { type: 'object' },
          requiredPermissions: texts,
          deprecated: {
            type: 'object',
            properties: { since: text, replacement: text },
            required: ['since'],
            additionalProperties: false,
          },
          docUrl: text,
          deadlineMs: { type: 'integer', minimum: 1000, maximum: 604_800_000 },
          attemptTimeoutMs: { type: 'integer', minimum: 100, maximum: 600_000 },
        },
        required: ['title', 'parameters', 'idempotency', 'cancellable'],
        additionalProperties: false,
      },
    },
  },
  required: ['vendor', 'provider', 'version', 'settings', 'actions'],
  additionalProperties: false,
};

/**
 * Refuses a manifest that is malformed, contradicts itself, or claims what the plugin lacks.
 *
 * @param calls names of the calls that the plugin has
 * @throws ConfigurationError naming the plugin and the key
 */
export function checkManifest(manifest: ProviderManifest, calls: ReadonlySet<string>): void {
  const named: Partial<Record<'vendor' | 'provider', unknown>> | null = manifest;
  const where = `provider ${String(named?.vendor)}/${String(named?.provider)}`;
  const refuse = (problem: string): never => {
    throw new ConfigurationError(`${where}: ${problem}`);
  };
  const validate = compileSchema(MANIFEST_SCHEMA);
  if (!validate(manifest))
    refuse(
      schemaProblems(validate)
        .map((error) => describeSchemaError(error))
        .join('; '),
    );
  if (!/^\d+\.\d+\.\d+/.test(manifest.version))
    refuse(`version "${manifest.version}" is not a semantic version, such as 1.0.0`);
  for (const call of ['execute', 'cancel']) if (!calls.has(call)) refuse(`the plugin has no ${call}()`);
  compile(where, 'settings', manifest.settings);
  const seen = new Map<string, string>();
  for (const [name, action] of Object.entries(manifest.actions)) {
    for (const spelling of [name, ...(action.aliases ?? [])]) {
      const key = canonicalName(spelling);
      const other = seen.get(key);
      if (other !== undefined) refuse(`"${spelling}" names both ${other} and ${name}`);
      seen.set(key, name);
    }
    checkAction(where, name, action, calls);
  }
  for (const [index, { actions = [] }] of (manifest.rateLimits ?? []).entries())
    for (const name of actions)
      if (!Object.hasOwn(manifest.actions, name))
        refuse(
          `rateLimits[${index}].actions names "${name}", which is no action; there are ${Object.keys(manifest.actions).join(', ')}`,
        );
}

function checkAction(where: string, name: string, action: ActionManifest, calls: ReadonlySet<string>): void {
  compile(where, `actions.${name}.parameters`, action.parameters);
  if (action.result !== undefined) compile(where, `actions.${name}.result`, action.result);
  const claims = [
    [action.idempotency === 'lookup', 'declares idempotency "lookup"', 'reconcile'],
    [action.revertible === true, 'is declared revertible', 'revert'],
    [action.observable === true, 'is declared observable', 'observe'],
  ] as const;
  for (const [claimed, what, call] of claims) {
    if (claimed && !calls.has(call))
      throw new ConfigurationError(`${where}: actions.${name} ${what} but the plugin has no ${call}()`);
  }
  // Who may not ask for an end of the effect cannot be told that the vendor keeps to it.
  if (action.supportsExpiry === true && action.revertible !== true)
    throw new ConfigurationError(`${where}: actions.${name} declares supportsExpiry but is not revertible`);
  for (const parameter of action.mutexKey ?? []) {
    if (!Object.hasOwn(action.parameters.properties, parameter))
      throw new ConfigurationError(
        `${where}: actions.${name}.mutexKey names "${parameter}", which is no parameter of it; there are ${Object.keys(action.parameters.properties).join(', ') || 'none'}`,
      );
    // A target is stored and shown.
    if (secretParameterNames(action).has(canonicalName(parameter)))
      throw new ConfigurationError(
        `${where}: actions.${name}.mutexKey names "${parameter}", which is secret (writeOnly); name what others may see`,
      );
  }
}

function compile(where: string, key: string, schema: object): void {
  try {
    compileSchema(schema);
  } catch (cause) {
    throw new ConfigurationError(
      `${where}: ${key} is not a valid JSON Schema: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}
