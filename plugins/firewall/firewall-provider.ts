import {
  HostAddresses,
  ProviderError,
  RAIL_SETTINGS,
  Type,
  blockRails,
  defineProvider,
  readSurroundings,
  refusalError,
  type ActionManifest,
  type BlockRailsOptions,
  type CallContext,
  type CompletedAction,
  type EntryLedger,
  type InstanceContext,
  type Maintained,
  type Provider,
  type RateWindow,
  type RequestRefusal,
  type ResolveHost,
  type StepOutcome,
} from '#provider-sdk';
import type { TObject, TProperties, Static } from 'typebox';
import type { FirewallDriver, FirewallFeed, FirewallIntent, FirewallTarget } from './driver.js';
import { ListWriter, type EntryState } from './list-writer.js';
import { isPublished } from './publication.js';

/** What a driver's plugin declares beside its driver. */
export interface FirewallDeclaration<Settings extends TProperties> {
  readonly vendor: string;
  readonly provider: string;
  readonly version: string;
  readonly title: string;
  readonly docUrl: string;
  readonly settings: Settings;
  readonly secrets?: { readonly required?: readonly string[]; readonly optional?: readonly string[] };
  readonly rateLimits?: readonly RateWindow[];
  /** Calls one worker may have in flight: those that write in batches take more at a time. Default 16. */
  readonly concurrency?: number;
  /** Requests that one writing of a list makes, as a rule. Default 1. */
  readonly calls?: number;
  /** Targets that the device can block. The actions for others are there, and refused with this reason. */
  readonly targets: {
    readonly ip: true | string;
    readonly domain: true | string;
    readonly url: true | string;
  };
  readonly driver: FirewallDriver<Static<TObject<Settings>>> | FirewallFeed<Static<TObject<Settings>>>;
}

const PARAMETERS = {
  Ip: {
    name: 'IP',
    schema: Type.String({
      format: 'network',
      examples: ['203.0.113.7'],
      'x-aliases': ['address', 'ipAddress', 'destinationIp', 'network', 'cidr'],
    }),
    what: 'an address or a network',
    target: 'ip',
  },
  Domain: {
    name: 'Domain',
    schema: Type.String({
      format: 'domain',
      examples: ['evil.example'],
      'x-aliases': ['fqdn', 'domainName'],
    }),
    what: 'a domain and all names below it',
    target: 'domain',
  },
  Url: {
    name: 'URL',
    schema: Type.String({ format: 'url', examples: ['https://evil.example/x'] }),
    what: 'a URL',
    target: 'url',
  },
} as const;
type Kind = keyof typeof PARAMETERS;

/** Readers of a feed that an observation tells of. */
const MOST_PICKUPS = 100;

/**
 * Milliseconds an action under way owns an entry before it is known to be there: longer than an attempt and the pause
 * before the next, so that only what failed for good loses it.
 */
const CLAIM_MS = 120_000;

interface Request {
  readonly action: string;
  readonly parameters: unknown;
  readonly effectUntil?: Date;
}

/**
 * The provider of a kind of firewall: blocks are leases in the instance's ledger, and the device is brought to what it
 * says. To execute one twice has no further effect; a revert takes its lease away, and so does a cancel that comes before
 * the entry is there.
 *
 * @param resolve how the names of the device's hosts are looked up. Default: as the system does
 */
export function firewallProvider<Settings extends TProperties>(
  declaration: FirewallDeclaration<Settings>,
  resolve?: ResolveHost,
): Provider {
  type Values = Static<TObject<Settings>>;
  const { driver, targets } = declaration;
  const writer = new ListWriter(driver);
  const hosts = new HostAddresses(resolve);
  const comment = Type.Optional(Type.String({ maxLength: 1000, examples: ['Case 4711'] }));
  const calls = declaration.calls === undefined ? {} : { calls: declaration.calls };
  const actions: Record<string, ActionManifest> = {};
  for (const [kind, { name, schema, what }] of Object.entries(PARAMETERS)) {
    const parameters = Type.Object({ [name]: schema, Comment: comment }, { additionalProperties: false });
    actions[`Block${kind}`] = {
      title: `Blocks ${what}.`,
      parameters,
      idempotency: 'natural',
      cancellable: true,
      revertible: true,
      supportsExpiry: driver.expires,
      observable: true,
      lane: 'containment',
      ...calls,
      mutexKey: [name],
    };
    actions[`Unblock${kind}`] = {
      title: `Takes away the tenant's blocks of ${what}; what others block, or was there before, stays.`,
      parameters,
      idempotency: 'natural',
      cancellable: false,
      observable: true,
      lane: 'release',
      ...calls,
      mutexKey: [name],
    };
  }

  const whereOf = ({ settings, tenantId }: CallContext<Values>, target: FirewallTarget): string => {
    const found = driver.listOf(settings, target, tenantId.toLowerCase());
    if ('refused' in found) throw new ProviderError('unsupported', found.refused);
    return found.list;
  };

  /** As far as it can be told without asking anybody; null where nothing speaks against it. */
  const refusalOf = (
    settings: Values,
    request: Request,
    tenantId = '',
    known: BlockRailsOptions = { vendorHosts: driver.vendorHosts?.(settings) ?? [] },
  ): RequestRefusal | null => {
    const { verb, target, kind } = read(request);
    const can = targets[PARAMETERS[kind].target];
    if (can !== true) return { kind: 'invalid', message: can };
    const found = driver.listOf(settings, target, tenantId.toLowerCase());
    if ('refused' in found) return { kind: 'invalid', message: found.refused };
    if (verb === 'remove') return null;
    const refused = blockRails(settings, known).check(target.value);
    return refused === null ? null : { kind: 'forbidden', message: refused.message };
  };
  /** With all that the worker can find out of the device. */
  const refusalAt = async (
    context: CallContext<Values>,
    request: Request,
  ): Promise<RequestRefusal | null> => {
    const { settings: own, tenantId } = context;
    const refused = refusalOf(own, request, tenantId);
    const { verb, target } = read(request);
    // What stands for a name says nothing of another name.
    if (refused !== null || verb === 'remove' || !target.kind.endsWith('_net')) return refused;
    const [vendorHosts, there] = await Promise.all([
      hosts.of(driver.vendorHosts?.(own) ?? []),
      driver.surroundings?.(context),
    ]);
    const here = readSurroundings();
    const surroundings = {
      ...here,
      ownAddresses: [...here.ownAddresses, ...(there?.ownAddresses ?? [])],
      gateways: [...here.gateways, ...(there?.gateways ?? [])],
    };
    return refusalOf(own, request, tenantId, { vendorHosts, surroundings });
  };

  const isFeed = 'mostEntries' in driver;

  const isThere = async (context: CallContext<Values>, list: string, value: string): Promise<boolean> => {
    if (!('mostEntries' in driver))
      return (await driver.read(context, list)).some((entry) => entry.value === value);
    const entry = await ledgerOf(context).entry(list, value);
    return entry !== null && isPublished(entry);
  };

  async function block(context: CallContext<Values>, request: Request): Promise<StepOutcome> {
    const refused = await refusalAt(context, request);
    if (refused !== null) throw refusalError(refused);
    const { target, until } = read(request);
    const list = whereOf(context, target);
    const ledger = ledgerOf(context);
    const { actionId, tenantId } = context;
    const claimMs = CLAIM_MS;
    const held = await ledger.hold(list, target.value, { actionId, tenantId, until, claimMs });
    // A late attempt of an action that was cancelled or reverted.
    if (held === null) return { kind: 'stopped' };
    const { states } = await writer.write(context, ledger, list);
    const state = states.get(target.value);
    if (state?.kind === 'failed') {
      if (state.error.next === 'fail') await ledger.release(list, target.value, { actionId });
      throw state.error;
    }
    await ledger.settle(list, target.value, actionId);
    const expiresAt = until === null ? {} : { expiresAt: until.toISOString() };
    return {
      kind: 'completed',
      result: {
        list,
        value: target.value,
        message: isFeed ? publishedInWords(target.value, list) : blockedInWords(target.value, state),
      },
      // Another's writing may have brought it along, or an earlier attempt of this action.
      effect: {
        changed: state?.kind === 'written' && (state.isNew || !held.isShared),
        ids: [list, target.value],
        ...expiresAt,
      },
    };
  }

  async function unblock(context: CallContext<Values>, request: Request): Promise<StepOutcome> {
    const refused = refusalOf(context.settings, request, context.tenantId);
    if (refused !== null) throw refusalError(refused);
    const { target } = read(request);
    const { tenantId } = context;
    return letGo(context, target, { tenantId });
  }

  async function letGo(
    context: CallContext<Values>,
    target: FirewallTarget,
    whose: { readonly actionId: string } | { readonly tenantId: string },
  ): Promise<StepOutcome> {
    const list = whereOf(context, target);
    const ledger = ledgerOf(context);
    const { stay } = await ledger.release(list, target.value, whose);
    const { states } = await writer.write(context, ledger, list);
    const state = states.get(target.value);
    if (state?.kind === 'failed') throw state.error;
    return {
      kind: 'completed',
      result: { list, value: target.value, message: releasedInWords(target.value, state, stay) },
      effect: { changed: state?.kind === 'gone' && !state.isLeft },
    };
  }

  // The rails' settings are read by the rails alone; a driver knows its own.
  const settings = Type.Object(
    { ...declaration.settings, ...RAIL_SETTINGS },
    { additionalProperties: false },
  ) as unknown as TObject<Settings>;

  return defineProvider({
    manifest: {
      vendor: declaration.vendor,
      provider: declaration.provider,
      version: declaration.version,
      title: declaration.title,
      docUrl: declaration.docUrl,
      settings,
      ...(declaration.secrets === undefined ? {} : { secrets: declaration.secrets }),
      ...(declaration.concurrency === undefined ? {} : { concurrency: declaration.concurrency }),
      ...(declaration.rateLimits === undefined ? {} : { rateLimits: declaration.rateLimits }),
      actions,
    },
    execute: (context, request) =>
      request.action.startsWith('Block') ? block(context, request) : unblock(context, request),
    cancel: async (context, _operation, request) => {
      if (!request.action.startsWith('Block')) return 'tooLate';
      const { target } = read(request);
      const entry = await ledgerOf(context).entry(whereOf(context, target), target.value);
      // It is blocked: to take that back is an undoing. What had not come so far is issued again, and finds it in place.
      if (entry !== null && entry.owners > 0 && entry.written === 'yes') return 'tooLate';
      await letGo(context, target, { actionId: context.actionId });
      return 'cancelled';
    },
    revert: async (context, done: CompletedAction<Request>) =>
      letGo(context, read(done).target, { actionId: done.actionId }),
    plan: async (context, request) => {
      const refused = await refusalAt(context, request);
      const { verb, target } = read(request);
      if (refused !== null)
        return { summary: `Nothing: ${target.value} is refused.`, changes: [], warnings: [refused.message] };
      const list = whereOf(context, target);
      const entry = await ledgerOf(context).entry(list, target.value);
      const isListed = await isThere(context, list, target.value);
      const change =
        verb === 'deny' ? `add ${target.value} to ${list}` : `remove ${target.value} from ${list}`;
      const isNeeded =
        verb === 'deny' ? !isListed : isListed && entry !== null && entry.written !== 'foreign';
      return {
        summary: isNeeded ? `It would ${change}.` : `Nothing would change in ${list}.`,
        changes: isNeeded ? [change] : [],
        ...(entry !== null && entry.owners > 0
          ? { warnings: [`${entry.owners} unfinished or finished actions block ${target.value} already.`] }
          : {}),
      };
    },
    observe: async (context, request) => {
      const { verb, target } = read(request);
      const list = whereOf(context, target);
      const isListed = await isThere(context, list, target.value);
      const message = `${target.value} is ${isListed ? '' : 'not '}in ${list}.`;
      const state = { inPlace: verb === 'deny' ? isListed : !isListed, message };
      if (!isFeed || verb !== 'deny' || !isListed) return state;
      const pickups = await pickupsOf(ledgerOf(context), list, target.value);
      return { ...state, message: `${message} ${pickedUpInWords(pickups)}`, details: { consumers: pickups } };
    },
    validate: (own, request) => refusalOf(own, request),
    health: (context) => driver.health(context),
    maintain: async (context): Promise<Maintained> => {
      if ('provision' in driver) await driver.provision?.(context);
      const ledger = ledgerOf(context);
      const total = { checked: 0, added: 0, removed: 0 };
      const problems: string[] = [];
      for (const list of await ledger.lists()) {
        const {
          checked,
          added,
          removed,
          states,
          problems: ofList,
        } = await writer.maintain(context, ledger, list);
        problems.push(...ofList.map((problem) => `${list}: ${problem}`));
        total.checked += checked;
        total.added += added;
        total.removed += removed;
        for (const [value, state] of states)
          if (state.kind === 'failed') problems.push(`${list}: ${value}: ${state.error.message}`);
      }
      return { ...total, problems };
    },
  });
}

/** The intent of a request, by its parameter's name. */
function read(request: Request): FirewallIntent & { readonly kind: Kind } {
  const verb = request.action.startsWith('Block') ? 'deny' : 'remove';
  const kind = request.action.replace(/^(?:Unb|B)lock/, '') as Kind;
  const value = String((request.parameters as Readonly<Record<string, unknown>>)[PARAMETERS[kind].name]);
  const address = value.includes(':') ? 'ipv6_net' : 'ipv4_net';
  const target = { Ip: address, Domain: 'domain_name', Url: 'uri' } as const;
  return { verb, kind, target: { kind: target[kind], value }, until: request.effectUntil ?? null };
}

function ledgerOf({ ledger }: Pick<InstanceContext, 'ledger'>): EntryLedger {
  if (ledger === undefined) throw new TypeError('a firewall plugin needs the ledger of its entries');
  return ledger;
}

function blockedInWords(value: string, state: EntryState | undefined): string {
  switch (state?.kind) {
    case 'foreign':
      return `${value} was blocked there before, not by Riposte; it stays as it was.`;
    case 'covered':
      return `${value} is blocked by ${state.by}, which holds it.`;
    default:
      return `${value} is blocked.`;
  }
}

function publishedInWords(value: string, list: string): string {
  return `${value} is published in ${list}. A firewall blocks it from its next fetch on; observe tells which have it.`;
}

/** Who fetches a list, and whether that has the entry in what it got last. */
type Pickup = {
  readonly name: string | null;
  readonly address: string;
  readonly fetchedAt: string;
  readonly hasIt: boolean;
};

async function pickupsOf(ledger: EntryLedger, list: string, value: string): Promise<readonly Pickup[]> {
  const [entry, readers] = await Promise.all([ledger.entry(list, value), ledger.readers(list)]);
  const since = entry?.writtenAt ?? null;
  return readers.slice(0, MOST_PICKUPS).map(({ name, address, fetchedAt, hasUpTo }) => ({
    name,
    address,
    fetchedAt: fetchedAt.toISOString(),
    hasIt: since !== null && hasUpTo !== null && hasUpTo >= since,
  }));
}

function pickedUpInWords(pickups: readonly Pickup[]): string {
  if (pickups.length === 0) return 'No firewall has fetched the list yet.';
  const named = (those: readonly Pickup[], when: boolean): string =>
    those
      .slice(0, 5)
      .map(({ name, address, fetchedAt }) =>
        [name ?? 'a firewall', `(${address})`, ...(when ? [`at ${fetchedAt}`] : [])].join(' '),
      )
      .join(', ') + (those.length > 5 ? ` and ${those.length - 5} more` : '');
  const have = pickups.filter(({ hasIt }) => hasIt);
  const lack = pickups.filter(({ hasIt }) => !hasIt);
  return [
    ...(have.length === 0 ? [] : [`Picked up by ${named(have, true)}.`]),
    ...(lack.length === 0 ? [] : [`Not yet by ${named(lack, false)}.`]),
  ].join(' ');
}

function releasedInWords(value: string, state: EntryState | undefined, stay: number): string {
  if (stay > 0)
    return `${value} stays blocked: ${stay} other ${stay === 1 ? 'action blocks' : 'actions block'} it.`;
  if (state === undefined) return `Riposte does not block ${value}.`;
  return state.kind === 'gone' && !state.isLeft
    ? `Riposte blocks ${value} no longer.`
    : `${value} stays blocked, not by Riposte.`;
}
