import { ProviderError, Type, type Provider, type Static } from '#provider-sdk';
import type { DeviceEntry, DriverContext, FirewallDriver } from '../driver.js';
import { firewallProvider } from '../firewall-provider.js';
import { runProgram, type Ran } from './run-program.js';

/** The resolver Unbound, by `unbound-control`: the one way to block a domain, and all names below it, on Linux. */

const settings = {
  /** The program `unbound-control`, by name or path. */
  controlPath: Type.String({
    minLength: 1,
    maxLength: 255,
    default: 'unbound-control',
    examples: ['/usr/sbin/unbound-control'],
  }),
  /** The configuration that has `remote-control`. Default: the one that was built in. */
  config: Type.Optional(Type.String({ pattern: '^/', examples: ['/etc/unbound/unbound.conf'] })),
  /** Where Unbound listens for control: a socket, or address@port. Default: as its configuration says. */
  server: Type.Optional(
    Type.String({ pattern: '^[^-]', maxLength: 255, examples: ['/run/unbound.ctl', '192.0.2.53@8953'] }),
  ),
  /** Addresses that a blocked name is answered with. Default none: it is answered that there is no such name. */
  sinkhole: Type.Optional(
    Type.Object(
      {
        v4: Type.String({ format: 'ip', examples: ['192.0.2.1'] }),
        v6: Type.Optional(Type.String({ format: 'ip', examples: ['2001:db8::1'] })),
      },
      { additionalProperties: false },
    ),
  ),
};
type Settings = { readonly [Key in keyof typeof settings]: Static<(typeof settings)[Key]> };
type Context = DriverContext<Settings>;

const LIST = 'domains';

/** Kinds of zones that block, whoever made them. Others answer, or hand the question on (unbound.conf(5), local-zone). */
const BLOCKING: ReadonlySet<string> = new Set([
  'always_nxdomain',
  'always_nodata',
  'always_refuse',
  'always_deny',
  'always_null',
]);
const SINKHOLE = 'redirect';

const driver: FirewallDriver<Settings> = {
  listOf: (_settings, { kind }) =>
    kind === 'domain_name' ? { list: LIST } : { refused: 'A resolver knows names only.' },
  // Nor does it keep anything over a restart: the ledger does both.
  expires: false,
  // A zone within another stands beside it.
  covers: false,
  vendorHosts: ({ server }) =>
    server === undefined || server.startsWith('/') ? [] : [server.replace(/@\d+$/, '')],

  async read(context) {
    const zones = await zonesOf(context);
    const answers = await sinkholed(context, zones);
    return [...zones].flatMap(([value, type]): readonly DeviceEntry[] =>
      BLOCKING.has(type) || answers.has(value) ? [{ value, leftMs: null }] : [],
    );
  },

  async write(context, _list, { remove, add }) {
    const failures = new Map<string, ProviderError>();
    if (remove.length > 0)
      await tell(
        context,
        'local_zones_remove',
        remove.map((value) => [value, '']),
        failures,
      );
    if (add.length === 0) return failures;
    const zones = await zonesOf(context);
    const free = add.filter(({ value }) => {
      const type = zones.get(value);
      // It would be made another zone, and be gone with the block.
      if (type !== undefined && !BLOCKING.has(type))
        failures.set(
          value,
          new ProviderError(
            'conflict',
            `${value} is a zone of Unbound's own configuration (local-zone, ${type}). Take it out there, or block a name below it.`,
          ),
        );
      return type === undefined;
    });
    const { sinkhole } = context.settings;
    const kind = sinkhole === undefined ? 'always_nxdomain' : SINKHOLE;
    await tell(
      context,
      'local_zones',
      free.map(({ value }) => [value, ` ${kind}`]),
      failures,
    );
    const answers = [
      ...(sinkhole === undefined ? [] : [` A ${sinkhole.v4}`]),
      ...(sinkhole?.v6 === undefined ? [] : [` AAAA ${sinkhole.v6}`]),
    ];
    await tell(
      context,
      'local_datas',
      free.flatMap(({ value }) => answers.map((answer) => [value, answer] as const)),
      failures,
    );
    return failures;
  },

  async health(context) {
    try {
      const ran = await control(context, ['status'], false);
      const version = /version: (\S+)/.exec(ran.stdout)?.[1] ?? 'of an unknown version';
      await zonesOf(context);
      return { ok: true, message: `Unbound ${version} is running and takes commands.` };
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      return { ok: false, message: error.message };
    }
  },
};

/** The types of the zones there are, by their names. */
async function zonesOf(context: Context): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await control(context, ['list_local_zones'], false);
  return new Map(
    stdout.split('\n').flatMap((line) => {
      const [name = '', type] = line.split(' ');
      return type === undefined ? [] : [[plain(name), type] as const];
    }),
  );
}

/**
 * Zones that answer with our sinkhole, and those that have nothing to answer with: a write that was broken off leaves
 * such a one, by which the name is blocked, too.
 */
async function sinkholed(context: Context, zones: ReadonlyMap<string, string>): Promise<ReadonlySet<string>> {
  const { sinkhole } = context.settings;
  const found = [...zones].flatMap(([name, type]) => (type === SINKHOLE ? [name] : []));
  if (sinkhole === undefined || found.length === 0) return new Set();
  const { stdout } = await control(context, ['list_local_data'], false);
  const answers = new Map<string, readonly string[]>();
  for (const line of stdout.split('\n')) {
    const [name = '', , , , address = ''] = line.split(/\s+/);
    answers.set(plain(name), [...(answers.get(plain(name)) ?? []), address]);
  }
  return new Set(found.filter((name) => answers.get(name)?.includes(sinkhole.v4) !== false));
}

/** Sends one command with a line per value, and notes which of them were refused. */
async function tell(
  context: Context,
  command: string,
  lines: readonly (readonly [value: string, rest: string])[],
  failures: Map<string, ProviderError>,
): Promise<void> {
  if (lines.length === 0) return;
  const stdin = lines.map(([value, rest]) => `${value}${rest}\n`).join('');
  const ran = await control(context, [command], true, stdin, /^error for input line: /m);
  const refused = [...ran.stdout.matchAll(/^error for input line: (\S+)/gm)].map(([, value]) => value);
  for (const [value] of lines)
    if (refused.includes(value))
      failures.set(value, new ProviderError('permanent', `Unbound refuses ${value} (${firstLine(ran)}).`));
}

/**
 * @param mayFail words in its output with which a failure is no failure of the whole
 * @throws ProviderError where Unbound cannot be asked, saying why
 */
async function control(
  { settings: own, signal }: Context,
  command: readonly string[],
  changes: boolean,
  stdin = '',
  mayFail?: RegExp,
): Promise<Ran> {
  const args = [
    ...(own.config === undefined ? [] : ['-c', own.config]),
    ...(own.server === undefined ? [] : ['-s', own.server]),
    ...command,
  ];
  const ran = await runProgram(own.controlPath, args, {
    signal,
    changes,
    stdin,
    setting: 'settings.controlPath',
  });
  if (ran.code === 0 || mayFail?.test(ran.stdout) === true) return ran;
  const words = `${ran.stderr}\n${ran.stdout}`;
  const said = `(unbound-control: ${firstLine(ran)})`;
  if (/control-enable is 'no'/.test(words))
    throw new ProviderError(
      'permanent',
      `Unbound takes no commands ${said}. Set control-enable: yes under remote-control in its configuration, and restart it.`,
    );
  if (/could not read config file|Could not open/.test(words))
    throw new ProviderError(
      'permanent',
      `The configuration of Unbound cannot be read ${said}. Mend settings.config, or let the worker read it.`,
    );
  if (/Permission denied/.test(words))
    throw new ProviderError(
      'permission',
      `The worker may not command Unbound ${said}. Let its user write to the control socket.`,
    );
  if (/SSL|certificate|setup ctx/i.test(words))
    throw new ProviderError(
      'auth',
      `Unbound and unbound-control do not trust each other ${said}. Run unbound-control-setup, and let the worker read the keys.`,
    );
  if (/is stopped|connect:|Connection refused|No such file/.test(words))
    throw new ProviderError(
      'unreachable',
      `Unbound does not answer ${said}. Start it, or mend settings.server and settings.config.`,
    );
  throw new ProviderError(changes ? 'unknownOutcome' : 'transient', `Unbound failed ${said}.`);
}

function firstLine({ stdout, stderr, code }: Ran): string {
  const line = `${stderr}\n${stdout}`.split('\n').find((one) => one.trim() !== '');
  return (
    line?.replace(/^\[\d+\] unbound-control\[[\d:]+\] /, '').slice(0, 300) ?? `it ended with code ${code}`
  );
}

/** As a name is written canonically: Unbound's end with a dot, and keep their capitals. */
function plain(name: string): string {
  return name.replace(/\.$/, '').toLowerCase();
}

export const unbound = (): Provider =>
  firewallProvider({
    vendor: 'NLnet Labs',
    provider: 'Unbound',
    version: '1.0.0',
    title: 'The resolver Unbound: blocked names get no answer, or a sinkhole.',
    docUrl: 'https://unbound.docs.nlnetlabs.nl/en/latest/manpages/unbound-control.html',
    settings,
    concurrency: 100,
    targets: {
      ip: 'A resolver cannot block an address: it sees names only. Use a packet filter (plugin nftables).',
      domain: true,
      url: 'A resolver cannot block a URL: it sees names only. Block its domain, or use a proxy or a feed of URLs.',
    },
    driver,
  });
