import { withoutSecrets } from '#telemetry';
import { checkConfiguration } from './configuration.js';
import { checkFiles } from './files.js';
import type { Finding } from './finding.js';
import { Installation } from './installation.js';
import { checkIssuers } from './issuers.js';
import { checkMachine } from './machine.js';
import { checkMongodb } from './mongodb.js';
import { checkProviders } from './providers.js';
import { checkRedis } from './redis.js';
import { runChecks } from './run-checks.js';
import { checkSecrets } from './secrets.js';
import { checkWorkers } from './workers.js';

const WITHIN_MS = 15_000;
/** Plugins are loaded, then their vendors have 10 s. */
const PROVIDERS_WITHIN_MS = 30_000;

/**
 * Looks at all that the installation needs, within half a minute.
 *
 * @param env of a process of the product
 * @param workingDir that the configuration is looked for in
 */
export async function examine(
  env: Readonly<Record<string, string | undefined>>,
  workingDir: string,
): Promise<readonly Finding[]> {
  const installation = new Installation(env, workingDir);
  const check = (name: string, run: typeof checkFiles, withinMs = WITHIN_MS) => ({
    name,
    withinMs,
    run: (findings: Parameters<typeof checkFiles>[1]) => run(installation, findings),
  });
  const findings = await runChecks([
    check('machine', checkMachine),
    check('configuration', checkConfiguration),
    check('files', checkFiles),
    check('mongodb', checkMongodb),
    check('stored secrets', checkSecrets),
    check('redis', checkRedis),
    check('issuers', checkIssuers),
    check('providers', checkProviders, PROVIDERS_WITHIN_MS),
    check('workers', checkWorkers),
  ]);
  const secrets = [...installation.secrets];
  return findings.map(({ about, message, fix, ...rest }) => ({
    ...rest,
    ...(withoutSecrets({ about, message, fix }, secrets) as Pick<Finding, 'about' | 'message' | 'fix'>),
  }));
}
