import { ConfigurationError } from '#domain';

/**
 * Passes where the built-in issuer is on, as it is for `npm start` without a configuration file.
 * @throws ConfigurationError where the configuration names other issuers and does not keep it
 */
export async function requireBuiltinIssuer(): Promise<void> {
  const { loadConfig, usesBuiltinIssuer } = await import('#config');
  const config = await loadConfig({ ...process.env, RIPOSTE_EMBEDDED: '1' }, process.cwd());
  if (usesBuiltinIssuer(config)) return;
  throw new ConfigurationError(
    'The built-in issuer is off: the configuration names other issuers (auth.issuers), which issue the tokens. To use both, set auth.builtin to true.',
  );
}
