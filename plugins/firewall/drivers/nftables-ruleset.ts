import { isDeepStrictEqual } from 'node:util';
import { CANONICAL, addressBlockOf } from '#provider-sdk';
import type { DeviceEntry, ListChanges } from '../driver.js';

/**
 * What stands in the kernel, as `nft -j` writes and reads it (libnftables-json(5)): a table of our own with a set of
 * addresses per family, and the chains that drop what is from or to them.
 */

/** The sets, by the family of their addresses. */
const SETS = { v4: 'block_v4', v6: 'block_v6' } as const;

/** Before the filters of others (priority 0), and after what they may need of raw packets and connection tracking. */
const PRIORITY = -10;

/** Per hook, what of a packet is looked for in the sets. What this machine sends is not from an attacker. */
const HOOKS = { input: ['saddr'], forward: ['saddr', 'daddr'], output: ['daddr'] } as const;

/** One command of a batch. All of a batch are carried out, or none. */
export type Command = Readonly<Record<string, unknown>>;

/**
 * Makes what is missing, and writes the rules anew. What stands in the sets stays; to repeat it changes nothing but the
 * counters.
 */
export function ruleset(table: string): readonly Command[] {
  const own = { family: 'inet', table };
  const set = (name: string, type: string): Command => ({
    add: { set: { ...own, name, type, flags: ['interval', 'timeout'] } },
  });
  return [
    { add: { table: { family: 'inet', name: table } } },
    set(SETS.v4, 'ipv4_addr'),
    set(SETS.v6, 'ipv6_addr'),
    ...Object.keys(HOOKS).flatMap((hook): readonly Command[] => [
      { add: { chain: { ...own, name: hook, type: 'filter', hook, prio: PRIORITY, policy: 'accept' } } },
      // A rule that is added is added again.
      { flush: { chain: { ...own, name: hook } } },
      ...rulesOf(hook as keyof typeof HOOKS).map((expr) => ({
        add: { rule: { ...own, chain: hook, expr } },
      })),
    ]),
  ];
}

function rulesOf(hook: keyof typeof HOOKS): readonly unknown[] {
  return HOOKS[hook].flatMap((field) =>
    [
      ['ip', SETS.v4],
      ['ip6', SETS.v6],
    ].map(([protocol, set]) => [
      { match: { op: '==', left: { payload: { protocol, field } }, right: `@${set}` } },
      { counter: null },
      { drop: null },
    ]),
  );
}

interface Listed {
  readonly nftables: readonly Readonly<Record<string, Readonly<Record<string, unknown>>>>[];
}

/** Whether a table, as `nft -j list table` shows it, has the sets, chains and rules that {@link ruleset} makes. */
export function isWhole(listed: string): boolean {
  const { nftables } = JSON.parse(listed) as Listed;
  const named = (kind: string): ReadonlyMap<unknown, Readonly<Record<string, unknown>>> =>
    new Map(nftables.flatMap((one) => (one[kind] === undefined ? [] : [[one[kind]['name'], one[kind]]])));
  const sets = named('set');
  const chains = named('chain');
  return (
    Object.values(SETS).every((name) => sets.has(name)) &&
    Object.keys(HOOKS).every((hook) => {
      const chain = chains.get(hook);
      const rules = nftables.flatMap(({ rule }) =>
        rule?.['chain'] === hook ? [uncounted(rule['expr'])] : [],
      );
      return (
        chain?.['hook'] === hook &&
        chain['policy'] === 'accept' &&
        isDeepStrictEqual(rules, rulesOf(hook as keyof typeof HOOKS))
      );
    })
  );
}

function uncounted(expr: unknown): unknown {
  return (expr as readonly object[]).map((part) => ('counter' in part ? { counter: null } : part));
}

/** The set a canonical address or network belongs into. */
export function setOf(value: string): string {
  return value.includes(':') ? SETS.v6 : SETS.v4;
}

/**
 * The commands that bring about the changes of one set. Each is right whatever is there already: what is added is taken
 * away first, since a kernel may keep the old time of what it has (seen before Linux 6), and what is taken away is added
 * first, since it is an error to delete what is not there.
 */
export function batch(table: string, set: string, changes: ListChanges, comment: string): readonly Command[] {
  const element = (elem: readonly unknown[]): unknown => ({
    element: { family: 'inet', table, name: set, elem },
  });
  const away = (values: readonly string[]): readonly Command[] => {
    const elem = values.map(valueFor);
    return elem.length === 0 ? [] : [{ add: element(elem) }, { delete: element(elem) }];
  };
  const added = changes.add.map(({ value, leftMs }) => ({
    elem: {
      val: valueFor(value),
      comment,
      ...(leftMs === null ? {} : { timeout: Math.max(1, Math.ceil(leftMs / 1000)) }),
    },
  }));
  return [
    ...away(changes.remove),
    ...away(changes.add.map(({ value }) => value)),
    ...(added.length === 0 ? [] : [{ add: element(added) }]),
  ];
}

function valueFor(value: string): unknown {
  const [addr, len] = value.split('/');
  return len === undefined ? value : { prefix: { addr, len: Number(len) } };
}

/** The entries of a set, as `nft -j list set` shows it. */
export function entriesOf(listed: string, comment: string): readonly DeviceEntry[] {
  const { nftables } = JSON.parse(listed) as Listed;
  const elements = nftables.flatMap(({ set }) => (set?.['elem'] ?? []) as readonly unknown[]);
  return elements.flatMap((element): readonly DeviceEntry[] => {
    const { elem } = (typeof element === 'object' ? element : {}) as { readonly elem?: Element };
    const isMarked = elem?.comment === comment;
    const leftMs = elem?.timeout === undefined ? null : (elem.expires ?? 0) * 1000;
    return valuesOf(elem === undefined ? element : elem.val).map((value) => ({ value, leftMs, isMarked }));
  });
}

interface Element {
  readonly val: unknown;
  /** Seconds. */
  readonly timeout?: number;
  readonly expires?: number;
  readonly comment?: string;
}

/** As they are written canonically; of a range, which is nobody's of ours, the networks that it is made of. */
function valuesOf(val: unknown): readonly string[] {
  if (typeof val === 'string') return [canonical(val)];
  const { prefix, range } = val as {
    readonly prefix?: { readonly addr: string; readonly len: number };
    readonly range?: readonly [string, string];
  };
  if (prefix !== undefined) return [`${canonical(prefix.addr)}/${prefix.len}`];
  return range === undefined ? [] : networksOf(range);
}

/** nft writes addresses plainly, but not always as RFC 5952 has them. */
function canonical(address: string): string {
  return CANONICAL.ip(address) ?? address;
}

function networksOf([from, to]: readonly [string, string]): readonly string[] {
  const bytesOf = (address: string): Buffer => Buffer.from(addressBlockOf(address)?.bytes ?? [0]);
  const width = bytesOf(from).length;
  const numberOf = (address: string): bigint => BigInt(`0x${bytesOf(address).toString('hex')}`);
  const bits = width * 8;
  const last = numberOf(to);
  const found: string[] = [];
  for (let start = numberOf(from); start <= last;) {
    let free = 0;
    while (free < bits && (start >> BigInt(free)) % 2n === 0n && start + 2n ** BigInt(free + 1) - 1n <= last)
      free += 1;
    const bytes = Buffer.from(start.toString(16).padStart(width * 2, '0'), 'hex');
    const address = canonical(
      width === 4 ? bytes.join('.') : (bytes.toString('hex').match(/.{4}/g) ?? []).join(':'),
    );
    found.push(free === 0 ? address : `${address}/${bits - free}`);
    start += 2n ** BigInt(free);
  }
  return found;
}
