import type { RiposteConfig } from './config-file.js';
import { networkOf } from './network.js';
import { resolveSecrets } from './secrets.js';

export interface InstancesOptions {
  /** Where secret references are looked up. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the configuration's file: paths in it are relative to it. */
  readonly folder: string;
  /** Of which plugins this process needs secrets and certificates. Default: all. */
  readonly readsSecrets?: (plugin: string) => boolean;
}

/**
 * The configured provider instances in the engine's form.
 *
 * @throws ConfigurationError naming the key of a secret or certificate that is not there, or is none
 */
export async function instancesOf(config: RiposteConfig, options: InstancesOptions) {
  return Promise.all(config.providers.map((instance, index) => instanceOf(instance, index, options)));
}

/**
 * One of them.
 * @param index its place in the configuration, for messages
 * @throws ConfigurationError as {@link instancesOf}
 */
export async function instanceOf(
  { limits, secrets, network, ...instance }: RiposteConfig['providers'][number],
  index: number,
  { env, folder, readsSecrets = () => true }: InstancesOptions,
) {
  const key = `providers[${index}] (${instance.id})`;
  const isCalled = readsSecrets(instance.plugin);
  return {
    ...instance,
    concurrency: limits.concurrency,
    rateLimits: limits.windows,
    reserve: limits.reserve,
    secretNames: Object.keys(secrets),
    secrets: isCalled ? await resolveSecrets(`${key}.secrets`, secrets, env) : {},
    ...(isCalled ? { network: await networkOf(`${key}.network`, network, folder, env) } : {}),
  };
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
