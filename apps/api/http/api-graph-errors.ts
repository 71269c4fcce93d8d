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

/** Graph's error body, for the OpenAPI document. */
export class GraphErrorDto {
  @ApiProperty({ type: ErrorDto })
  error!: ErrorDto;
}

/** Documents the failures that are a route's own; those that any route can answer with are told by `openapi.ts`. */
export function ApiGraphErrors(...statuses: readonly number[]): MethodDecorator & ClassDecorator {
  return applyDecorators(...statuses.map((status) => ApiResponse({ status, type: GraphErrorDto })));
}

/** Documents one of them that means something else on this route than on others. */
export function ApiGraphError(status: number, description: string): MethodDecorator {
  return ApiResponse({ status, type: GraphErrorDto, description });
}
