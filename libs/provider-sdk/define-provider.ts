import type { Static, TObject, TProperties } from 'typebox';
import { checkManifest } from './check-manifest.js';
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
 * @throws ConfigurationError when the manifest is malformed, contradicts itself or claims what the plugin lacks: two
 * actions of one name, a schema that does not compile, `lookup` without `reconcile`. The engine refuses to start
 * with it.
 */
export function defineProvider<const Actions extends ActionManifests, Settings extends TProperties>(
  declaration: { readonly manifest: ProviderManifest<Actions, Settings> } & ProviderCalls<
    ActionRequest<Actions>,
    Static<TObject<Settings>>
  >,
): Provider {
  const { manifest, ...calls } = declaration;
  const names = Object.entries(calls).flatMap(([name, call]) => (typeof call === 'function' ? [name] : []));
  checkManifest(manifest, new Set(names));
  return {
    manifest: manifest,
    // The engine hands over only parameters that were validated by the very schema the types come from.
    calls: calls as unknown as Provider['calls'],
  };
}
