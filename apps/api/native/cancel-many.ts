import type { PipeTransform } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { ArrayMaxSize, ArrayMinSize, ArrayUnique, IsArray, IsString, MaxLength } from 'class-validator';
import { bulkhead } from 'cockatiel';
import { ERROR_STATUS, OperationalError, OutcomeUnknownError, type ErrorCode } from '#domain';
import type { Cancelled } from '#engine';
import type { Logger } from '#telemetry';
import { answerTo } from '../http/graph-error.js';
import { objectOf, validated, withoutAnnotations } from '../http/validated-body.js';
import { NativeActionDto, toNative } from './action.dto.js';

const MOST = 100;
/** Cancelled at the same time: enough that a hundred take no longer than a page of a list. */
const AT_ONCE = 8;

/** Which actions to cancel. */
export class CancelManyDto {
  @ApiProperty({
    type: [String],
    minItems: 1,
    maxItems: MOST,
    uniqueItems: true,
    example: ['8e4ac884-4c89-4813-8452-908b2bf144bd'],
  })
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(MOST)
  @ArrayUnique({ message: 'ids should name each action once' })
  @IsString({ each: true })
  @MaxLength(64, { each: true })
  ids!: string[];
}

/** Turns the body of a cancel of several into its DTO. */
export class ParseCancelManyPipe implements PipeTransform<unknown, Promise<CancelManyDto>> {
  async transform(body: unknown): Promise<CancelManyDto> {
    return validated(CancelManyDto, withoutAnnotations(objectOf(body, 'ids')));
  }
}

class CancelErrorDto {
  @ApiProperty({ enum: Object.keys(ERROR_STATUS) })
  code!: ErrorCode;
  @ApiProperty()
  message!: string;
}

class CancelAnswerDto {
  @ApiProperty()
  id!: string;
  @ApiProperty({ type: 'integer', description: 'The HTTP status that a cancel of it alone would have had.' })
  status!: number;
  @ApiProperty({ type: NativeActionDto, required: false, description: 'With status 200: as it is now.' })
  action?: NativeActionDto;
  @ApiProperty({ type: CancelErrorDto, required: false, description: 'With any other status.' })
  error?: CancelErrorDto;
}

export class CancelAnswersDto {
  @ApiProperty({ type: [CancelAnswerDto], description: 'One for each id, in their order.' })
  value!: readonly CancelAnswerDto[];
}

/**
 * Cancels each of the actions as if it were asked for alone, a few at a time. Once the database does not answer, those
 * that were not begun are not asked for: each would wait for it in turn.
 */
export async function cancelMany(
  cancel: (id: string) => Promise<Cancelled>,
  ids: readonly string[],
  log: Logger,
): Promise<readonly CancelAnswerDto[]> {
  const turns = bulkhead(AT_ONCE, MOST);
  let isAway = false;
  const cancelOne = async (id: string): Promise<CancelAnswerDto> => {
    try {
      if (isAway)
        throw new OperationalError(
          'serviceNotAvailable',
          'The database does not answer; it was not asked.',
          5,
        );
      return { id, status: 200, action: toNative((await cancel(id)).action) };
    } catch (error) {
      isAway ||= error instanceof OperationalError || error instanceof OutcomeUnknownError;
      const { status, code, message, isDefect } = answerTo(error);
      if (isDefect) log.error({ err: error, actionId: id }, 'cancel failed');
      return { id, status, error: { code, message } };
    }
  };
  return Promise.all(ids.map((id) => turns.execute(() => cancelOne(id))));
}
