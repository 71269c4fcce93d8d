import { ApiProperty, getSchemaPath } from '@nestjs/swagger';
import { IsString, MaxLength, MinLength } from 'class-validator';
import { csrfTokenOf, type BegunSession } from '#auth';
import { TENANT_ROLES, VERSION, type TenantRole } from '#domain';

const LONGEST_FIELD = 1024;

/** How people can sign in. */
export interface SignInWays {
  /** By name and password of an account that is kept here. */
  readonly local: boolean;
  readonly issuers: readonly { readonly id: string; readonly name: string }[];
}

export class SignInBodyDto {
  @ApiProperty({ example: 'admin', maxLength: LONGEST_FIELD })
  @IsString()
  @MinLength(1)
  @MaxLength(LONGEST_FIELD)
  name!: string;

  @ApiProperty({ format: 'password', maxLength: LONGEST_FIELD })
  @IsString()
  @MinLength(1)
  @MaxLength(LONGEST_FIELD)
  password!: string;
}

export class TenantBodyDto {
  @ApiProperty({ format: 'uuid', maxLength: LONGEST_FIELD })
  @IsString()
  @MaxLength(LONGEST_FIELD)
  tenantId!: string;
}

export class PasswordBodyDto {
  @ApiProperty({ format: 'password', maxLength: LONGEST_FIELD })
  @IsString()
  @MaxLength(LONGEST_FIELD)
  current!: string;

  @ApiProperty({ format: 'password', minLength: 12, maxLength: 128 })
  @IsString()
  @MaxLength(LONGEST_FIELD)
  new!: string;
}

class SignInIssuerDto {
  @ApiProperty({ description: 'Sign in at `/sign-in/with/{id}?returnTo=/path`.' })
  id!: string;
  @ApiProperty({ description: 'For people.' })
  name!: string;
}

class SignInWaysDto implements SignInWays {
  @ApiProperty({ description: 'By name and password.' })
  local!: boolean;
  @ApiProperty({ type: [SignInIssuerDto] })
  issuers!: readonly SignInIssuerDto[];
}

/** Nobody has signed in. */
export class SignedOutDto {
  @ApiProperty({ enum: [false] })
  signedIn!: false;
  @ApiProperty({ type: SignInWaysDto })
  signIn!: SignInWaysDto;
}

class SessionUserDto {
  @ApiProperty({ description: 'The `user` of what they ask for.' })
  name!: string;
  @ApiProperty()
  displayName!: string;
  @ApiProperty({ enum: ['local', 'issuer'], description: 'Whether the password can be changed here.' })
  kind!: 'local' | 'issuer';
}

class SessionTenantDto {
  @ApiProperty({ format: 'uuid' })
  id!: string;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'As `console.tenants` names it; null: it does not.',
  })
  name!: string | null;
  @ApiProperty({ enum: TENANT_ROLES })
  role!: TenantRole;
}

/** Who has signed in, and what may be done with the session. */
export class SignedInDto {
  @ApiProperty({ enum: [true] })
  signedIn!: true;
  @ApiProperty({ type: SessionUserDto })
  user!: SessionUserDto;
  @ApiProperty({ type: SessionTenantDto, description: 'Where the person works now.' })
  tenant!: SessionTenantDto;
  @ApiProperty({ type: [SessionTenantDto] })
  tenants!: readonly SessionTenantDto[];
  @ApiProperty({ description: '`Riposte.Operator`: the queues, pauses, workers.' })
  operates!: boolean;
  @ApiProperty({ description: 'True: nothing else is allowed before.' })
  mustChangePassword!: boolean;
  @ApiProperty({ description: 'For the header `X-CSRF-Token`.' })
  csrfToken!: string;
  @ApiProperty({ format: 'date-time', description: 'When it ends unless it is used before.' })
  idleUntil!: string;
  @ApiProperty({ format: 'date-time', description: 'When it ends in any case.' })
  endsAt!: string;
  @ApiProperty({ description: 'Of Riposte.' })
  version!: string;
}

/** Either of them. */
export const SESSION_ANSWER = {
  oneOf: [{ $ref: getSchemaPath(SignedInDto) }, { $ref: getSchemaPath(SignedOutDto) }],
};

/**
 * The session as its holder sees it.
 * @param names what tenants are called, by their ids
 */
export function toSignedIn(
  { session, secret }: BegunSession,
  names: ReadonlyMap<string, string>,
): SignedInDto {
  const { person, grant, idleUntil, endsAt } = session;
  const tenant = ({ tenantId, role }: typeof grant): SessionTenantDto => ({
    id: tenantId,
    name: names.get(tenantId) ?? null,
    role,
  });
  return {
    signedIn: true,
    user: { name: person.name, displayName: person.displayName, kind: person.kind },
    tenant: tenant(grant),
    tenants: person.grants.map(tenant),
    operates: person.operates,
    mustChangePassword: person.mustChangePassword,
    csrfToken: csrfTokenOf(secret),
    idleUntil: idleUntil.toISOString(),
    endsAt: endsAt.toISOString(),
    version: VERSION,
  };
}
