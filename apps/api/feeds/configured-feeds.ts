import { BlockList, isIPv6 } from 'node:net';
import { createHash, timingSafeEqual } from 'node:crypto';
import { ConfigurationError } from '#domain';
import type { ProviderRegistry } from '#engine';
import { FEED_PLUGIN, type FeedSettings } from '#plugins';

/** The feed of one tenant, as an instance of the plugin configures it. */
export interface ConfiguredFeed {
  readonly instance: string;
  /** In small letters. */
  readonly tenantId: string;
  /** Takes the same time whatever differs. */
  isPassword(given: string): boolean;
  /** Whether a firewall at this address may fetch. */
  mayFetch(address: string): boolean;
}

const SHORTEST_PASSWORD = 16;

/**
 * The feeds of an installation.
 *
 * @param registry with the secrets of its feeds
 * @throws ConfigurationError naming the instance whose tenant or password will not do
 */
export function configuredFeeds({ instances }: ProviderRegistry): readonly ConfiguredFeed[] {
  const seen = new Map<string, string>();
  return instances
    .filter(({ config }) => config.plugin === FEED_PLUGIN)
    .map(({ id, config }) => {
      const key = `providers (${id})`;
      const [tenant, ...others] = config.tenants;
      if (tenant === undefined || tenant === '*' || others.length > 0)
        throw new ConfigurationError(
          `${key}.tenants has to name one tenant by its id: a password opens the lists of one. Give each tenant an instance and a password of its own`,
        );
      const tenantId = tenant.toLowerCase();
      const passwords = Object.entries(config.secrets).map(([name, password]) => {
        if (password.length < SHORTEST_PASSWORD)
          throw new ConfigurationError(
            `${key}.secrets.${name} is shorter than ${SHORTEST_PASSWORD} characters; make one by: openssl rand -hex 24`,
          );
        const digest = digestOf(password);
        const known = `${tenantId} ${digest.toString('hex')}`;
        const twin = seen.get(known);
        if (twin !== undefined && twin !== id)
          throw new ConfigurationError(
            `${key}.secrets.${name} is the password of "${twin}", too, for the same tenant: it could not be told which feed is meant`,
          );
        seen.set(known, id);
        return digest;
      });
      return {
        instance: id,
        tenantId,
        isPassword: (given) => {
          const digest = digestOf(given);
          return passwords.map((password) => timingSafeEqual(password, digest)).includes(true);
        },
        mayFetch: allowed((config.settings as unknown as FeedSettings).consumers),
      };
    });
}

/** Of one length, whatever was given. */
function digestOf(password: string): Buffer {
  return createHash('sha256').update(password).digest();
}

function allowed(consumers: readonly string[]): (address: string) => boolean {
  if (consumers.length === 0) return () => true;
  const list = new BlockList();
  for (const consumer of consumers) {
    const [network = '', bits] = consumer.split('/');
    const family = isIPv6(network) ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(network, family);
    else list.addSubnet(network, Number(bits), family);
  }
  return (address) => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
