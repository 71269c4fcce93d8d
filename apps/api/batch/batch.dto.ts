import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  Allow,
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsObject,
  IsOptional,
  IsString,
  Length,
  ValidateNested,
} from 'class-validator';
import { CREATE_EXAMPLES } from '../security-actions/create-security-action.dto.js';
import { BODY_LIMITS, type BodyLimits } from '../http/limits.js';

/** Requests of one batch. */
export const MOST_REQUESTS = 20;
const LONGEST_ID = 256;
/** Any JSON. */
const ANYTHING = {
  anyOf: ['object', 'array', 'string', 'number', 'boolean', 'null'].map((type) => ({ type })),
} as const;

/**
 * Room for twenty bodies, each with its place in the batch, its headers and its dependencies, and some more: a
 * body that is too deep or has too many properties is its own request's failure.
 */
export const BATCH_LIMITS: BodyLimits = {
  bytes: 1024 * 1024,
  depth: 2 * BODY_LIMITS.depth,
  keys: 2 * MOST_REQUESTS * BODY_LIMITS.keys,
  values: 2 * MOST_REQUESTS * BODY_LIMITS.values,
};

/** One request of a batch, as far as the whole batch is malformed where it is not so. */
export class BatchRequestDto {
  @ApiProperty({
    minLength: 1,
    maxLength: LONGEST_ID,
    example: '1',
    description: 'Unique, without regard to case.',
  })
  @IsString()
  @Length(1, LONGEST_ID)
  id!: string;

  @ApiProperty({ example: 'POST' })
  @IsString()
  method!: string;

  @ApiProperty({
    example: '/security/securityActions',
    description: 'Relative to the version the batch is sent to.',
  })
  @IsString()
  url!: string;

  @ApiPropertyOptional({
    type: 'object',
    nullable: true,
    additionalProperties: true,
    example: { 'Content-Type': 'application/json' },
    description: 'Texts; anything else is the failure of that request.',
  })
  @IsOptional()
  @IsObject()
  headers?: object;

  @ApiPropertyOptional({
    ...ANYTHING,
    description: 'Of that request. What is wrong with it is the failure of that one.',
  })
  @Allow()
  body?: unknown;

  @ApiProperty({
    type: [String],
    required: false,
    nullable: true,
    description: 'Ids of requests that have to succeed before this one is begun.',
  })
  @IsOptional()
  @IsArray()
  @IsString({ each: true })
  dependsOn?: readonly string[] | null;

  @ApiProperty({
    type: [String],
    required: false,
    nullable: true,
    deprecated: true,
    description: "The same, as Microsoft's SDK for Python spells it.",
  })
  @IsOptional()
  @IsArray()
  @IsString({ each: true })
  depends_on?: readonly string[] | null;
}

/** https://learn.microsoft.com/graph/json-batching */
export class BatchDto {
  @ApiProperty({ type: [BatchRequestDto], minItems: 1, maxItems: MOST_REQUESTS })
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(MOST_REQUESTS)
  @ValidateNested({ each: true })
  @Type(() => BatchRequestDto)
  requests!: readonly BatchRequestDto[];
}

/** What became of one request of a batch. */
export class BatchResponseDto {
  @ApiProperty()
  id!: string;
  @ApiProperty({ type: 'integer', example: 201 })
  status!: number;
  @ApiProperty({ type: 'object', additionalProperties: { type: 'string' } })
  headers!: Readonly<Record<string, string>>;
  @ApiProperty({
    ...ANYTHING,
    required: false,
    description:
      'The JSON value; of a text a string; of anything else its bytes in base64url. Absent where there is none.',
  })
  body?: unknown;
}

export class BatchResponsesDto {
  @ApiProperty({ type: [BatchResponseDto], description: 'In the order of the requests.' })
  responses!: readonly BatchResponseDto[];
}

/** Bodies that can be sent as they are, where the mock provider is on. */
export const BATCH_EXAMPLES = {
  createThenList: {
    summary: 'Create an action, then list the newest',
    value: {
      requests: [
        {
          id: '1',
          method: 'POST',
          url: '/security/securityActions',
          headers: { 'Content-Type': 'application/json' },
          body: CREATE_EXAMPLES.blockIp.value,
        },
        { id: '2', method: 'GET', url: '/security/securityActions?$top=10', dependsOn: ['1'] },
      ],
    },
  },
};
