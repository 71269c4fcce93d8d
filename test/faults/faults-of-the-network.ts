import { setTimeout as sleep } from 'node:timers/promises';
import type { Links } from './cluster.js';
import type { Fault } from './fault.js';
import type { TcpProxy } from './tcp-proxy.js';

/** Faults of single links between a process and what it needs: F11, F12, F13. */
export const NETWORK_FAULTS: readonly Fault[] = [
  {
    id: 'F11',
    kind: 'network',
    title: 'writes that MongoDB takes and whose answer is lost',
    weight: 3,
    async run({ node: { node, links }, random }) {
      const rounds = random.between(1, 4);
      for (let round = 1; round <= rounds; round += 1) {
        for (const proxy of links.mongo) proxy.resetAfterNextRequest(random.between(1, 3));
        await sleep(random.between(300, 1500));
      }
      for (const proxy of links.mongo) proxy.heal();
      return { what: `answers of MongoDB to ${node.name} lost, ${rounds} times`, heldUp: 'due' };
    },
  },
  {
    id: 'F12',
    kind: 'network',
    title: 'one process cut off from MongoDB, Redis or a vendor, in one direction or both',
    weight: 4,
    async run({ node: { node, links }, random }) {
      const to = random.pick(['mongo', 'redis', 'vendors'] as const);
      const how = random.pick(['up', 'down', 'both', 'refused'] as const);
      const ms = random.between(3000, 22_000);
      for (const proxy of linksTo(links, to)) {
        if (how === 'refused') proxy.refuse();
        else proxy.swallow(how);
      }
      await sleep(ms);
      for (const proxy of linksTo(links, to)) proxy.heal();
      return { what: `${node.name} cut off from ${to} (${how}) for ${ms} ms`, heldUp: 'due' };
    },
  },
  {
    id: 'F13',
    kind: 'network',
    title: 'a slow link: latency, jitter, little bandwidth',
    weight: 3,
    async run({ node: { node, links }, random }) {
      const to = random.pick(['mongo', 'redis', 'vendors'] as const);
      const latencyMs = random.between(100, 1000);
      const bytesPerSecond = random.pick([undefined, undefined, 20_000, 1000]);
      for (const proxy of linksTo(links, to)) proxy.slow(latencyMs, latencyMs, bytesPerSecond);
      await sleep(random.between(4000, 12_000));
      for (const proxy of linksTo(links, to)) proxy.heal();
      return {
        what: `${node.name} to ${to}: ${latencyMs}-${2 * latencyMs} ms${bytesPerSecond === undefined ? '' : `, ${bytesPerSecond} B/s`}`,
        heldUp: 'due',
      };
    },
  },
];

function linksTo(links: Links, to: 'mongo' | 'redis' | 'vendors'): readonly TcpProxy[] {
  switch (to) {
    case 'mongo':
      return links.mongo;
    case 'redis':
      return [links.redis];
    case 'vendors':
      return [...links.vendors.values()];
  }
}
