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

/** Documents the failures of a route. */
export function ApiGraphErrors(...statuses: readonly number[]): MethodDecorator & ClassDecorator {
  return applyDecorators(...statuses.map((status) => ApiResponse({ status, type: GraphErrorDto })));
}
