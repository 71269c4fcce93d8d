import type { PacketRules } from '../simulators/openc2-consumer/consumer.js';
import type { Network } from './namespaces.js';

/** Rules of an OpenC2 consumer in nftables on the gateway: one of nft's for each address of a packet. */
export async function nftRules(network: Network): Promise<PacketRules> {
  const table = ['inet', 'openc2'];
  await network.nft('add', 'table', ...table);
  await network.nft('add', 'chain', ...table, 'rules');
  for (const hook of ['input', 'forward', 'output']) {
    await network.nft('add', 'chain', ...table, hook, `{ type filter hook ${hook} priority 0; }`);
    await network.nft('add', 'rule', ...table, hook, 'jump', 'rules');
  }
  return {
    add: async (number, value, direction) => {
      const fields = { both: ['saddr', 'daddr'], ingress: ['saddr'], egress: ['daddr'] }[direction] ?? [];
      for (const field of fields) {
        const match = [value.includes(':') ? 'ip6' : 'ip', field, value];
        await network.nft('add', 'rule', ...table, 'rules', ...match, 'drop', 'comment', `"${number}"`);
      }
    },
    remove: async (number) => {
      const listed = await network.nft('-a', 'list', 'chain', ...table, 'rules');
      for (const [, handle = ''] of listed.matchAll(new RegExp(`comment "${number}" # handle (\\d+)`, 'g')))
        await network.nft('delete', 'rule', ...table, 'rules', 'handle', handle);
    },
  };
}
