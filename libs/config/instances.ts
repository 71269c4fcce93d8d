import type { RiposteConfig } from './config-file.js';
import { resolveSecrets } from './secrets.js';

/**
 * The configured provider instances in the engine's form.
 *
 * @param env where secret references are looked up
 * @param readsSecrets of which plugins this process needs the secrets; default all
 * @throws ConfigurationError naming the key of a secret that is not there
 */
export async function instancesOf(
  config: RiposteConfig,
  env: Readonly<Record<string, string | undefined>>,
  readsSecrets: (plugin: string) => boolean = () => true,
) {
  return Promise.all(
    config.providers.map(async ({ limits, secrets, ...instance }, index) => ({
      ...instance,
      concurrency: limits.concurrency,
      rateLimits: limits.windows,
      reserve: limits.reserve,
      secretNames: Object.keys(secrets),
      secrets: readsSecrets(instance.plugin)
        ? await resolveSecrets(`providers[${index}] (${instance.id}).secrets`, secrets, env)
        : {},
    })),
  );
}

/** Per provider instance, how many of its actions may wait to be started. */
export function backlogBoundsOf(config: RiposteConfig): ReadonlyMap<string, number> {
  return new Map(config.providers.map(({ id, limits }) => [id, limits.backlog]));
}

/** How many actions of a class one application may ask for in an hour: of all instances, and of those that say it themselves. */
export function blastLimitsOf(config: RiposteConfig) {
  const own = config.providers.flatMap(({ id, limits: { blastRadius } }) =>
    blastRadius?.isolation === undefined ? [] : [[id, { isolation: blastRadius.isolation.perHour }] as const],
  );
  return {
    limits: { isolation: config.limits.blastRadius.isolation.perHour },
    ofInstances: new Map(own),
  };
}
