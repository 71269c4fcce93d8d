import { ConfigurationError, type Provider } from '#provider-sdk';
import { parseDefinition } from './definition.js';
import { httpProvider } from './http-provider.js';
import { webhookProvider } from './webhook-provider.js';

/**
 * The provider that a definition in YAML describes. docs/plugins/declarative.md has the format.
 *
 * @param file named in messages
 * @throws ConfigurationError naming file, line, key and rule
 */
export function declaredProvider(definitionText: string, file: string): Provider {
  const definition = parseDefinition(definitionText, file);
  try {
    return definition.kind === 'webhook' ? webhookProvider(definition) : httpProvider(definition);
  } catch (cause) {
    // A schema of the definition's that does not compile, two actions of one name.
    throw new ConfigurationError(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}
