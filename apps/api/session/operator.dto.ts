import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsIn, IsOptional, IsString, MaxLength } from 'class-validator';
import { TENANT_ROLES, type OperatorAccount, type TenantRole } from '#domain';

const LONGEST_FIELD = 1024;

export class AddOperatorDto {
  @ApiProperty({ example: 'alice', description: 'To sign in by; small letters. Stays.' })
  @IsString()
  @MaxLength(LONGEST_FIELD)
  name!: string;

  @ApiProperty({ example: 'Alice Liddell' })
  @IsString()
  @MaxLength(LONGEST_FIELD)
  displayName!: string;

  @ApiProperty({ enum: TENANT_ROLES })
  @IsIn(TENANT_ROLES)
  role!: TenantRole;
}

export class ChangeOperatorDto {
  @ApiPropertyOptional({ example: 'Alice Liddell' })
  @IsOptional()
  @IsString()
  @MaxLength(LONGEST_FIELD)
  displayName?: string;

  @ApiPropertyOptional({ enum: TENANT_ROLES })
  @IsOptional()
  @IsIn(TENANT_ROLES)
  role?: TenantRole;

  @ApiPropertyOptional({ description: 'True: nobody can sign in with it.' })
  @IsOptional()
  @IsBoolean()
  disabled?: boolean;
}

/** An account as the tenant's administrators see it. */
export class OperatorDto {
  @ApiProperty()
  name!: string;
  @ApiProperty()
  displayName!: string;
  @ApiProperty({ enum: TENANT_ROLES, description: 'In this tenant.' })
  role!: TenantRole;
  @ApiProperty({ description: '`Riposte.Operator`; given and taken by `riposte operators` alone.' })
  operates!: boolean;
  @ApiProperty()
  disabled!: boolean;
  @ApiProperty({ format: 'date-time' })
  createdDateTime!: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  lastSignInDateTime!: string | null;
}

export class OperatorListDto {
  @ApiProperty({ type: [OperatorDto] })
  value!: readonly OperatorDto[];
}

export class OperatorWithPasswordDto extends OperatorDto {
  @ApiProperty({ description: 'Told once; to be changed at the first sign-in.' })
  password!: string;
}

/** The account as a tenant sees it. */
export function toOperator(account: OperatorAccount, tenantId: string): OperatorDto {
  const { name, displayName, grants, operates, disabledAt, createdAt, lastSignInAt } = account;
  return {
    name,
    displayName,
    role: grants.find((grant) => grant.tenantId === tenantId)?.role ?? 'Viewer',
    operates,
    disabled: disabledAt !== null,
    createdDateTime: createdAt.toISOString(),
    lastSignInDateTime: lastSignInAt?.toISOString() ?? null,
  };
}
