import { ConsoleIssuer, issuersOf } from '#auth';
import { consoleIssuersOf, usesBuiltinIssuer } from '#config';
import { ConfigurationError } from '#domain';
import { reasonOf, type Findings } from './finding.js';
import type { Installation } from './installation.js';

const REACH =
  'Check its address in the configuration, that this machine may reach it, and whom Node.js trusts (NODE_EXTRA_CA_CERTS).';

/** Who issues access tokens and vouches for people: that their keys can be had, and fit. */
export async function checkIssuers(installation: Installation, findings: Findings): Promise<void> {
  const config = await installation.config().catch(() => null);
  if (config === null) {
    findings.unknown('issuers.keys', 'not looked at: the configuration is not valid');
    return;
  }
  const log = { info: () => undefined, warn: () => undefined };
  try {
    const outside = issuersOf(config.auth?.issuers ?? [], { log });
    const signIn = (await consoleIssuersOf(config, installation.env)).map((settings, index) => {
      if (settings.clientSecret !== null) installation.secrets.add(settings.clientSecret);
      return new ConsoleIssuer(settings, `console.issuers.${index}`);
    });
    await Promise.all([
      ...(usesBuiltinIssuer(config) ? [tellBuiltin(installation, findings)] : []),
      ...outside.map(async (issuer) => {
        try {
          const count = await issuer.check();
          findings.ok('issuers.keys', `${count} keys fit`, issuer.name);
        } catch (error) {
          findings.problem('issuers.keys', reasonOf(error), REACH, issuer.name);
        }
      }),
      ...signIn.map(async (issuer) => {
        try {
          await issuer.check();
          findings.ok('issuers.sign-in', 'its discovery document can be read', issuer.id);
        } catch (error) {
          findings.problem('issuers.sign-in', reasonOf(error), REACH, issuer.id);
        }
      }),
    ]);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    findings.problem('issuers.keys', error.message, 'Change what it names: the API does not start with it.');
  }
}

async function tellBuiltin(installation: Installation, findings: Findings): Promise<void> {
  const keys = await installation
    .database()
    .then(({ issuerKeys }) => issuerKeys.list())
    .catch(() => null);
  if (keys === null) {
    findings.unknown('issuers.builtin', 'not looked at: MongoDB cannot be asked');
    return;
  }
  const signing = keys.filter(({ retiredAt, revokedAt }) => retiredAt === null && revokedAt === null);
  if (signing.length === 0)
    findings.warning(
      'issuers.builtin',
      'the built-in issuer is on, and no API process has published a key to sign with',
      'Start the API; it makes one in its data dir, and publishes it.',
    );
  else findings.ok('issuers.builtin', `the built-in issuer is on, with ${signing.length} keys that sign`);
}
