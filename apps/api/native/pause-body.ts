import type { PipeTransform } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { IsString, Matches, MaxLength } from 'class-validator';
import { objectOf, validated, withoutAnnotations } from '../http/validated-body.js';

const REASON_LIMIT = 1000;

/** Why an instance is paused. */
export class PauseBodyDto {
  @ApiProperty({
    minLength: 1,
    maxLength: REASON_LIMIT,
    example: 'Firewall upgrade until 18:00.',
    description: 'Shown to everyone whose actions wait for it.',
  })
  @IsString()
  @Matches(/\S/, { message: 'reason should not be empty, for example "Firewall upgrade until 18:00."' })
  @MaxLength(REASON_LIMIT)
  reason!: string;
}

/** Turns the body of a pause into its DTO. */
export class ParsePauseBodyPipe implements PipeTransform<unknown, Promise<PauseBodyDto>> {
  async transform(body: unknown): Promise<PauseBodyDto> {
    return validated(PauseBodyDto, withoutAnnotations(objectOf(body, 'reason')));
  }
}
