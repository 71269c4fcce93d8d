import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { LRUCache } from 'lru-cache';
import { ProviderError, Type, type HealthReport, type Provider, type Static } from '#provider-sdk';
import type { DeviceSurroundings, DriverContext, FirewallDriver, ListChanges, NewEntry } from '../driver.js';
import { firewallProvider } from '../firewall-provider.js';
import { batch, entriesOf, isWhole, ruleset, setOf, type Command } from './nftables-ruleset.js';
import { runProgram, type Ran } from './run-program.js';

/** The packet filter of the machine that the worker runs on, by `nft`. */

const settings = {
  /** The table of Riposte, in family inet. Nobody else writes to it. */
  table: Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_]{0,30}$', default: 'riposte', examples: ['riposte'] }),
  /** A network namespace (ip-netns(8)) whose packets are filtered. Default: the worker's own. */
  netns: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$', examples: ['edge'] })),
  /** The program `nft`, by name or path. */
  nftPath: Type.String({ minLength: 1, maxLength: 255, default: 'nft', examples: ['/usr/sbin/nft'] }),
  /** Makes the table where it is missing. False: somebody else does. */
  provision: Type.Boolean({ default: true }),
};
type Settings = {
  readonly [Key in keyof typeof settings]: Static<(typeof settings)[Key]>;
};
type Context = DriverContext<Settings>;

/** Linux takes at most 128 KiB in one argument of a program; what is longer goes by a file. */
const MOST_ARGUMENT_BYTES = 64 * 1024;

/** Standard error of nft that says what may be done next; other words are shown as they are. */
const REFUSALS = [
  { is: /Cannot open network namespace/, kind: 'netns' },
  { is: /Operation not permitted|must be root|Permission denied/, kind: 'permission' },
  { is: /No such file or directory/, kind: 'missing' },
  { is: /Too many open files in system|No space left|Cannot allocate memory/, kind: 'capacity' },
  { is: /interval overlaps|File exists/, kind: 'overlap' },
  { is: /Device or resource busy|Resource temporarily unavailable|Interrupted/, kind: 'busy' },
] as const;

/** Why nft refused a batch, of which nothing was applied. */
class Refused extends Error {
  readonly kind: (typeof REFUSALS)[number]['kind'] | 'other';

  constructor(readonly words: string) {
    super(words);
    this.name = 'Refused';
    this.kind = REFUSALS.find(({ is }) => is.test(words))?.kind ?? 'other';
  }
}

const driver: Omit<FirewallDriver<Settings>, 'surroundings'> = {
  listOf: (_settings, { kind, value }) =>
    kind === 'ipv4_net' || kind === 'ipv6_net'
      ? { list: setOf(value) }
      : { refused: 'A packet filter sees addresses only.' },
  expires: true,
  covers: true,

  async provision(context) {
    if (!context.settings.provision) return;
    const listed = await table(context);
    if (listed !== null && isWhole(listed)) return;
    await make(context, []);
    context.log.info({ table: context.settings.table }, 'the packet filter’s table was made');
  },

  async read(context, list) {
    const ran = await nft(context, ['list', 'set', 'inet', context.settings.table, list], false);
    if (ran.code === 0) return entriesOf(ran.stdout, commentOf(context));
    const refused = refusalOf(ran);
    // It is made with the first entry: until then nothing is blocked.
    if (refused.kind === 'missing' && context.settings.provision) return [];
    throw inWords(refused, context);
  },

  async write(context, list, changes) {
    const failures = new Map<string, ProviderError>();
    await apply(context, list, changes, failures);
    return failures;
  },

  health,
};

/** Milliseconds the addresses of a namespace are gone by: a burst of blocks asks once. */
const ADDRESSES_FRESH_MS = 60_000;
const ADDRESSES_WITHIN_MS = 5000;

/** Reads a namespace's addresses, with a memory of its own; this process knows those of where it runs itself. */
function namespaceReader(): NonNullable<FirewallDriver<Settings>['surroundings']> {
  const namespaces = new LRUCache<string, DeviceSurroundings, Context>({
    max: 100,
    ttl: ADDRESSES_FRESH_MS,
    fetchMethod: async (netns, _before, { context }) => {
      // Several calls may wait for it: it does not end with the one that came first.
      const { signal } = new AbortController();
      const options = { signal, changes: false, setting: 'PATH', timeoutMs: ADDRESSES_WITHIN_MS };
      const ask = async (...words: readonly string[]): Promise<readonly Shown[]> => {
        const ran = await runProgram('ip', ['-n', netns, '-j', ...words], options);
        if (ran.code !== 0) throw inWords(refusalOf(ran), context);
        return JSON.parse(ran.stdout || '[]') as readonly Shown[];
      };
      const [interfaces, ...routes] = await Promise.all([
        ask('addr'),
        ask('-4', 'route', 'show', 'default'),
        ask('-6', 'route', 'show', 'default'),
      ]);
      return {
        ownAddresses: interfaces.flatMap(({ addr_info: own = [] }) => own.flatMap(({ local = [] }) => local)),
        gateways: routes
          .flat()
          .flatMap(({ gateway = [], via, nexthops = [] }) =>
            [gateway, via?.host ?? [], nexthops.flatMap((hop) => hop.gateway ?? [])].flat(),
          ),
      };
    },
  });
  return async (context) => {
    const { netns } = context.settings;
    const found = netns === undefined ? undefined : await namespaces.fetch(netns, { context });
    return found ?? { ownAddresses: [], gateways: [] };
  };
}

/** An interface with its addresses, or a route with its gateways, as `ip -j` shows them. */
interface Shown {
  readonly addr_info?: readonly { readonly local?: string }[];
  readonly gateway?: string;
  /** A gateway of the other family. */
  readonly via?: { readonly host?: string };
  readonly nexthops?: readonly { readonly gateway?: string }[];
}

/** Writes what it can: where one bad entry has the whole batch refused, the others go in smaller ones. */
async function apply(
  context: Context,
  list: string,
  changes: ListChanges,
  failures: Map<string, ProviderError>,
): Promise<void> {
  const commands = batch(context.settings.table, list, changes, commentOf(context));
  try {
    await run(context, commands);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.kind === 'missing' && context.settings.provision) return make(context, commands);
    const isOfOneEntry = ['overlap', 'capacity', 'other'].includes(error.kind);
    const count = changes.remove.length + changes.add.length;
    if (!isOfOneEntry || (count > 1 && context.signal.aborted)) throw inWords(error, context);
    if (count > 1) {
      for (const half of halves(changes)) await apply(context, list, half, failures);
      return;
    }
    for (const value of [...changes.remove, ...changes.add.map((entry) => entry.value)])
      failures.set(value, inWords(error, context, value));
  }
}

/** What is taken away goes first: it may make room. */
function halves({ remove, add }: ListChanges): readonly ListChanges[] {
  if (remove.length > 0 && add.length > 0)
    return [
      { remove, add: [] },
      { remove: [], add },
    ];
  const split = <Of>(all: readonly Of[]): readonly [readonly Of[], readonly Of[]] => [
    all.slice(0, Math.ceil(all.length / 2)),
    all.slice(Math.ceil(all.length / 2)),
  ];
  const [[removeFirst, removeThen], [addFirst, addThen]] = [split<string>(remove), split<NewEntry>(add)];
  return [
    { remove: removeFirst, add: addFirst },
    { remove: removeThen, add: addThen },
  ];
}

/** Makes the table, and the changes with it in one. */
async function make(context: Context, commands: readonly Command[]): Promise<void> {
  try {
    await run(context, [...ruleset(context.settings.table), ...commands]);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw error.kind === 'overlap'
      ? new ProviderError(
          'permanent',
          `The table inet ${context.settings.table} has sets or chains that are not Riposte's (nft: ${error.words}). Delete it (nft delete table inet ${context.settings.table}), or name another in settings.table.`,
        )
      : inWords(error, context);
  }
}

/** @throws Refused when nothing was applied, for a reason of nft's */
async function run(context: Context, commands: readonly Command[]): Promise<void> {
  const text = JSON.stringify({ nftables: commands });
  if (Buffer.byteLength(text) <= MOST_ARGUMENT_BYTES) return requireApplied(await nft(context, [text], true));
  const folder = await mkdtemp(path.join(tmpdir(), 'riposte-nft-'));
  try {
    const file = path.join(folder, 'batch.json');
    await writeFile(file, text, { mode: 0o600 });
    // By its name: nft opens its standard input anew, which it cannot where that is a socket, as of a child of Node.
    requireApplied(await nft(context, ['-f', file], true));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function requireApplied(ran: Ran): void {
  if (ran.code !== 0) throw refusalOf(ran);
}

function nft({ settings: own, signal }: Context, args: readonly string[], changes: boolean): Promise<Ran> {
  const command = [own.nftPath, '-j', ...args];
  const [file = '', ...rest] =
    own.netns === undefined ? command : ['ip', 'netns', 'exec', own.netns, ...command];
  return runProgram(file, rest, { signal, changes, setting: 'settings.nftPath' });
}

/** The rules and sets as they are, without entries; null where there is no such table. */
async function table(context: Context): Promise<string | null> {
  const ran = await nft(context, ['-t', 'list', 'table', 'inet', context.settings.table], false);
  if (ran.code === 0) return ran.stdout;
  const refused = refusalOf(ran);
  if (refused.kind === 'missing') return null;
  throw inWords(refused, context);
}

function refusalOf({ code, stderr }: Ran): Refused {
  const words = (stderr.split('\n')[0] ?? '').replace(/^internal:\S* /, '').slice(0, 300);
  return new Refused(words === '' ? `it ended with code ${code}` : words);
}

function inWords(refused: Refused, { settings: own }: Context, value?: string): ProviderError {
  const { words } = refused;
  const said = `(nft: ${words})`;
  switch (refused.kind) {
    case 'netns':
      return new ProviderError(
        'permanent',
        `There is no network namespace ${own.netns} on the worker's machine ${said}. Make it (ip netns add), or mend settings.netns.`,
      );
    case 'permission':
      return new ProviderError(
        'permission',
        `The worker may not change the packet filter ${said}. Run it as root, or give it CAP_NET_ADMIN${own.netns === undefined ? '' : ' and CAP_SYS_ADMIN'}.`,
      );
    case 'missing':
      return new ProviderError(
        'permanent',
        `The table inet ${own.table} of Riposte is missing ${said}. Make it, or let Riposte by settings.provision.`,
      );
    case 'capacity':
      return new ProviderError(
        'capacity',
        `The packet filter takes no more entries ${said}. Unblock some, or make the set without a size.`,
      );
    case 'overlap':
      return new ProviderError(
        'conflict',
        `${value ?? 'An entry'} overlaps with an entry of the table inet ${own.table} that is not Riposte's ${said}. Delete that one (nft list table inet ${own.table}), or block what it leaves.`,
      );
    case 'busy':
      return new ProviderError('transient', `The packet filter is busy ${said}.`);
    case 'other':
      return new ProviderError(
        'permanent',
        `The packet filter refuses ${value === undefined ? 'the change' : value} ${said}.`,
      );
  }
}

/** Marks entries as of this provider instance: another instance, or another Riposte, leaves them alone. */
function commentOf({ instance }: Context): string {
  return `riposte:${instance}`;
}

async function health(context: Context): Promise<HealthReport> {
  const { table: name, provision } = context.settings;
  try {
    const listed = await table(context);
    if (listed !== null && isWhole(listed))
      return { ok: true, message: `The table inet ${name} is in place.` };
    if (provision)
      return {
        ok: true,
        message: `The table inet ${name} is ${listed === null ? 'missing' : 'not whole'}; it is made with the next maintenance or block.`,
      };
    return {
      ok: false,
      message: `The table inet ${name} is ${listed === null ? 'missing' : 'not as Riposte needs it'}. Make it as the documentation shows, or let Riposte by settings.provision.`,
    };
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    return { ok: false, message: error.message };
  }
}

export const nftables = (): Provider =>
  firewallProvider({
    vendor: 'Linux',
    provider: 'nftables',
    version: '1.0.0',
    title: 'The packet filter of the machine that the worker runs on.',
    docUrl: 'https://wiki.nftables.org/',
    settings,
    concurrency: 100,
    targets: {
      ip: true,
      domain:
        'A packet filter cannot block a domain: it sees addresses only. Use a resolver (plugin unbound) or a feed of domains.',
      url: 'A packet filter cannot block a URL: it sees addresses only. Use a proxy or a feed of URLs.',
    },
    driver: { ...driver, surroundings: namespaceReader() },
  });
