import { CheckHealth, InstanceCalls, quotasOf, type ProviderInstance } from '#engine';
import { tryProviders } from '#plugin-host';
import { pluginsWith } from '#plugins';
import { RedisVendorPermits } from '#queue';
import { createLogger } from '#telemetry';
import { within } from './within.js';
import type { Findings } from './finding.js';
import type { Installation } from './installation.js';

const REACH_WITHIN_MS = 5000;

/** The provider instances: that each can be used, and what its vendor says. */
export async function checkProviders(installation: Installation, findings: Findings): Promise<void> {
  const config = await installation.config().catch(() => null);
  if (config === null) {
    findings.unknown('providers.instance', 'not looked at: the configuration is not valid');
    return;
  }
  const { env, configFile } = installation;
  const log = createLogger('riposte-doctor', 'silent');
  const tried = await tryProviders({ config, configFile, env, pluginsWith, log });
  try {
    for (const problem of tried.problems)
      findings.problem('providers.plugins', problem, 'Change what it names: no process starts with it.');
    const usable: ProviderInstance[] = [];
    for (const { id, plugin, instance, problem } of tried.instances) {
      if (instance === undefined) {
        findings.problem(
          'providers.instance',
          problem,
          'Change what it names: no worker starts with it.',
          id,
        );
        continue;
      }
      for (const secret of [
        ...Object.values(instance.config.secrets),
        instance.config.network?.client?.key ?? '',
      ])
        // oxlint-disable-next-line security/detect-possible-timing-attacks -- whether there is one
        if (secret !== '') installation.secrets.add(secret);
      usable.push(instance);
      findings.ok('providers.instance', `${plugin} ${instance.provider.manifest.version} can be used`, id);
      const permissions = permissionsOf(instance);
      if (permissions.length > 0)
        findings.ok('providers.permissions', `it needs at the vendor: ${permissions.join(', ')}`, id);
    }
    await tellHealth(installation, usable, findings);
  } finally {
    await tried.close();
  }
}

/** What its actions need, by the vendor's names. */
function permissionsOf({ provider }: ProviderInstance): readonly string[] {
  const named = Object.values(provider.manifest.actions).flatMap(
    ({ requiredPermissions = [] }) => requiredPermissions,
  );
  return [...new Set(named)].toSorted();
}

/** Asks each vendor once, within its quota: without both databases nobody knows what is left of that. */
async function tellHealth(
  installation: Installation,
  instances: readonly ProviderInstance[],
  findings: Findings,
): Promise<void> {
  const asked = instances.filter(({ provider }) => provider.calls.health !== undefined);
  for (const { id } of instances.filter((one) => !asked.includes(one)))
    findings.unknown('providers.health', 'its plugin has no health check', id);
  if (asked.length === 0) return;
  const [database, redis] = await Promise.all([
    installation.database().catch(() => null),
    installation
      .redis()
      .then(() => installation.redisAddress())
      .catch(() => null),
  ]);
  if (database === null || redis === null) {
    for (const { id } of asked)
      findings.unknown(
        'providers.health',
        'not asked: what is left of its quota stands in MongoDB and Redis',
        id,
      );
    return;
  }
  const permits = new RedisVendorPermits({
    redis,
    quotas: quotasOf({ instances }),
    recentCalls: database.recentCalls,
    records: database.instances,
    onError: () => undefined,
  });
  try {
    await within(REACH_WITHIN_MS, permits.ready());
    const log = createLogger('riposte-doctor', 'silent');
    const health = new CheckHealth({
      registry: { instances },
      calls: new InstanceCalls({ permits, log, ledger: (instance) => database.entryLedger(instance) }),
      // A worker's word stands on record.
      records: { reportHealth: () => Promise.resolve() },
      lease: (name) => database.lease(name),
      owner: 'riposte-doctor',
      log,
    });
    await Promise.all(asked.map((instance) => tellOne(health, instance, findings)));
  } finally {
    permits.close();
  }
}

async function tellOne(health: CheckHealth, instance: ProviderInstance, findings: Findings): Promise<void> {
  const { id } = instance;
  const report = await health.check(instance);
  if (report === null) {
    findings.unknown(
      'providers.health',
      'not asked: its quota is used up, or it is not to be called now',
      id,
    );
    return;
  }
  const failed = (report.checks ?? []).filter(({ ok }) => !ok);
  const told = [report.message, ...failed.map(({ name, message }) => `${name}: ${message}`)].join('; ');
  if (report.ok) findings.ok('providers.health', told, id);
  else
    findings.problem(
      'providers.health',
      told,
      'Check its address, credentials and permissions at the vendor, and that this machine may reach it.',
      id,
    );
}
