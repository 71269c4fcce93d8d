import { ApiProperty } from '@nestjs/swagger';
import {
  begunAt,
  LANES,
  VERDICTS,
  isUnresolved,
  type ActionPhase,
  type EffectRecord,
  type Json,
  type Lane,
  type SecurityAction,
  type Verdict,
} from '#domain';
import { jobPath } from '../ops/bull-board.js';
import { ResultInfoDto, SecurityActionDto, toGraph } from '../security-actions/security-action.dto.js';
import { PHASE_NAMES } from './list-query.js';
import { CANCEL_MEANS, type Cancellation, type Outlook } from './outlook.js';
import {
  TOLD_REASONS,
  storedWaiting,
  type ToldReason,
  type ToldWaiting,
  type WaitingNow,
} from './waiting.js';

/** Any JSON: a provider's own. */
export const anything = {
  anyOf: ['object', 'array', 'string', 'number', 'boolean', 'null'].map((type) => ({ type })),
} as const;
const dateTime = { type: String, format: 'date-time', nullable: true } as const;

class AttemptDto {
  @ApiProperty({ type: 'integer', description: '1 for the first.' })
  number!: number;
  @ApiProperty({ type: String, format: 'date-time' })
  startedAt!: string;
  @ApiProperty({ type: String, format: 'date-time' })
  endedAt!: string;
  @ApiProperty({ enum: ['completed', 'failed', 'unknown', 'cancelled'] })
  outcome!: string;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Version of the plugin that ran it; null in old records.',
  })
  providerVersion!: string | null;
  @ApiProperty({ type: ResultInfoDto, nullable: true })
  errorInfo!: ResultInfoDto | null;
}

class CurrentAttemptDto {
  @ApiProperty({ type: 'integer', description: '1 for the first.' })
  number!: number;
  @ApiProperty({ type: String, format: 'date-time', description: 'From here on the effect may exist.' })
  startedAt!: string;
  @ApiProperty({ description: 'Version of the plugin that issues it.' })
  providerVersion!: string;
  @ApiProperty({
    type: String,
    nullable: true,
    description: "The vendor's id of its work; null: it has told none.",
  })
  vendorOperationId!: string | null;
}

class CancelWishDto {
  @ApiProperty({ type: String, format: 'date-time' })
  at!: string;
  @ApiProperty({
    enum: ['caller', 'deadline'],
    description: 'Who wants it stopped: a caller, or the engine at its deadline.',
  })
  why!: string;
  @ApiProperty({
    enum: ['cancelled', 'requested', 'tooLate', 'notSupported', 'unknown'],
    nullable: true,
    type: String,
    description: "The provider's answer; null until it has one.",
  })
  outcome!: string | null;
}

class WaitingDto {
  @ApiProperty({ enum: TOLD_REASONS })
  reason!: ToldReason;
  @ApiProperty({ description: 'The reason in words.' })
  message!: string;
  @ApiProperty({
    ...dateTime,
    description:
      'When it is expected to start, or to go on, at the earliest; null: nobody can say, or it is under way.',
  })
  expectedStartDateTime!: string | null;
  @ApiProperty({
    type: String,
    format: 'uuid',
    nullable: true,
    description:
      "The action that holds the target, or comes before it there; null where it is another tenant's.",
  })
  blockedBy!: string | null;
}

class ResolverDto {
  @ApiProperty()
  appId!: string;
  @ApiProperty({ type: String, nullable: true })
  user!: string | null;
}

class ResolutionDto {
  @ApiProperty({ type: ResolverDto })
  by!: ResolverDto;
  @ApiProperty({ type: String, format: 'date-time' })
  at!: string;
  @ApiProperty({ enum: VERDICTS })
  verdict!: Verdict;
  @ApiProperty()
  note!: string;
}

/** An action on the native API: Graph's members, and those below. */
export class NativeActionDto extends SecurityActionDto {
  @ApiProperty({ enum: PHASE_NAMES })
  phase!: ActionPhase;
  @ApiProperty({
    type: WaitingDto,
    nullable: true,
    description:
      'Why it has not ended; null: it has. Of one action as it is now; in lists as it was stored last.',
  })
  waiting!: WaitingDto | null;
  @ApiProperty({ description: 'Id of the provider instance that carries it out.' })
  providerInstance!: string;
  @ApiProperty({ description: 'Version of the plugin that took it.' })
  providerVersion!: string;
  @ApiProperty({ enum: LANES, description: 'How urgent its calls are while the quota is short.' })
  lane!: Lane;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What it acts upon: one at a time is Running. Null: others may act beside it.',
  })
  target!: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'Id of the action that it undoes.' })
  reverts!: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'Id of the action that undoes, or undid, it.' })
  revertedBy!: string | null;
  @ApiProperty({
    ...dateTime,
    description:
      'When its effect is lifted, by a revert that the service makes; null: it stays. Past, with a revertedBy that Failed or none: it is not lifted.',
  })
  effectUntil!: string | null;
  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    nullable: true,
    description: 'What it changed, where its plugin says so: changed, previous, ids, expiresAt.',
  })
  effect!: EffectRecord | null;
  @ApiProperty({ ...anything, description: 'As the provider reports it.' })
  progress!: Json;
  @ApiProperty({ ...anything, description: 'What the provider answered.' })
  result!: Json;
  @ApiProperty(dateTime)
  deadlineDateTime!: string;
  @ApiProperty({ ...dateTime, description: 'When it is looked at again.' })
  nextAttemptDateTime!: string | null;
  @ApiProperty({ type: [AttemptDto] })
  attempts!: readonly AttemptDto[];
  @ApiProperty({
    type: CurrentAttemptDto,
    nullable: true,
    description: 'What was issued and has not ended yet.',
  })
  currentAttempt!: CurrentAttemptDto | null;
  @ApiProperty({ type: CancelWishDto, nullable: true })
  cancel!: CancelWishDto | null;
  @ApiProperty({
    description: 'It failed, nobody can say whether it was applied, and nobody has resolved it yet.',
  })
  unresolved!: boolean;
  @ApiProperty({
    type: ResolutionDto,
    nullable: true,
    description: 'What somebody found at the target of an action whose outcome was unknown.',
  })
  resolution!: ResolutionDto | null;
}

class JobDto {
  @ApiProperty()
  queue!: string;
  @ApiProperty()
  id!: string;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Path of its page in Bull Board; null for who may not open that.',
  })
  url!: string | null;
}

class CancellationDto {
  @ApiProperty({ description: 'False: a cancel would change nothing.' })
  possible!: boolean;
  @ApiProperty({ enum: CANCEL_MEANS })
  means!: Cancellation['means'];
  @ApiProperty({ description: 'What a cancel would mean now, in words.' })
  message!: string;
}

class ReversalDto {
  @ApiProperty()
  possible!: boolean;
  @ApiProperty({ description: 'Why, or why not, in words.' })
  message!: string;
}

/** One action, with what can be done with it. */
export class NativeActionDetailsDto extends NativeActionDto {
  @ApiProperty({
    type: JobDto,
    nullable: true,
    description: 'The hint of it that is in a queue now. Null: there is none, or Redis is away.',
  })
  job!: JobDto | null;
  @ApiProperty({ type: CancellationDto })
  cancellation!: CancellationDto;
  @ApiProperty({ type: ReversalDto, description: 'Whether it can be reverted now.' })
  reversal!: ReversalDto;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What to do about its errorInfo; null: it has none.',
  })
  advice!: string | null;
}

export class NativeActionListDto {
  @ApiProperty({ type: [NativeActionDto] })
  value!: readonly NativeActionDto[];
  @ApiProperty({
    type: 'integer',
    required: false,
    description: 'How many there are in all; with count=true.',
  })
  count?: number;
  @ApiProperty({ required: false, description: 'Absolute address of the next page; absent on the last.' })
  nextLink?: string;
}

/**
 * The record as the native API shows it.
 * @param now what it waits for, where something newer is known than what is stored
 */
export function toNative(action: SecurityAction, now: WaitingNow = storedWaiting(action)): NativeActionDto {
  const { cancel, intent, resolution } = action;
  const begun = intent && begunAt(intent);
  return {
    ...toGraph(action),
    phase: now.phase,
    waiting: now.waiting === null ? null : waitingOf(now.waiting),
    providerInstance: action.instance,
    providerVersion: action.providerVersion,
    lane: action.lane,
    target: action.mutexKey,
    reverts: action.reverts,
    revertedBy: action.revertedBy,
    effectUntil: action.effectUntil?.toISOString() ?? null,
    effect: action.effect,
    progress: action.progress,
    result: action.result,
    deadlineDateTime: action.deadlineAt.toISOString(),
    nextAttemptDateTime: action.nextAt?.toISOString() ?? null,
    attempts: action.attempts.map(({ number, startedAt, endedAt, outcome, providerVersion, error }) => ({
      number,
      startedAt: startedAt.toISOString(),
      endedAt: endedAt.toISOString(),
      outcome,
      providerVersion,
      errorInfo: error,
    })),
    currentAttempt:
      intent === null || begun === null
        ? null
        : {
            number: intent.attempt,
            startedAt: begun.toISOString(),
            providerVersion: intent.providerVersion,
            vendorOperationId: intent.operation?.id ?? null,
          },
    cancel:
      cancel === null ? null : { at: cancel.at.toISOString(), why: cancel.why, outcome: cancel.outcome },
    unresolved: isUnresolved(action),
    resolution:
      resolution === null
        ? null
        : {
            by: { appId: resolution.by.appId, user: resolution.by.user },
            at: resolution.at.toISOString(),
            verdict: resolution.verdict,
            note: resolution.note,
          },
  };
}

/**
 * One record with what can be done with it.
 * @param operates whether the reader may open the dashboard of the queues
 */
export function toDetails(
  action: SecurityAction,
  { waiting, job, cancellation, reversal, advice }: Outlook,
  operates: boolean,
): NativeActionDetailsDto {
  return {
    ...toNative(action, waiting),
    job: job === null ? null : { ...job, url: operates ? jobPath(job) : null },
    cancellation,
    reversal,
    advice,
  };
}

function waitingOf({ reason, message, until, blockedBy }: ToldWaiting): WaitingDto {
  return { reason, message, expectedStartDateTime: until?.toISOString() ?? null, blockedBy };
}
