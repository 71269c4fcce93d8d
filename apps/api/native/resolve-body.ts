import type { PipeTransform } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { IsIn, IsString, Matches, MaxLength } from 'class-validator';
import { VERDICTS, type Verdict } from '#domain';
import { objectOf, validated, withoutAnnotations } from '../http/validated-body.js';

const NOTE_LIMIT = 1000;

/** What somebody found at the target of an action whose outcome is unknown. */
export class ResolveBodyDto {
  @ApiProperty({ enum: VERDICTS, description: 'What was found at the target.' })
  @IsIn(VERDICTS)
  verdict!: Verdict;

  @ApiProperty({
    minLength: 1,
    maxLength: NOTE_LIMIT,
    example: 'The rule is on the firewall, checked by hand.',
    description: 'How it was found out.',
  })
  @IsString()
  @Matches(/\S/, { message: 'note should not be empty' })
  @MaxLength(NOTE_LIMIT)
  note!: string;
}

/** Turns the body of a resolution into its DTO. */
export class ParseResolveBodyPipe implements PipeTransform<unknown, Promise<ResolveBodyDto>> {
  async transform(body: unknown): Promise<ResolveBodyDto> {
    return validated(ResolveBodyDto, withoutAnnotations(objectOf(body, 'verdict and note')));
  }
}
