import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  IsArray,
  IsDefined,
  IsISO8601,
  IsNotEmpty,
  IsOptional,
  IsString,
  Matches,
  MaxLength,
  ValidateNested,
} from 'class-validator';

/** Graph's limit: https://learn.microsoft.com/graph/api/resources/securityaction. */
const CLIENT_CONTEXT_LIMIT = 256;
const NAME_LIMIT = 256;

export class KeyValuePairDto {
  @ApiProperty({ example: 'IP', maxLength: NAME_LIMIT })
  @IsString()
  @IsNotEmpty()
  @MaxLength(NAME_LIMIT)
  name!: string;

  @ApiProperty({ type: String, nullable: true, required: false, example: '1.2.3.4' })
  @IsOptional()
  @IsString()
  value?: string | null;
}

export class SecurityVendorInformationDto {
  @ApiProperty({ example: 'Mock', maxLength: NAME_LIMIT })
  @IsString()
  @IsNotEmpty()
  @MaxLength(NAME_LIMIT)
  vendor!: string;

  @ApiProperty({ example: 'Mock', maxLength: NAME_LIMIT })
  @IsString()
  @IsNotEmpty()
  @MaxLength(NAME_LIMIT)
  provider!: string;

  @ApiProperty({ type: String, nullable: true, required: false, maxLength: NAME_LIMIT })
  @IsOptional()
  @IsString()
  @MaxLength(NAME_LIMIT)
  providerVersion?: string | null;

  @ApiProperty({ type: String, nullable: true, required: false, maxLength: NAME_LIMIT })
  @IsOptional()
  @IsString()
  @MaxLength(NAME_LIMIT)
  subProvider?: string | null;
}

export class CreateSecurityActionDto {
  @ApiProperty({
    example: 'BlockIp',
    maxLength: NAME_LIMIT,
    description: 'An action of the provider, by name or alias.',
  })
  @IsString()
  @IsNotEmpty()
  @MaxLength(NAME_LIMIT)
  name!: string;

  @ApiProperty({ type: String, nullable: true, required: false, example: 'Test', maxLength: 4096 })
  @IsOptional()
  @IsString()
  @MaxLength(4096)
  actionReason?: string | null;

  @ApiProperty({ type: String, nullable: true, required: false, maxLength: CLIENT_CONTEXT_LIMIT })
  @IsOptional()
  @IsString()
  @MaxLength(CLIENT_CONTEXT_LIMIT)
  clientContext?: string | null;

  @ApiProperty({ type: [KeyValuePairDto], maxItems: 100 })
  @IsArray()
  @ArrayMaxSize(100)
  @IsDefined({ each: true })
  @ValidateNested({ each: true })
  @Type(() => KeyValuePairDto)
  parameters!: KeyValuePairDto[];

  @ApiProperty({ type: SecurityVendorInformationDto })
  @IsDefined()
  @ValidateNested()
  @Type(() => SecurityVendorInformationDto)
  vendorInformation!: SecurityVendorInformationDto;

  @ApiProperty({
    name: '@riposte.startBefore',
    type: String,
    format: 'date-time',
    nullable: true,
    required: false,
    description: 'Not started after this time: the action then ends as Failed with errorInfo.code 410.',
  })
  @IsOptional()
  @IsISO8601({ strict: true })
  @Matches(/^[^T]*T.*(?:Z|[+-]\d{2}:\d{2})$/i, {
    message: '@riposte.startBefore must have a time and an offset or Z',
  })
  '@riposte.startBefore'?: string | null;

  @ApiProperty({
    name: '@riposte.effectUntil',
    type: String,
    format: 'date-time',
    nullable: true,
    required: false,
    description:
      'Its effect is lifted at this time, by a revert that the service makes. Refused (400) where the action cannot be undone. Not started before it, the action ends as Failed with errorInfo.code 410.',
  })
  @IsOptional()
  @IsISO8601({ strict: true })
  @Matches(/^[^T]*T.*(?:Z|[+-]\d{2}:\d{2})$/i, {
    message: '@riposte.effectUntil must have a time and an offset or Z',
  })
  '@riposte.effectUntil'?: string | null;
}

const BLOCK_IP = {
  name: 'BlockIp',
  actionReason: 'Test',
  parameters: [{ name: 'IP', value: '203.0.113.7' }],
  vendorInformation: { vendor: 'Mock', provider: 'Mock' },
};

/** Bodies that can be sent as they are, where the mock provider is on. */
export const CREATE_EXAMPLES = {
  blockIp: { summary: 'Block an IP address', value: BLOCK_IP },
  longRunning: {
    summary: 'Begin something long, to cancel it',
    value: { ...BLOCK_IP, name: 'LongRunning', parameters: [{ name: 'durationMs', value: '600000' }] },
  },
};
