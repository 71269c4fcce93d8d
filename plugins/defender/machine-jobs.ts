import type { Json } from '#provider-sdk';

/** A response action of Defender's: what is sent, and how it is found again. */
export interface MachineJob {
  /** Last part of the path it is posted to. */
  readonly segment: string;
  /** `type` of its machine action. */
  readonly type: string;
  /** The type that undoes it, or that it undoes: the newer one of both says in which state the machine is. */
  readonly counterpart?: string;
  /** True where it lets go what its counterpart shuts off. */
  readonly releases?: boolean;
  /** Besides the comment. Names are case-sensitive. */
  readonly body: Readonly<Record<string, Json>>;
  /** `scope` of its machine action, where it has one. */
  readonly scope?: string;
  readonly sha1?: string;
  /** Indexes of the commands that are scripts, whose exit codes count. Absent: no live response. */
  readonly scripts?: readonly number[];
  readonly commands?: number;
  /** Application permission it needs. */
  readonly permission: string;
  /** What was done, in words. */
  readonly done: string;
  /** What one has to know of its end. */
  readonly hint?: string;
}

type Parameters = Readonly<Record<string, unknown>>;

interface LiveCommand {
  readonly type: 'PutFile' | 'RunScript' | 'GetFile';
  readonly params: readonly { readonly key: string; readonly value: string }[];
}

const ISOLATION = { permission: 'Machine.Isolate' } as const;
const RESTRICTION = { permission: 'Machine.RestrictExecution' } as const;

/** By the manifest's names. Parameters are those that its schemas let through. */
const JOBS: Readonly<Record<string, (parameters: Parameters) => MachineJob>> = {
  IsolateMachine: ({ IsolationType }) => ({
    ...ISOLATION,
    segment: 'isolate',
    type: 'Isolate',
    counterpart: 'Unisolate',
    body: { IsolationType: String(IsolationType) },
    scope: String(IsolationType),
    done: 'The machine is isolated.',
  }),
  UnisolateMachine: () => RELEASES.Isolate,
  RestrictAppExecution: () => ({
    ...RESTRICTION,
    segment: 'restrictCodeExecution',
    type: 'RestrictCodeExecution',
    counterpart: 'UnrestrictCodeExecution',
    body: {},
    done: 'The machine runs only programs that Microsoft signed.',
  }),
  UnrestrictAppExecution: () => RELEASES.RestrictCodeExecution,
  RunAntivirusScan: ({ ScanType }) => ({
    segment: 'runAntiVirusScan',
    type: 'RunAntiVirusScan',
    body: { ScanType: String(ScanType) },
    scope: String(ScanType),
    permission: 'Machine.Scan',
    done: 'The scan has run. What it found stands in the alerts of the machine.',
  }),
  StopAndQuarantineFile: ({ Sha1 }) => ({
    segment: 'StopAndQuarantineFile',
    type: 'StopAndQuarantineFile',
    body: { Sha1: String(Sha1) },
    sha1: String(Sha1),
    permission: 'Machine.StopAndQuarantine',
    done: 'The file is stopped and in quarantine.',
  }),
  CollectInvestigationPackage: () => ({
    segment: 'collectInvestigationPackage',
    type: 'CollectInvestigationPackage',
    body: {},
    permission: 'Machine.CollectForensics',
    done: 'The package is collected.',
    hint: 'Whoever has the link has the package, so it is not kept here: get one by GET /api/machineactions/{machineActionId}/getPackageUri, or from the action center in the Defender portal.',
  }),
  OffboardMachine: () => ({
    segment: 'offboard',
    type: 'Offboard',
    body: {},
    permission: 'Machine.Offboard',
    done: 'The sensor on the machine has stopped. Only onboarding it again starts it.',
  }),
  RunLiveResponse: ({ Commands }) => liveResponse(Commands as readonly LiveCommand[]),
  RunScript: ({ ScriptName, Args }) =>
    liveResponse([
      {
        type: 'RunScript',
        params: [
          { key: 'ScriptName', value: String(ScriptName) },
          ...(typeof Args === 'string' ? [{ key: 'Args', value: Args }] : []),
        ],
      },
    ]),
  GetFile: ({ Path }) => liveResponse([{ type: 'GetFile', params: [{ key: 'Path', value: String(Path) }] }]),
  PutFile: ({ FileName }) =>
    liveResponse([{ type: 'PutFile', params: [{ key: 'FileName', value: String(FileName) }] }]),
};

/** What undoes a containment, by its type. */
export const RELEASES = {
  Isolate: {
    ...ISOLATION,
    segment: 'unisolate',
    type: 'Unisolate',
    counterpart: 'Isolate',
    releases: true,
    body: {},
    done: 'The machine is back on the network.',
  },
  RestrictCodeExecution: {
    ...RESTRICTION,
    segment: 'unrestrictCodeExecution',
    type: 'UnrestrictCodeExecution',
    counterpart: 'RestrictCodeExecution',
    releases: true,
    body: {},
    done: 'The machine runs any program again.',
  },
} as const satisfies Readonly<Record<string, MachineJob>>;

/** The job of an action, or null where it is none of a machine. */
export function jobOf(action: string, parameters: Parameters): MachineJob | null {
  return Object.hasOwn(JOBS, action) ? (JOBS[action]?.(parameters) ?? null) : null;
}

function liveResponse(commands: readonly LiveCommand[]): MachineJob {
  return {
    segment: 'runliveresponse',
    type: 'LiveResponse',
    body: {
      Commands: commands.map(({ type, params }) => ({ type, params: params.map((one) => ({ ...one })) })),
    },
    scripts: commands.flatMap(({ type }, index) => (type === 'RunScript' ? [index] : [])),
    commands: commands.length,
    permission: 'Machine.LiveResponse',
    done: 'The commands have run.',
    ...(commands.some(({ type }) => type === 'GetFile')
      ? {
          hint: 'Whoever has the link to a file has the file, so it is not kept here: get one, good for 30 minutes, by GET /api/machineactions/{machineActionId}/GetLiveResponseResultDownloadLink(index=N).',
        }
      : {}),
  };
}
