import {
  CANONICAL,
  ProviderError,
  Type,
  plainWords,
  type Provider,
  type ResolveHost,
  type Static,
} from '#provider-sdk';
import type { DeviceEntry, DriverContext, FirewallDriver, FirewallTarget } from '../driver.js';
import { deviceHealth } from '../device-health.js';
import { firewallProvider } from '../firewall-provider.js';

/**
 * OPNsense by its alias API: https://docs.opnsense.org/development/api/core/firewall.html. What it answers was read in
 * the controllers of its source. An alias of type `network` takes addresses and networks of both families; `alias_util`
 * changes its table in the running filter and keeps that in the configuration.
 */

const SETTINGS = {
  /** Of the web interface. */
  baseUrl: Type.String({ format: 'url', examples: ['https://fw.example.com'] }),
  /** Name of the alias that a blocking rule uses. */
  alias: Type.String({
    pattern: '^[A-Za-z_][A-Za-z0-9_]{0,31}$',
    default: 'riposte_block',
    examples: ['riposte_block'],
  }),
  /** Makes the alias where it is missing. It blocks nothing until a rule uses it. */
  createAlias: Type.Boolean({ default: false }),
  /** Ends connections of what is newly blocked; needs the privilege for it. */
  killStates: Type.Boolean({ default: true }),
} as const;
type Settings = { readonly [Key in keyof typeof SETTINGS]: Static<(typeof SETTINGS)[Key]> };
type Context = DriverContext<Settings>;

const STATUS = Type.Object({ status: Type.String(), status_msg: Type.Optional(Type.String()) });
/** Rows since 21.7, the values alone before. */
const TABLE = Type.Union([
  Type.Object({ rows: Type.Array(Type.Object({ ip: Type.String() })) }),
  Type.Array(Type.String()),
]);
/** The uuid of an alias; PHP writes an empty object as `[]`. */
const UUID = Type.Union([Type.Object({ uuid: Type.String() }), Type.Array(Type.Never())]);
/** Of the types of an alias one is selected. */
const ALIAS = Type.Object({
  alias: Type.Object({
    enabled: Type.String(),
    type: Type.Record(Type.String(), Type.Object({ selected: Type.Unknown() })),
  }),
});
const ADDED = Type.Object({ result: Type.String(), validations: Type.Optional(Type.Unknown()) });
const KILLED = Type.Object({ result: Type.String() });

/** Types whose entries `alias_util` changes. */
const CHANGEABLE: ReadonlySet<string> = new Set(['host', 'network', 'external']);

/** Bytes of a table of about 100,000 addresses. */
const MOST_BYTES = 16 * 1_048_576;

const driver: FirewallDriver<Settings> = {
  listOf: ({ alias }) => ({ list: alias }),
  expires: false,
  covers: false,
  vendorHosts: ({ baseUrl }) => [baseUrl],

  async read(context, list): Promise<readonly DeviceEntry[]> {
    const { body } = await call(context, 'GET', `firewall/alias_util/list/${list}`, {
      answer: TABLE,
      maxBytes: MOST_BYTES,
    });
    const texts = Array.isArray(body) ? body : body.rows.map(({ ip }) => ip);
    // A table that is not there reads as an empty one.
    if (texts.length === 0 && !context.settings.createAlias && !(await exists(context, list)))
      throw notProvisioned(list);
    return texts.flatMap((text) => {
      const value = CANONICAL.network(text);
      return value === null ? [] : [{ value }];
    });
  },

  async write(context, list, { remove, add }) {
    const failures = new Map<string, ProviderError>();
    if (add.length > 0 && context.settings.createAlias && !(await exists(context, list)))
      await createAlias(context, list);
    for (const [action, values] of [
      ['delete', remove],
      ['add', add.map(({ value }) => value)],
    ] as const)
      for (const value of values) {
        const { body } = await call(context, 'POST', `firewall/alias_util/${action}/${list}`, {
          json: { address: value },
          answer: STATUS,
        });
        const failure = failureOf(body, list, value, context.secrets);
        if (failure?.errorClass === 'permanent') throw failure;
        if (failure !== null) failures.set(value, failure);
      }
    return failures;
  },

  async killStates(context, values) {
    if (!context.settings.killStates) return;
    for (const value of values)
      await call(context, 'POST', 'diagnostics/firewall/kill_states', {
        json: { filter: value },
        answer: KILLED,
      });
  },

  health: (context) =>
    deviceHealth(async () => {
      const { alias, createAlias: mayCreate } = context.settings;
      const uuid = await uuidOf(context, alias);
      if (uuid === null && !mayCreate) throw notProvisioned(alias);
      if (uuid === null)
        return `The alias ${alias} is made with the first block; it blocks nothing until a rule uses it.`;
      const { body } = await call(context, 'GET', `firewall/alias/getItem/${uuid}`, { answer: ALIAS });
      const [type = 'unknown'] =
        Object.entries(body.alias.type).find(([, { selected }]) => Number(selected) === 1) ?? [];
      if (!CHANGEABLE.has(type))
        throw new ProviderError(
          'permanent',
          `The alias ${alias} is of type ${type}, which cannot be changed entry by entry. ${HOW_TO_MAKE(alias)}`,
        );
      if (body.alias.enabled !== '1')
        throw new ProviderError(
          'permanent',
          `The alias ${alias} is disabled, so it blocks nothing. Enable it under Firewall, Aliases.`,
        );
      return `The alias ${alias} (${type}) is there and enabled. It blocks what a rule of yours blocks that uses it.`;
    }),
};

async function uuidOf(context: Context, alias: string): Promise<string | null> {
  // In camel case, which older releases know, too.
  const { body } = await call(context, 'GET', `firewall/alias/getAliasUUID/${alias}`, { answer: UUID });
  return Array.isArray(body) ? null : body.uuid;
}

const exists = async (context: Context, alias: string): Promise<boolean> =>
  (await uuidOf(context, alias)) !== null;

/** Makes the alias and loads it: until `reconfigure` it is in the configuration only. */
async function createAlias(context: Context, name: string): Promise<void> {
  const { body } = await call(context, 'POST', 'firewall/alias/addItem', {
    json: {
      alias: { enabled: '1', name, type: 'network', content: '', description: 'Blocked by Riposte' },
    },
    answer: ADDED,
  });
  // Another worker may have made it meanwhile; its name is taken then.
  if (body.result !== 'saved' && !(await exists(context, name)))
    throw new ProviderError(
      'permanent',
      `OPNsense did not make the alias ${name}: ${plainWords(JSON.stringify(body.validations ?? body.result), Object.values(context.secrets))}. Make it yourself (Firewall, Aliases, type Network(s)), or give another name in settings.alias.`,
    );
  const applied = await call(context, 'POST', 'firewall/alias/reconfigure', { json: {}, answer: STATUS });
  if (applied.body.status !== 'ok')
    throw new ProviderError(
      'transient',
      `OPNsense made the alias ${name} and did not load it (${applied.body.status}).`,
    );
}

/** What a status that came with HTTP 200 means; null where it is done. */
function failureOf(
  { status, status_msg: words = '' }: Static<typeof STATUS>,
  list: string,
  value: string,
  secrets: Context['secrets'],
): ProviderError | null {
  switch (status) {
    case 'done':
      return null;
    case 'not_an_address':
      return new ProviderError('invalidInput', `OPNsense does not take ${value} for an address.`);
    default:
      // It fails for an alias that it does not have, or that is of a type that cannot be changed; it has no code for either.
      return new ProviderError(
        'permanent',
        `OPNsense did not change the alias ${list} (${plainWords(words === '' ? status : `${status}: ${words}`, Object.values(secrets))}). ${HOW_TO_MAKE(list)}`,
      );
  }
}

const HOW_TO_MAKE = (alias: string): string =>
  `Make an alias ${alias} of type Network(s) under Firewall, Aliases and a rule that blocks it, or set settings.alias to that of yours.`;

function notProvisioned(alias: string): ProviderError {
  return new ProviderError('permanent', `OPNsense has no alias ${alias}. ${HOW_TO_MAKE(alias)}`);
}

type Asked = Parameters<Context['http']['request']>[0];

/** One request, with the device's refusals in words that say what to do. */
function call<Answer extends NonNullable<Asked['answer']>>(
  { settings, secrets, http }: Context,
  method: 'GET' | 'POST',
  path: string,
  asked: Pick<Asked, 'json' | 'maxBytes'> & { readonly answer: Answer },
) {
  const credentials = `${secrets['apiKey']}:${secrets['apiSecret']}`;
  return http.request<Answer>({
    ...asked,
    method,
    url: `${settings.baseUrl.replace(/(?<!\/)\/+$/, '')}/api/${path}`,
    headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
    classify: ({ status }) => {
      switch (status) {
        case 401:
          return {
            errorClass: 'auth',
            message:
              'OPNsense refused the API key. Make a new one (under System, Access, Users, at the user) and put its key and secret into secrets.apiKey and secrets.apiSecret.',
          };
        case 403:
          return {
            errorClass: 'permission',
            message: `OPNsense does not let the user of the API key do this (${path.split('/').slice(0, 3).join('/')}). Give the user the privileges "Firewall: Alias: Edit", "Firewall: Aliases" and, for killStates, "Diagnostics: Show States".`,
          };
        case 404:
          return {
            errorClass: 'permanent',
            message: `There is no OPNsense API at settings.baseUrl (404 for ${path.split('/').slice(0, 3).join('/')}). Give the address of its web interface.`,
          };
        default:
          return undefined;
      }
    },
  });
}

const ADDRESSES_ONLY = (what: FirewallTarget['kind']): string =>
  `A packet filter cannot block a ${what === 'uri' ? 'URL' : 'domain'}: it sees addresses only. Use a DNS filter (the unbound plugin) or the pull feed of a proxy for it.`;

/**
 * A provider with a memory of its own.
 *
 * @param resolve how the firewall's name is looked up. Default: as the system does
 */
export const opnsense = (resolve?: ResolveHost): Provider =>
  firewallProvider(
    {
      vendor: 'OPNsense',
      provider: 'Firewall',
      version: '0.1.0',
      title: 'Blocks addresses and networks by an alias of an OPNsense firewall.',
      docUrl: 'https://docs.opnsense.org/development/api/core/firewall.html',
      settings: SETTINGS,
      secrets: { required: ['apiKey', 'apiSecret'] },
      // The table, whether an empty one is there at all, the change, the table again, the connections.
      calls: 5,
      targets: { ip: true, domain: ADDRESSES_ONLY('domain_name'), url: ADDRESSES_ONLY('uri') },
      driver,
    },
    resolve,
  );
