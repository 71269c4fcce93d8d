import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiResponse } from '@nestjs/swagger';
import { ERROR_STATUS, type ErrorCode } from '#domain';

class InnerErrorDto {
  @ApiProperty({ format: 'date-time' })
  date!: string;
  @ApiProperty({ format: 'uuid' })
  'request-id'!: string;
  @ApiProperty({ type: String, nullable: true })
  'client-request-id'!: string | null;
}

class ErrorDto {
  @ApiProperty({ enum: Object.keys(ERROR_STATUS) })
  code!: ErrorCode;
  @ApiProperty()
  message!: string;
  @ApiProperty({ type: InnerErrorDto })
  innerError!: InnerErrorDto;
}

class GraphErrorDto {
  @ApiProperty({ type: ErrorDto })
  error!: ErrorDto;
}

const RETRY_AFTER = {
  'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer', minimum: 1 } },
} as const;
const WITH_RETRY_AFTER: ReadonlySet<number> = new Set([429, 503]);

/** Documents the failures of a route. One that asks for a token (401) also limits who has one (429). */
export function ApiGraphErrors(...statuses: readonly number[]): MethodDecorator & ClassDecorator {
  const all = new Set([...statuses, ...(statuses.includes(401) ? [429] : [])]);
  return applyDecorators(
    ...[...all].map((status) =>
      ApiResponse({
        status,
        type: GraphErrorDto,
        ...(WITH_RETRY_AFTER.has(status) ? { headers: RETRY_AFTER } : {}),
      }),
    ),
  );
}
