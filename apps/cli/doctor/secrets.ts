import { ConfigurationError, UnsealError } from '#domain';
import { EnvelopeSeal, readKeyRing, type KeyRing } from '#secrets';
import { reasonOf, type Findings } from './finding.js';
import type { Installation } from './installation.js';

/** The keys of stored secrets: there, and those that the database's shared keys are sealed with. */
export async function checkSecrets(installation: Installation, findings: Findings): Promise<void> {
  let ring: KeyRing;
  try {
    ring = await readKeyRing({ ...installation.env, RIPOSTE_DATA_DIR: installation.dataDir });
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    findings.problem(
      'secrets.keys',
      error.message,
      'Give it the keys that the API and the workers have (RIPOSTE_SECRETS_KEY_FILE).',
    );
    return;
  }
  findings.ok('secrets.keys', `key ${ring.current.id} seals, ${ring.others.length} more open`);
  const seal = new EnvelopeSeal(ring);
  const sealed = await installation
    .database()
    .then(({ secretRecords }) => secretRecords.sharedKeys())
    .catch(() => null);
  if (sealed === null) {
    findings.unknown('secrets.match', 'not looked at: MongoDB cannot be asked');
    return;
  }
  for (const { place, sealed: text } of sealed) {
    if (text === null) continue;
    try {
      await seal.open(text, place);
    } catch (error) {
      findings.problem(
        'secrets.match',
        error instanceof UnsealError && error.missingKey !== null
          ? `the database's secrets are sealed with the key ${error.missingKey}, which is not among those here`
          : `the database's shared key "${place.id}" cannot be opened: ${reasonOf(error)}`,
        'Restore the key file from its copy; API and workers need the same.',
      );
      return;
    }
  }
  findings.ok('secrets.match', `${sealed.length} shared keys of the database can be opened`);
}
