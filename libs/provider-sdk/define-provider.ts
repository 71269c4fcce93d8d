import type { Static, TObject, TProperties } from 'typebox';
import { ConfigurationError } from '#domain';
import { compileSchema } from './json-schema.js';
import { canonicalName } from './names.js';
import type {
  ActionManifests,
  ActionRequest,
  Provider,
  ProviderCalls,
  ProviderManifest,
} from './provider.js';

/**
 * Declares a provider plugin. `execute`, `poll`, … see the parameters typed by the manifest's schemas.
 *
 * @throws ConfigurationError when the manifest contradicts itself: two actions of one name, a schema that does
 * not compile, `lookup` without `reconcile`. The engine refuses to start with it.
 */
export function defineProvider<const Actions extends ActionManifests, Settings extends TProperties>(
  declaration: { readonly manifest: ProviderManifest<Actions, Settings> } & ProviderCalls<
    ActionRequest<Actions>,
    Static<TObject<Settings>>
  >,
): Provider {
  const { manifest, ...calls } = declaration;
  checkManifest(manifest, calls.reconcile !== undefined);
  return {
    manifest: manifest,
    // The engine hands over only parameters that were validated by the very schema the types come from.
    calls: calls as unknown as Provider['calls'],
  };
}

function checkManifest(manifest: ProviderManifest, canReconcile: boolean): void {
  const where = `provider ${manifest.vendor}/${manifest.provider}`;
  if (!/^\d+\.\d+\.\d+/.test(manifest.version))
    throw new ConfigurationError(`${where}: version "${manifest.version}" is not a semantic version`);
  compile(where, 'settings', manifest.settings);
  const seen = new Map<string, string>();
  for (const [name, action] of Object.entries(manifest.actions)) {
    for (const spelling of [name, ...(action.aliases ?? [])]) {
      const key = canonicalName(spelling);
      const other = seen.get(key);
      if (other !== undefined)
        throw new ConfigurationError(`${where}: "${spelling}" names both ${other} and ${name}`);
      seen.set(key, name);
    }
    compile(where, `actions.${name}.parameters`, action.parameters);
    if (action.idempotency === 'lookup' && !canReconcile) {
      throw new ConfigurationError(
        `${where}: actions.${name} declares idempotency "lookup" but the plugin has no reconcile()`,
      );
    }
    requireRange(where, `actions.${name}.deadlineMs`, action.deadlineMs, 1000, 604_800_000);
    requireRange(where, `actions.${name}.attemptTimeoutMs`, action.attemptTimeoutMs, 100, 600_000);
  }
}

function compile(where: string, key: string, schema: TObject): void {
  try {
    compileSchema(schema);
  } catch (cause) {
    throw new ConfigurationError(
      `${where}: ${key} is not a valid JSON Schema: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

function requireRange(
  where: string,
  key: string,
  value: number | undefined,
  least: number,
  most: number,
): void {
  if (value !== undefined && !(value >= least && value <= most)) {
    throw new ConfigurationError(`${where}: ${key} is ${value}; it has to be between ${least} and ${most}`);
  }
}
