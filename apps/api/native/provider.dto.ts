import { ApiProperty } from '@nestjs/swagger';
import { BLAST_CLASSES, LANES, type BlastClass, type InstanceState, type Json, type Lane } from '#domain';
import { PercentilesDto } from './overview.dto.js';
import { BACKLOG_COUNTED, type ProviderView } from './providers.js';

const text = { type: String, nullable: true } as const;
const schema = { type: 'object', additionalProperties: true } as const;
const dateTime = { type: String, format: 'date-time' } as const;

class PluginDto {
  @ApiProperty()
  name!: string;
  @ApiProperty()
  version!: string;
}

class DeprecatedDto {
  @ApiProperty()
  since!: string;
  @ApiProperty({ required: false })
  replacement?: string;
}

class ProviderActionDto {
  @ApiProperty()
  name!: string;
  @ApiProperty({ type: [String] })
  aliases!: readonly string[];
  @ApiProperty()
  title!: string;
  @ApiProperty(text)
  docUrl!: string | null;
  @ApiProperty({ ...schema, description: 'JSON Schema 2020-12, with examples.' })
  parameters!: Json;
  @ApiProperty({ ...schema, nullable: true, description: 'JSON Schema of the result.' })
  result!: Json;
  @ApiProperty({
    enum: ['key', 'natural', 'lookup', 'none'],
    description: 'What the vendor does with a repeat.',
  })
  idempotency!: string;
  @ApiProperty()
  cancellable!: boolean;
  @ApiProperty()
  revertible!: boolean;
  @ApiProperty({
    description: 'Whether the vendor lifts the effect at effectUntil by itself, besides the service.',
  })
  supportsExpiry!: boolean;
  @ApiProperty()
  observable!: boolean;
  @ApiProperty({ enum: LANES })
  lane!: Lane;
  @ApiProperty({
    enum: BLAST_CLASSES,
    type: String,
    nullable: true,
    description: 'The class of which an application may ask for so many in an hour only; null: none.',
  })
  blastRadius!: BlastClass | null;
  @ApiProperty({ type: [String], description: 'Parameters that name its target: one at a time runs there.' })
  mutexKey!: readonly string[];
  @ApiProperty({ type: [String], description: "What the credentials need, by the vendor's names." })
  requiredPermissions!: readonly string[];
  @ApiProperty({ type: DeprecatedDto, nullable: true })
  deprecated!: DeprecatedDto | null;
  @ApiProperty({ type: 'integer', description: 'Seconds from creation until it must have ended.' })
  deadlineSeconds!: number;
}

class HealthCheckDto {
  @ApiProperty()
  name!: string;
  @ApiProperty()
  ok!: boolean;
  @ApiProperty()
  message!: string;
}

/** What a provider says of its own state. */
export class HealthReportDto {
  @ApiProperty()
  ok!: boolean;
  @ApiProperty({ description: 'In words, with what to do.' })
  message!: string;
  @ApiProperty({ type: [HealthCheckDto], required: false })
  checks?: readonly HealthCheckDto[];
}

class KnownHealthDto extends HealthReportDto {
  @ApiProperty(dateTime)
  at!: string;
}

class WindowDto {
  @ApiProperty({ type: 'integer', description: 'At most so many calls …' })
  calls!: number;
  @ApiProperty({ type: 'integer', description: '… in any period of so many seconds.' })
  perSeconds!: number;
  @ApiProperty({ type: [String], nullable: true, description: 'Actions that count here; null: all.' })
  actions!: readonly string[] | null;
  @ApiProperty({ type: 'integer' })
  left!: number;
  @ApiProperty({
    type: 'integer',
    description: 'Milliseconds until the next call leaves it; 0: none is in it.',
  })
  nextFreeMs!: number;
}

class InstanceWaitDto {
  @ApiProperty({ enum: ['quota', 'vendorBusy', 'breakerOpen', 'paused'] })
  reason!: string;
  @ApiProperty({ type: 'integer' })
  waitMs!: number;
}

class BacklogDto {
  @ApiProperty({
    type: 'integer',
    nullable: true,
    description: `Actions of all tenants that were not started; ${BACKLOG_COUNTED} where there are more. Null: not known.`,
  })
  waiting!: number | null;
}

class PauserDto {
  @ApiProperty()
  appId!: string;
  @ApiProperty(text)
  user!: string | null;
}

class PausedDto {
  @ApiProperty({ type: PauserDto, required: false, description: 'For operators.' })
  by?: PauserDto;
  @ApiProperty(dateTime)
  at!: string;
  @ApiProperty()
  reason!: string;
}

class MaintainedDto {
  @ApiProperty({ type: 'integer', description: 'Entries compared.' })
  checked!: number;
  @ApiProperty({ type: 'integer', description: 'Entries that were missing and were put back.' })
  added!: number;
  @ApiProperty({ type: 'integer', description: 'Entries that nobody wants any more and were taken away.' })
  removed!: number;
  @ApiProperty({ type: [String], required: false, description: 'For operators: what could not be repaired.' })
  problems?: readonly string[];
  @ApiProperty(dateTime)
  at!: string;
}

/** A provider instance: never its settings, never its secrets. */
export class ProviderDto {
  @ApiProperty()
  id!: string;
  @ApiProperty()
  vendor!: string;
  @ApiProperty()
  provider!: string;
  @ApiProperty(text)
  subProvider!: string | null;
  @ApiProperty({ type: [String], description: 'Other names that `vendorInformation.provider` may have.' })
  providerAliases!: readonly string[];
  @ApiProperty({ type: PluginDto })
  plugin!: PluginDto;
  @ApiProperty(text)
  title!: string | null;
  @ApiProperty(text)
  docUrl!: string | null;
  @ApiProperty({
    type: [String],
    required: false,
    description: 'For operators: ids of the tenants it serves, * for all.',
  })
  tenants?: readonly string[];
  @ApiProperty({ type: [ProviderActionDto] })
  actions!: readonly ProviderActionDto[];
  @ApiProperty({ type: KnownHealthDto, nullable: true, description: 'Null: nobody has asked yet.' })
  health!: KnownHealthDto | null;
  @ApiProperty({
    type: MaintainedDto,
    nullable: true,
    description: 'The last comparison of the device with what it should have. Null: there was none.',
  })
  maintained!: MaintainedDto | null;
  @ApiProperty({
    type: [WindowDto],
    nullable: true,
    description:
      'Empty: no quota is known. Null: Redis does not answer, so that nobody can say what is left.',
  })
  quota!: readonly WindowDto[] | null;
  @ApiProperty({ enum: ['closed', 'open', 'halfOpen'] })
  breaker!: InstanceState['breaker'];
  @ApiProperty({ type: InstanceWaitDto, nullable: true, description: 'Null: an action could start now.' })
  waiting!: InstanceWaitDto | null;
  @ApiProperty({ type: BacklogDto })
  backlog!: BacklogDto;
  @ApiProperty({ type: PausedDto, nullable: true })
  paused!: PausedDto | null;
  @ApiProperty({
    type: PercentilesDto,
    nullable: true,
    description:
      "From creation to end, of the tenant's actions of the last hour. Null: none ended, or nobody can say.",
  })
  latency!: PercentilesDto | null;
}

export class ProviderListDto {
  @ApiProperty({ type: [ProviderDto] })
  value!: readonly ProviderDto[];
}

/** The instance as the native API shows it. Which tenants it serves, and who paused it, is for operators. */
export function toProvider(
  { instance, record, state, waiting, latency }: ProviderView,
  operates: boolean,
): ProviderDto {
  const { config, provider } = instance;
  const { manifest } = provider;
  const { paused, health, maintained } = record;
  return {
    id: instance.id,
    vendor: manifest.vendor,
    provider: manifest.provider,
    providerAliases: manifest.providerAliases ?? [],
    subProvider: config.subProvider ?? null,
    plugin: { name: config.plugin, version: manifest.version },
    title: manifest.title ?? null,
    docUrl: manifest.docUrl ?? null,
    ...(operates ? { tenants: config.tenants } : {}),
    actions: Object.entries(manifest.actions).map(([name, action]) => ({
      name,
      ...shownAction(action),
      idempotency: instance.idempotencyOf(name, action),
      deadlineSeconds: instance.deadlineMs(action) / 1000,
    })),
    health: health === null ? null : { ...health, at: health.at.toISOString() },
    maintained:
      maintained === null
        ? null
        : {
            checked: maintained.checked,
            added: maintained.added,
            removed: maintained.removed,
            ...(operates ? { problems: maintained.problems } : {}),
            at: maintained.at.toISOString(),
          },
    quota:
      state.windows?.map(({ calls, perSeconds, actions, left, nextFreeMs }) => ({
        calls,
        perSeconds,
        actions: actions ?? null,
        left,
        nextFreeMs: Math.ceil(nextFreeMs),
      })) ?? null,
    breaker: state.breaker,
    waiting: state.waiting,
    backlog: { waiting },
    paused:
      paused === null
        ? null
        : {
            ...(operates ? { by: { appId: paused.by.appId, user: paused.by.user } } : {}),
            at: paused.at.toISOString(),
            reason: paused.reason,
          },
    latency,
  };
}

type ManifestOfAction = ProviderView['instance']['provider']['manifest']['actions'][string];

function shownAction(action: ManifestOfAction) {
  return {
    aliases: action.aliases ?? [],
    title: action.title,
    docUrl: action.docUrl ?? null,
    parameters: plain(action.parameters),
    result: action.result === undefined ? null : plain(action.result),
    cancellable: action.cancellable,
    revertible: action.revertible ?? false,
    supportsExpiry: action.supportsExpiry ?? false,
    observable: action.observable ?? false,
    lane: action.lane ?? ('routine' as const),
    blastRadius: action.blastRadius ?? null,
    mutexKey: action.mutexKey ?? [],
    requiredPermissions: action.requiredPermissions ?? [],
    deprecated: action.deprecated ?? null,
  };
}

/** A schema without what its builder keeps on it. */
function plain(built: object): Json {
  return JSON.parse(JSON.stringify(built)) as Json;
}
