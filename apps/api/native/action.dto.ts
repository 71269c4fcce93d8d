import { ApiProperty } from '@nestjs/swagger';
import { PHASES, type ActionPhase, type Json, type SecurityAction } from '#domain';
import { ResultInfoDto, SecurityActionDto, toGraph } from '../security-actions/security-action.dto.js';

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
  @ApiProperty({ type: ResultInfoDto, nullable: true })
  errorInfo!: ResultInfoDto | null;
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

/** An action on the native API: Graph's members, and those below. */
export class NativeActionDto extends SecurityActionDto {
  @ApiProperty({ enum: [...new Set(Object.values(PHASES).flat())] })
  phase!: ActionPhase;
  @ApiProperty({ description: 'Id of the provider instance that carries it out.' })
  providerInstance!: string;
  @ApiProperty({ description: 'Version of the plugin that took it.' })
  providerVersion!: string;
  @ApiProperty({ nullable: true, type: Object, description: 'As the provider reports it.' })
  progress!: Json;
  @ApiProperty({ nullable: true, type: Object, description: 'What the provider answered.' })
  result!: Json;
  @ApiProperty(dateTime)
  deadlineDateTime!: string;
  @ApiProperty({ ...dateTime, description: 'When it is looked at again.' })
  nextAttemptDateTime!: string | null;
  @ApiProperty({ type: [AttemptDto] })
  attempts!: readonly AttemptDto[];
  @ApiProperty({ type: CancelWishDto, nullable: true })
  cancel!: CancelWishDto | null;
}

/** The record as the native API shows it. */
export function toNative(action: SecurityAction): NativeActionDto {
  const { cancel } = action;
  return {
    ...toGraph(action),
    phase: action.phase,
    providerInstance: action.instance,
    providerVersion: action.providerVersion,
    progress: action.progress,
    result: action.result,
    deadlineDateTime: action.deadlineAt.toISOString(),
    nextAttemptDateTime: action.nextAt?.toISOString() ?? null,
    attempts: action.attempts.map(({ number, startedAt, endedAt, outcome, error }) => ({
      number,
      startedAt: startedAt.toISOString(),
      endedAt: endedAt.toISOString(),
      outcome,
      errorInfo: error,
    })),
    cancel:
      cancel === null ? null : { at: cancel.at.toISOString(), why: cancel.why, outcome: cancel.outcome },
  };
}
