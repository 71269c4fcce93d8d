import { CANONICAL, ProviderError, Type, plainWords, type Provider, type Static } from '#provider-sdk';
import { deviceHealth } from '../device-health.js';
import type { DeviceEntry, DriverContext, FirewallDriver, ListChanges } from '../driver.js';
import { firewallProvider } from '../firewall-provider.js';

/**
 * FortiGate by its REST API, in one of two ways: the list of banned addresses, which needs no rule and keeps times, or
 * address groups that rules use. Experimental: made from what others wrote of the API and from their clients, and not
 * tried against a device; docs/plugins/fortigate.md says what of it is not known.
 */

const SETTINGS = {
  /** Of the management interface. */
  baseUrl: Type.String({ format: 'url', examples: ['https://fw.example.com'] }),
  /** The virtual domain. */
  vdom: Type.String({ pattern: '^[A-Za-z0-9_.-]{1,31}$', default: 'root', examples: ['root'] }),
  /** Address groups that rules of yours deny, instead of the list of banned addresses. */
  addressGroups: Type.Optional(
    Type.Object(
      {
        v4: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_.-]{1,79}$', examples: ['riposte-block'] })),
        v6: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_.-]{1,79}$', examples: ['riposte-block6'] })),
      },
      { additionalProperties: false, minProperties: 1 },
    ),
  ),
} as const;
interface Settings {
  readonly baseUrl: string;
  readonly vdom: string;
  readonly addressGroups?: Static<typeof SETTINGS.addressGroups>;
}
type Context = DriverContext<Settings>;

const BANNED = 'banned';
/** The list of banned addresses, where releases have it. */
const SELECTS = ['monitor/user/banned/select', 'monitor/user/banned'] as const;
const MOST_BYTES = 16 * 1_048_576;
const MOST_PER_REQUEST = 500;

/** Everything that is no member list; `results` where there is something to read. */
const DONE = Type.Object({ status: Type.String(), error: Type.Optional(Type.Number()) });
const BANS = Type.Object({
  status: Type.String(),
  results: Type.Array(
    Type.Object({
      ip_address: Type.String(),
      expires: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
    }),
  ),
});
const GROUP = Type.Object({
  status: Type.String(),
  results: Type.Array(Type.Object({ member: Type.Array(Type.Object({ name: Type.String() })) })),
});
const ADDRESSES = Type.Object({
  status: Type.String(),
  results: Type.Array(
    Type.Object({
      name: Type.String(),
      subnet: Type.Optional(Type.String()),
      ip6: Type.Optional(Type.String()),
      comment: Type.Optional(Type.String()),
    }),
  ),
});

/** Errors of the configuration, by their number in `error`. */
const EXISTS = -5;
const NOT_FOUND = -3;
const IN_USE = -23;
const FULL = -4;

function driverOf(selects: Map<string, (typeof SELECTS)[number]>): FirewallDriver<Settings> {
  return {
    listOf: ({ addressGroups }, { kind, value }) => {
      if (addressGroups === undefined)
        return value.includes('/')
          ? {
              refused: `FortiGate bans single addresses only, and ${value} is a network. Set settings.addressGroups to block networks.`,
            }
          : { list: BANNED };
      const [key, list] =
        kind === 'ipv6_net' ? (['v6', addressGroups.v6] as const) : (['v4', addressGroups.v4] as const);
      return list === undefined
        ? { refused: `There is no address group for ${value}: set settings.addressGroups.${key}.` }
        : { list: `${key}:${list}` };
    },
    // An end of an address group is the engine's; what the device does not tell is not compared.
    expires: true,
    covers: false,
    vendorHosts: ({ baseUrl }) => [baseUrl],
    read: (context, list) => (list === BANNED ? readBans(selects, context) : readGroup(context, list)),
    write: (context, list, changes) =>
      list === BANNED ? writeBans(context, changes) : writeGroup(context, list, changes),
    health: (context) =>
      deviceHealth(async () => {
        const { addressGroups: { v4, v6 } = {}, vdom } = context.settings;
        const lists = [...(v4 === undefined ? [] : [`v4:${v4}`]), ...(v6 === undefined ? [] : [`v6:${v6}`])];
        if (lists.length === 0) await readBans(selects, context);
        for (const list of lists) await readGroup(context, list);
        return lists.length === 0
          ? `FortiGate answers, and lists the banned addresses of ${vdom}. Whether the token may ban is seen with the first block.`
          : `FortiGate answers, and has the address groups ${lists.join(', ')} in ${vdom}. They block what a policy of yours denies.`;
      }),
  };
}

async function readBans(
  selects: Map<string, (typeof SELECTS)[number]>,
  context: Context,
): Promise<readonly DeviceEntry[]> {
  const known = selects.get(context.instance);
  for (const select of known === undefined ? SELECTS : [known]) {
    const { status, body, headers } = await call(context, 'GET', select, {
      answer: BANS,
      accept: [404],
      maxBytes: MOST_BYTES,
    });
    if (status === 404) continue;
    selects.set(context.instance, select);
    // Ends are told by the device's own clock.
    const now = Date.parse(headers['date'] ?? '') || Date.now();
    return body.results.flatMap(({ ip_address: text, expires }) => {
      const value = CANONICAL.network(text);
      if (value === null) return [];
      return [
        {
          value,
          leftMs: expires === undefined || expires === null || expires === 0 ? null : expires * 1000 - now,
        },
      ];
    });
  }
  selects.delete(context.instance);
  throw new ProviderError(
    'permanent',
    'FortiGate lists no banned addresses (404). Check settings.baseUrl and settings.vdom; releases without this list can be used with settings.addressGroups.',
    { httpStatus: 404 },
  );
}

/** Bans that end at the same second go together. To ban again sets the time anew. */
async function writeBans(
  context: Context,
  { remove, add }: ListChanges,
): Promise<ReadonlyMap<string, ProviderError>> {
  const all = (values: readonly string[]): readonly (readonly string[])[] =>
    Array.from({ length: Math.ceil(values.length / MOST_PER_REQUEST) }, (_, index) =>
      values.slice(index * MOST_PER_REQUEST, (index + 1) * MOST_PER_REQUEST),
    );
  // Never `clear_all`, which takes away what others banned.
  for (const some of all(remove))
    await change(context, 'POST', 'monitor/user/banned/clear_users', { ip_addresses: [...some] });
  const byExpiry = new Map<number, string[]>();
  for (const { value, leftMs } of add) {
    const expiry = leftMs === null ? 0 : Math.max(1, Math.ceil(leftMs / 1000));
    byExpiry.set(expiry, [...(byExpiry.get(expiry) ?? []), value]);
  }
  for (const [expiry, values] of byExpiry)
    for (const some of all(values))
      await change(context, 'POST', 'monitor/user/banned/add_users', { ip_addresses: [...some], expiry });
  return new Map();
}

/** Where the configuration of a family is. */
function pathsOf(list: string): {
  readonly group: string;
  readonly addresses: string;
  readonly isV6: boolean;
} {
  const isV6 = list.startsWith('v6:');
  const name = encodeURIComponent(list.slice(3));
  return {
    isV6,
    group: `cmdb/firewall/addrgrp${isV6 ? '6' : ''}/${name}`,
    addresses: `cmdb/firewall/address${isV6 ? '6' : ''}`,
  };
}

/** What of the comment of an address shows that this instance made it. */
const commentOf = ({ instance }: Context): string => `Riposte ${instance}`;
/** Name of the address object of a value; a name has no slash. */
const nameOf = (value: string): string => `riposte_${value.replace('/', '_')}`;

async function readGroup(context: Context, list: string): Promise<readonly DeviceEntry[]> {
  const { group, addresses } = pathsOf(list);
  const { status, body } = await call(context, 'GET', group, {
    answer: GROUP,
    accept: [404],
    maxBytes: MOST_BYTES,
  });
  const [found] = status === 404 ? [] : body.results;
  if (found === undefined)
    throw new ProviderError(
      'permanent',
      `FortiGate has no address group ${list.slice(3)} in ${context.settings.vdom}. Make it (under Policy & Objects, Addresses) with one member of its own, and a policy that denies it, or correct settings.addressGroups.`,
      { httpStatus: 404 },
    );
  const members = new Set(found.member.map(({ name }) => name));
  const { body: objects } = await call(context, 'GET', addresses, {
    answer: ADDRESSES,
    query: { format: 'name|subnet|ip6|comment' },
    maxBytes: MOST_BYTES,
  });
  return objects.results.flatMap(({ name, subnet, ip6, comment }) => {
    const value = members.has(name) ? valueOf(subnet ?? ip6 ?? '') : null;
    return value === null ? [] : [{ value, isMarked: comment === commentOf(context) }];
  });
}

/** `198.51.100.0 255.255.255.0`, `198.51.100.0/24` and `2001:db8::/48` in our form. */
function valueOf(text: string): string | null {
  const [address = '', mask] = text.split(' ');
  if (mask === undefined) return CANONICAL.network(address);
  const bits = mask
    .split('.')
    .map(Number)
    .reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
  return CANONICAL.network(`${address}/${bits}`);
}

async function writeGroup(
  context: Context,
  list: string,
  { remove, add }: ListChanges,
): Promise<ReadonlyMap<string, ProviderError>> {
  const { group, addresses, isV6 } = pathsOf(list);
  const failures = new Map<string, ProviderError>();
  const each = async (values: readonly string[], one: (value: string) => Promise<void>): Promise<void> => {
    for (const value of values) {
      try {
        await one(value);
      } catch (error) {
        // Refused for itself: others may pass. Anything else stops the rest.
        if (
          !(error instanceof ProviderError) ||
          !['invalidInput', 'conflict', 'capacity'].includes(error.errorClass)
        )
          throw error;
        failures.set(value, error);
      }
    }
  };
  await each(remove, async (value) => {
    const name = encodeURIComponent(nameOf(value));
    await change(context, 'DELETE', `${group}/member/${name}`, null, [NOT_FOUND]);
    // It stays where somebody else uses it, too.
    await change(context, 'DELETE', `${addresses}/${name}`, null, [NOT_FOUND, IN_USE]);
  });
  await each(
    add.map(({ value }) => value),
    async (value) => {
      const name = nameOf(value);
      const comment = commentOf(context);
      const address = isV6
        ? { name, ip6: value.includes('/') ? value : `${value}/128`, comment }
        : { name, type: 'ipmask', subnet: value.includes('/') ? value : `${value}/32`, comment };
      await change(context, 'POST', addresses, address, [EXISTS]);
      await change(context, 'POST', `${group}/member`, { name }, [EXISTS]);
    },
  );
  return failures;
}

/** A change; done, or what `accepted` says is as good. */
async function change(
  context: Context,
  method: 'POST' | 'DELETE',
  path: string,
  json: NonNullable<Asked['json']> | null,
  accepted: readonly number[] = [],
): Promise<void> {
  const { status, body, text } = await call(context, method, path, {
    answer: DONE,
    // What the numbers mean is in the body, whatever HTTP says.
    accept: [400, 404, 405, 424, 500],
    ...(json === null ? {} : { json }),
  });
  const { error, status: said } = shapeOf(body);
  if (status === 200 && said === 'success') return;
  if (error !== undefined && accepted.includes(error)) return;
  if (status === 404 && accepted.includes(NOT_FOUND)) return;
  throw refusal(context, path, status, error, text);
}

/** Of a refusal nothing is known for sure. */
function shapeOf(body: unknown): { readonly status?: unknown; readonly error?: number } {
  if (typeof body !== 'object' || body === null) return {};
  const status: unknown = 'status' in body ? body.status : undefined;
  return 'error' in body && typeof body.error === 'number' ? { status, error: body.error } : { status };
}

function refusal(
  { secrets, settings }: Context,
  path: string,
  status: number,
  error: number | undefined,
  text: string,
): ProviderError {
  const words = plainWords(text, Object.values(secrets)).slice(0, 200);
  const what = `FortiGate refused ${path.split('/').slice(1, 4).join('/')} (HTTP ${status}${error === undefined ? '' : `, error ${error}`})`;
  const details = { httpStatus: status };
  if (error === FULL)
    return new ProviderError(
      'capacity',
      `${what}: the table is full. Take addresses or groups away.`,
      details,
    );
  switch (status) {
    case 404:
      return new ProviderError(
        'permanent',
        `${what}: it has no such thing. Check settings.vdom and the release.`,
        details,
      );
    case 405:
      return new ProviderError('permanent', `${what}: this release does not have it.`, details);
    case 424:
      return new ProviderError(
        'invalidInput',
        `${what}: something that it depends on is missing, or a value is refused: ${words}`,
        details,
      );
    case 500:
      // With a number the configuration refused it; without one nobody knows.
      return new ProviderError(
        error === undefined ? 'unknownOutcome' : 'invalidInput',
        `${what}: ${words}`,
        details,
      );
    default:
      return new ProviderError('invalidInput', `${what} in ${settings.vdom}: ${words}`, details);
  }
}

type Asked = Parameters<Context['http']['request']>[0];

/** One request, with the refusals of every one in words that say what to do. */
function call<Answer extends NonNullable<Asked['answer']>>(
  { settings, secrets, http }: Context,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  asked: Pick<Asked, 'json' | 'query' | 'maxBytes' | 'accept'> & { readonly answer: Answer },
) {
  return http.request<Answer>({
    ...asked,
    method,
    url: `${settings.baseUrl.replace(/(?<!\/)\/+$/, '')}/api/v2/${path}`,
    query: { ...asked.query, vdom: settings.vdom },
    headers: { authorization: `Bearer ${secrets['token']}` },
    classify: ({ status }) => {
      switch (status) {
        case 401:
          return {
            errorClass: 'auth',
            message:
              'FortiGate refused the API token. Make a new one (under System, Administrators, as a REST API Admin), check that its trusted hosts hold the address of this worker, and put it into secrets.token.',
          };
        case 403:
          return {
            errorClass: 'permission',
            message: `FortiGate does not let the token do this (${path.split('/').slice(0, 3).join('/')} in ${settings.vdom}). Give its administrator profile read and write for "User & Device" (bans) or "Firewall: Address" (groups), the vdom, and trusted hosts that hold the address of this worker.`,
          };
        case 424:
          return {
            errorClass: 'permanent',
            message: `FortiGate refused ${path.split('/').slice(0, 3).join('/')} (424). Check that there is a virtual domain ${settings.vdom} (settings.vdom) and that the token may use it.`,
          };
        default:
          return undefined;
      }
    },
  });
}

const ADDRESSES_ONLY = (what: string): string =>
  `This plugin blocks addresses of a FortiGate, and no ${what}. Use the feed plugin with an external resource of the FortiGate for it.`;

/** A provider with a memory of its own. */
export const fortigate = (): Provider =>
  firewallProvider({
    vendor: 'Fortinet',
    provider: 'FortiGate',
    version: '0.1.0',
    title: 'Bans addresses at a FortiGate, or blocks them by address groups (experimental).',
    docUrl: 'https://docs.fortinet.com/product/fortigate',
    settings: SETTINGS,
    secrets: { required: ['token'] },
    // Of a group: its members and their addresses, twice, and two changes.
    calls: 6,
    targets: { ip: true, domain: ADDRESSES_ONLY('domain'), url: ADDRESSES_ONLY('URL') },
    driver: driverOf(new Map()),
  });
