import { Type, type ActionManifest } from '#provider-sdk';

/** The mock's actions: what every provider knows, and some that behave badly on demand. */

const MOST_DURATION_MS = 86_400_000;
/** Verdicts of the engine's own; a vendor cannot pass them. */
const ENGINES_OWN_CODES = [408, 410, 499, 520];

const strict = { additionalProperties: false } as const;
const comment = Type.Optional(Type.String({ maxLength: 1000, examples: ['Case 4711'] }));

const ip = Type.Object(
  {
    IP: Type.String({
      format: 'ip',
      examples: ['203.0.113.7'],
      'x-aliases': ['address', 'ipAddress', 'destinationIp'],
    }),
    Comment: comment,
  },
  strict,
);
const url = Type.Object(
  { URL: Type.String({ format: 'url', examples: ['https://evil.example/x'] }), Comment: comment },
  strict,
);
const domain = Type.Object(
  {
    Domain: Type.String({
      format: 'domain',
      examples: ['evil.example'],
      'x-aliases': ['fqdn', 'domainName'],
    }),
    Comment: comment,
  },
  strict,
);
const file = Type.Object(
  {
    FileHash: Type.String({
      format: 'hash',
      examples: ['e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
      'x-aliases': ['hash', 'sha1', 'sha256', 'md5'],
    }),
    Comment: comment,
  },
  strict,
);
const machine = Type.Object(
  {
    MachineId: Type.String({
      minLength: 1,
      maxLength: 256,
      examples: ['host-7'],
      'x-aliases': ['machine', 'hostname', 'deviceId'],
    }),
    Comment: comment,
    UnlockPin: Type.Optional(
      Type.String({ writeOnly: true, description: 'Releases the machine by hand; never logged.' }),
    ),
  },
  strict,
);
const duration = Type.Object(
  {
    durationMs: Type.Integer({ minimum: 0, maximum: MOST_DURATION_MS, examples: [5000] }),
    Comment: comment,
  },
  strict,
);

function action<const Parameters extends ActionManifest['parameters']>(
  title: string,
  parameters: Parameters,
  aliases: readonly string[] = [],
  cancellable = false,
) {
  return { title, parameters, aliases, cancellable, idempotency: 'natural' } as const;
}

/** What shuts something off; it can be undone. */
const containment = { lane: 'containment', revertible: true, observable: true } as const;
/** What lets it go again. */
const release = { lane: 'release' } as const;
const ofMachine = { mutexKey: ['MachineId'] } as const;

export const actions = {
  BlockIp: { ...action('Block an IP address', ip, ['blockIpAddress']), ...containment },
  AllowIp: action('Allow an IP address', ip),
  UnblockIp: { ...action('Remove the block of an IP address', ip), ...release },
  BlockUrl: { ...action('Block a URL', url), ...containment },
  AllowUrl: action('Allow a URL', url),
  UnblockUrl: { ...action('Remove the block of a URL', url), ...release },
  BlockDomain: { ...action('Block a domain', domain), ...containment },
  AllowDomain: action('Allow a domain', domain),
  UnblockDomain: { ...action('Remove the block of a domain', domain), ...release },
  BlockFile: { ...action('Block a file by its hash', file, ['blockHash', 'blockFileHash']), ...containment },
  AllowFile: action('Allow a file by its hash', file),
  UnblockFile: { ...action('Remove the block of a file', file), ...release },
  IsolateMachine: {
    ...action('Cut a machine off the network', machine, [
      'isolateDevice',
      'isolateHost',
      'containHost',
      'quarantineDevice',
    ]),
    ...containment,
    ...ofMachine,
    blastRadius: 'isolation',
  },
  UnisolateMachine: {
    ...action('Let a machine back on the network', machine, ['releaseMachine', 'releaseDevice']),
    ...release,
    ...ofMachine,
  },
  RunAntivirusScan: { ...action('Scan a machine', machine, ['scanMachine']), ...ofMachine },
  CollectInvestigationPackage: { ...action('Collect forensic data of a machine', machine), ...ofMachine },
  LongRunning: action('Takes a while; is polled, reports progress, can be cancelled', duration, [], true),
  IgnoreCancel: action('Takes a while and cannot be cancelled', duration),
  FailAlways: action(
    'Fails with the code given',
    Type.Object(
      {
        code: Type.Integer({ minimum: 400, maximum: 599, not: { enum: ENGINES_OWN_CODES }, examples: [403] }),
        message: Type.String({
          maxLength: 1000,
          default: 'The mock was told to fail.',
          examples: ['not allowed'],
        }),
      },
      strict,
    ),
  ),
  FailTimes: action(
    'Fails transiently a number of times, then succeeds',
    Type.Object({ times: Type.Integer({ minimum: 0, maximum: 50, examples: [2] }) }, strict),
  ),
  Hang: action('Never answers', Type.Object({}, strict), [], true),
  Crash: action(
    'Takes the worker down, where the settings allow it',
    Type.Object(
      {
        how: Type.Union(
          [Type.Literal('throw'), Type.Literal('exit'), Type.Literal('outOfMemory'), Type.Literal('block')],
          { examples: ['throw'] },
        ),
        durationMs: Type.Integer({
          minimum: 0,
          maximum: 600_000,
          default: 20_000,
          description: 'How long `block` holds the event loop.',
          examples: [20_000],
        }),
      },
      strict,
    ),
  ),
} as const;
