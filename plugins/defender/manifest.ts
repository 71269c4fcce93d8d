import { Type, type ActionManifest } from '#provider-sdk';
import { INDICATORS, READ_MACHINES } from './defender-api.js';
import { INDICATOR_TYPES } from './indicator-value.js';

/** Defender's actions: what callers may ask for, and what each needs. */

const DOCS = 'https://learn.microsoft.com/defender-endpoint/api';
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const strict = { additionalProperties: false } as const;
const SHA1 = '^[0-9a-fA-F]{40}$';

const Comment = Type.Optional(
  Type.String({
    maxLength: 1000,
    description: 'Shown in the action center of the Defender portal.',
    examples: ['Case 4711'],
  }),
);
const MachineId = Type.String({
  minLength: 1,
  maxLength: 255,
  description:
    'Defender’s machine id (40 hex digits), the DNS name (full, or its first part), or the internal IP address of the last 15 minutes.',
  examples: ['ws-anna.contoso.com'],
  'x-aliases': [
    'machine',
    'device',
    'deviceId',
    'hostname',
    'host',
    'fqdn',
    'dnsName',
    'computerDnsName',
    'ip',
    'ipAddress',
  ],
});
const machine = Type.Object({ MachineId, Comment }, strict);

const liveCommand = Type.Union([
  commandOf('PutFile', ['FileName']),
  commandOf('RunScript', ['ScriptName', 'Args']),
  commandOf('GetFile', ['Path']),
]);

function commandOf(type: string, keys: readonly string[]) {
  const params = Type.Array(
    Type.Object({ key: Type.Enum([...keys]), value: Type.String({ minLength: 1, maxLength: 4000 }) }, strict),
    { minItems: 1, maxItems: keys.length },
  );
  return Type.Object({ type: Type.Literal(type), params }, strict);
}

/** What is common to actions on machines: Defender is asked for what was made by our marker. */
function onMachine<const Permission extends string>(permission: Permission) {
  return {
    idempotency: 'lookup',
    cancellable: true,
    mutexKey: ['MachineId'],
    // The machine's id by its name, what is under way there, and the action.
    calls: 3,
    requiredPermissions: [permission, READ_MACHINES[0]],
  } as const;
}

const contains = { lane: 'containment', revertible: true, observable: true } as const;
const releases = { lane: 'release' } as const;

const machineActions = {
  IsolateMachine: {
    title: 'Cuts a machine off the network, but for its way to Defender',
    aliases: ['isolateDevice', 'isolateHost', 'containHost', 'quarantineDevice'],
    parameters: Type.Object(
      {
        MachineId,
        IsolationType: Type.Enum(['Full', 'Selective', 'UnManagedDevice'], {
          default: 'Full',
          description:
            'Selective leaves Outlook, Teams and Skype. UnManagedDevice contains a device that is not onboarded.',
          examples: ['Full'],
        }),
        Comment,
      },
      strict,
    ),
    ...onMachine('Machine.Isolate'),
    ...contains,
    blastRadius: 'isolation',
    deadlineMs: 30 * MINUTE_MS,
    docUrl: `${DOCS}/isolate-machine`,
  },
  UnisolateMachine: {
    title: 'Lets an isolated machine back on the network',
    aliases: ['releaseMachine', 'releaseDevice', 'unisolateDevice', 'releaseHost'],
    parameters: machine,
    ...onMachine('Machine.Isolate'),
    ...releases,
    deadlineMs: 30 * MINUTE_MS,
    docUrl: `${DOCS}/unisolate-machine`,
  },
  RestrictAppExecution: {
    title: 'Lets a machine run only programs that Microsoft signed',
    aliases: ['restrictCodeExecution', 'restrictExecution'],
    parameters: machine,
    ...onMachine('Machine.RestrictExecution'),
    ...contains,
    deadlineMs: 30 * MINUTE_MS,
    docUrl: `${DOCS}/restrict-code-execution`,
  },
  UnrestrictAppExecution: {
    title: 'Lets a machine run any program again',
    aliases: ['unrestrictCodeExecution', 'removeAppRestriction', 'liftRestriction'],
    parameters: machine,
    ...onMachine('Machine.RestrictExecution'),
    ...releases,
    deadlineMs: 30 * MINUTE_MS,
    docUrl: `${DOCS}/unrestrict-code-execution`,
  },
  RunAntivirusScan: {
    title: 'Scans a machine with Defender Antivirus',
    aliases: ['scanMachine', 'scanDevice', 'runAvScan'],
    parameters: Type.Object(
      {
        MachineId,
        ScanType: Type.Enum(['Quick', 'Full'], { default: 'Quick', examples: ['Quick'] }),
        Comment,
      },
      strict,
    ),
    ...onMachine('Machine.Scan'),
    deadlineMs: 24 * HOUR_MS,
    docUrl: `${DOCS}/run-av-scan`,
  },
  StopAndQuarantineFile: {
    title: 'Stops a file that runs on a machine, and puts it in quarantine',
    aliases: ['quarantineFile'],
    parameters: Type.Object(
      {
        MachineId,
        Sha1: Type.String({
          pattern: SHA1,
          description: 'Defender takes SHA-1 only here, of a file it has seen on the machine.',
          examples: ['4388963aaa83afe2042a46a3c017ad50bdcdafb3'],
          'x-aliases': ['hash', 'fileHash'],
        }),
        Comment,
      },
      strict,
    ),
    ...onMachine('Machine.StopAndQuarantine'),
    lane: 'containment',
    deadlineMs: 30 * MINUTE_MS,
    docUrl: `${DOCS}/stop-and-quarantine-file`,
  },
  CollectInvestigationPackage: {
    title: 'Collects forensic data of a machine',
    aliases: ['collectPackage', 'collectForensics'],
    parameters: machine,
    ...onMachine('Machine.CollectForensics'),
    deadlineMs: 6 * HOUR_MS,
    docUrl: `${DOCS}/collect-investigation-package`,
  },
  OffboardMachine: {
    title: 'Takes a machine out of Defender, for good; off unless the settings name it',
    aliases: ['offboardDevice'],
    parameters: machine,
    ...onMachine('Machine.Offboard'),
    deadlineMs: 6 * HOUR_MS,
    docUrl: `${DOCS}/offboard-machine-api`,
  },
  RunLiveResponse: {
    title: 'Runs commands of live response on a machine',
    aliases: ['liveResponse'],
    parameters: Type.Object(
      {
        MachineId,
        Commands: Type.Array(liveCommand, {
          minItems: 1,
          maxItems: 10,
          description:
            'PutFile, RunScript and GetFile, in this order; scripts and files have to be in the live response library.',
          examples: [[{ type: 'RunScript', params: [{ key: 'ScriptName', value: 'collect.ps1' }] }]],
        }),
        Comment,
      },
      strict,
    ),
    ...onMachine('Machine.LiveResponse'),
    deadlineMs: 30 * MINUTE_MS,
    docUrl: `${DOCS}/run-live-response`,
  },
  RunScript: {
    title: 'Runs a script of the live response library on a machine',
    parameters: Type.Object(
      {
        MachineId,
        ScriptName: Type.String({
          minLength: 1,
          maxLength: 255,
          examples: ['collect.ps1'],
          'x-aliases': ['script'],
        }),
        Args: Type.Optional(
          Type.String({ minLength: 1, maxLength: 4000, examples: ['-Days 7'], 'x-aliases': ['arguments'] }),
        ),
        Comment,
      },
      strict,
    ),
    ...onMachine('Machine.LiveResponse'),
    deadlineMs: 30 * MINUTE_MS,
    docUrl: `${DOCS}/run-live-response`,
  },
  GetFile: {
    title: 'Fetches a file of a machine into Defender',
    parameters: Type.Object(
      {
        MachineId,
        Path: Type.String({ minLength: 1, maxLength: 1024, examples: ['C:\\Temp\\evil.exe'] }),
        Comment,
      },
      strict,
    ),
    ...onMachine('Machine.LiveResponse'),
    deadlineMs: 30 * MINUTE_MS,
    docUrl: `${DOCS}/run-live-response`,
  },
  PutFile: {
    title: 'Puts a file of the live response library on a machine',
    parameters: Type.Object(
      { MachineId, FileName: Type.String({ minLength: 1, maxLength: 255, examples: ['tool.exe'] }), Comment },
      strict,
    ),
    ...onMachine('Machine.LiveResponse'),
    deadlineMs: 30 * MINUTE_MS,
    docUrl: `${DOCS}/run-live-response`,
  },
  StartInvestigation: {
    title: 'Starts an automated investigation of a machine; off unless the settings name it',
    aliases: ['startAutomatedInvestigation'],
    parameters: machine,
    // Nothing of ours can be found in an investigation.
    idempotency: 'none',
    cancellable: false,
    mutexKey: ['MachineId'],
    calls: 2,
    requiredPermissions: ['Alert.ReadWrite.All', READ_MACHINES[0]],
    deprecated: { since: '2026-09-01', replacement: 'RunAntivirusScan' },
    docUrl: `${DOCS}/initiate-autoir-investigation`,
  },
} as const satisfies Readonly<Record<string, ActionManifest>>;

const IP = Type.String({
  format: 'ip',
  description: 'One external address; Defender takes no networks.',
  examples: ['1.2.3.4'],
  'x-aliases': ['address', 'ipAddress', 'destinationIp'],
});
const Domain = Type.String({
  format: 'domain',
  description: 'Covers the domains below it.',
  examples: ['evil.example'],
  'x-aliases': ['fqdn', 'domainName'],
});
const webAddress = Type.String({
  format: 'url',
  description: 'A path of an https address works in Edge only.',
  examples: ['https://evil.example/x'],
});
const FileHash = Type.String({
  format: 'hash',
  examples: ['e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  'x-aliases': ['hash', 'sha1', 'sha256', 'md5'],
});
const Thumbprint = Type.String({
  pattern: SHA1,
  description: 'SHA-1 of the certificate.',
  examples: ['4388963aaa83afe2042a46a3c017ad50bdcdafb3'],
  'x-aliases': ['certificate', 'certificateThumbprint'],
});
const IndicatorValue = Type.String({
  minLength: 1,
  maxLength: 2048,
  examples: ['evil.example'],
  'x-aliases': ['value', 'indicator'],
});
const IndicatorType = Type.Enum([...INDICATOR_TYPES], { examples: ['DomainName'], 'x-aliases': ['type'] });

/** What one may say of an indicator besides its target. */
const wishes = {
  Comment,
  Title: Type.Optional(Type.String({ minLength: 1, maxLength: 200, examples: ['Case 4711'] })),
  Severity: Type.Enum(['Informational', 'Low', 'Medium', 'High'], { default: 'Medium', examples: ['High'] }),
  GenerateAlert: Type.Boolean({
    default: false,
    description: 'Whether what hits it raises an alert; Audit always does.',
    examples: [true],
  }),
  RecommendedActions: Type.Optional(
    Type.String({ minLength: 1, maxLength: 1000, examples: ['Isolate the machine'] }),
  ),
  RbacGroupNames: Type.Optional(
    Type.Array(Type.String({ minLength: 1 }), {
      minItems: 1,
      description: 'Device groups it is for. Absent: all.',
      examples: [['Servers']],
    }),
  ),
};
const educates = {
  ...wishes,
  EducateUrl: Type.Optional(
    Type.String({
      format: 'url',
      description: 'Where people are sent that it stops.',
      examples: ['https://intranet.example/why'],
    }),
  ),
};
const remediates = {
  ...wishes,
  Remediate: Type.Boolean({
    default: false,
    description: 'Also puts the file in quarantine wherever it is found.',
    examples: [true],
  }),
};

function setting(mutexKey: readonly string[], title: string, aliases: readonly string[] = []) {
  return {
    title,
    aliases,
    // One indicator per value and type: to set it again changes nothing.
    idempotency: 'natural',
    cancellable: false,
    revertible: true,
    supportsExpiry: true,
    observable: true,
    calls: 2,
    mutexKey,
    requiredPermissions: [INDICATORS[0]],
    docUrl: `${DOCS}/post-ti-indicator`,
  } as const;
}

function removing(mutexKey: readonly string[], title: string, aliases: readonly string[] = []) {
  return {
    ...setting(mutexKey, title, aliases),
    supportsExpiry: false,
    lane: 'release',
    docUrl: `${DOCS}/delete-ti-indicator-by-id`,
  } as const;
}

const contained = { lane: 'containment' } as const;
const ofIp = Type.Object({ IP, ...wishes }, strict);
const ofDomain = Type.Object({ Domain, ...educates }, strict);
const ofUrl = Type.Object({ URL: webAddress, ...educates }, strict);
const ofFile = Type.Object({ FileHash, ...wishes }, strict);
const ofCertificate = Type.Object({ Thumbprint, ...wishes }, strict);

const indicatorActions = {
  BlockIp: {
    ...setting(['IP'], 'Blocks an IP address on all machines', ['blockIpAddress', 'blockAddress']),
    ...contained,
    parameters: ofIp,
  },
  AllowIp: { ...setting(['IP'], 'Allows an IP address', ['allowIpAddress']), parameters: ofIp },
  AuditIp: { ...setting(['IP'], 'Raises an alert at an IP address', ['alertIp']), parameters: ofIp },
  WarnIp: { ...setting(['IP'], 'Warns people at an IP address'), ...contained, parameters: ofIp },
  UnblockIp: {
    ...removing(['IP'], 'Removes the block of an IP address', ['unblockIpAddress']),
    parameters: Type.Object({ IP, Comment }, strict),
  },
  BlockDomain: {
    ...setting(['Domain'], 'Blocks a domain on all machines', ['blockFqdn']),
    ...contained,
    parameters: ofDomain,
  },
  AllowDomain: { ...setting(['Domain'], 'Allows a domain'), parameters: ofDomain },
  AuditDomain: {
    ...setting(['Domain'], 'Raises an alert at a domain', ['alertDomain']),
    parameters: ofDomain,
  },
  WarnDomain: { ...setting(['Domain'], 'Warns people at a domain'), ...contained, parameters: ofDomain },
  UnblockDomain: {
    ...removing(['Domain'], 'Removes the block of a domain'),
    parameters: Type.Object({ Domain, Comment }, strict),
  },
  BlockUrl: { ...setting(['URL'], 'Blocks a URL on all machines'), ...contained, parameters: ofUrl },
  AllowUrl: { ...setting(['URL'], 'Allows a URL'), parameters: ofUrl },
  AuditUrl: { ...setting(['URL'], 'Raises an alert at a URL', ['alertUrl']), parameters: ofUrl },
  WarnUrl: { ...setting(['URL'], 'Warns people at a URL'), ...contained, parameters: ofUrl },
  UnblockUrl: {
    ...removing(['URL'], 'Removes the block of a URL'),
    parameters: Type.Object({ URL: webAddress, Comment }, strict),
  },
  BlockFile: {
    ...setting(['FileHash'], 'Blocks a file by its hash on all machines', ['blockHash', 'blockFileHash']),
    ...contained,
    parameters: Type.Object({ FileHash, ...remediates }, strict),
  },
  AllowFile: { ...setting(['FileHash'], 'Allows a file by its hash', ['allowHash']), parameters: ofFile },
  AuditFile: {
    ...setting(['FileHash'], 'Raises an alert at a file', ['alertFile', 'auditHash']),
    parameters: ofFile,
  },
  WarnFile: {
    ...setting(['FileHash'], 'Warns people at a file', ['warnHash']),
    ...contained,
    parameters: ofFile,
  },
  UnblockFile: {
    ...removing(['FileHash'], 'Removes the block of a file', ['unblockHash', 'unblockFileHash']),
    parameters: Type.Object({ FileHash, Comment }, strict),
  },
  BlockCertificate: {
    ...setting(['Thumbprint'], 'Blocks what a certificate has signed, and puts it in quarantine'),
    ...contained,
    parameters: ofCertificate,
  },
  AllowCertificate: {
    ...setting(['Thumbprint'], 'Allows what a certificate has signed'),
    parameters: ofCertificate,
  },
  UnblockCertificate: {
    ...removing(['Thumbprint'], 'Removes the block of a certificate'),
    parameters: Type.Object({ Thumbprint, Comment }, strict),
  },
  AlertIndicator: {
    ...setting(['IndicatorType', 'IndicatorValue'], 'Raises an alert at an indicator', ['auditIndicator']),
    parameters: Type.Object({ IndicatorType, IndicatorValue, ...wishes }, strict),
  },
  RemoveIndicator: {
    ...removing(['IndicatorType', 'IndicatorValue'], 'Removes an indicator, whatever it does', [
      'deleteIndicator',
    ]),
    parameters: Type.Object({ IndicatorType, IndicatorValue, Comment }, strict),
  },
} as const satisfies Readonly<Record<string, ActionManifest>>;

export const actions = { ...machineActions, ...indicatorActions };

const LIVE_RESPONSE = ['RunLiveResponse', 'RunScript', 'GetFile', 'PutFile'] as const;

/**
 * Per application and tenant. Sustained it is the hour's window that counts: 25 calls a minute.
 * See https://learn.microsoft.com/defender-endpoint/api/exposed-apis-list.
 */
export const rateLimits = [
  { calls: 100, perSeconds: 60 },
  { calls: 1500, perSeconds: 3600 },
  // 10 a minute of the request that begins one, before which there is always one that reads.
  { calls: 20, perSeconds: 60, actions: [...LIVE_RESPONSE] },
  { calls: 50, perSeconds: 3600, actions: ['StartInvestigation'] },
];
