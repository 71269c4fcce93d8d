import { ApiProperty, getSchemaPath } from '@nestjs/swagger';
import { STATUSES, type ActionStatus, type SecurityAction } from '#domain';
import { KeyValuePairDto, SecurityVendorInformationDto } from './create-security-action.dto.js';

const dateTime = { type: String, format: 'date-time', nullable: true } as const;
const text = { type: String, nullable: true } as const;

export class ResultInfoDto {
  @ApiProperty({ type: 'integer', format: 'int32' })
  code!: number;
  @ApiProperty({ type: 'integer', format: 'int32' })
  subcode!: number;
  @ApiProperty(text)
  message!: string | null;
}

export class SecurityActionStateDto {
  @ApiProperty(text)
  appId!: string | null;
  @ApiProperty({ enum: STATUSES })
  status!: ActionStatus;
  @ApiProperty(dateTime)
  updatedDateTime!: string;
  @ApiProperty(text)
  user!: string | null;
}

/** Graph's securityAction: https://learn.microsoft.com/graph/api/resources/securityaction?view=graph-rest-beta. */
export class SecurityActionDto {
  @ApiProperty({ type: String, required: false })
  '@odata.context'?: string;
  @ApiProperty({ format: 'uuid' })
  id!: string;
  @ApiProperty(text)
  actionReason!: string | null;
  @ApiProperty(text)
  appId!: string | null;
  @ApiProperty(text)
  azureTenantId!: string | null;
  @ApiProperty(text)
  clientContext!: string | null;
  @ApiProperty(dateTime)
  completedDateTime!: string | null;
  @ApiProperty(dateTime)
  createdDateTime!: string;
  @ApiProperty({ type: ResultInfoDto, nullable: true })
  errorInfo!: ResultInfoDto | null;
  @ApiProperty(dateTime)
  lastActionDateTime!: string;
  @ApiProperty()
  name!: string;
  @ApiProperty({
    type: [KeyValuePairDto],
    description: 'As they were sent; the value of one that its provider marks secret is null.',
  })
  parameters!: readonly KeyValuePairDto[];
  @ApiProperty({ type: [SecurityActionStateDto] })
  states!: readonly SecurityActionStateDto[];
  @ApiProperty({ enum: STATUSES })
  status!: ActionStatus;
  @ApiProperty(text)
  user!: string | null;
  @ApiProperty({ type: SecurityVendorInformationDto })
  vendorInformation!: SecurityVendorInformationDto;
  @ApiProperty({
    ...dateTime,
    nullable: false,
    required: false,
    description: 'When its effect is lifted again. Absent where it stays, and on the native API.',
  })
  '@riposte.effectUntil'?: string;
}

/** What a read shows, for the OpenAPI document. */
export const WHOLE_OR_SELECTED = {
  anyOf: [
    { $ref: getSchemaPath(SecurityActionDto) },
    { type: 'object', description: 'With $select: what is selected of it.' },
  ],
};

export class SecurityActionListDto {
  @ApiProperty()
  '@odata.context'!: string;
  @ApiProperty({
    type: 'integer',
    required: false,
    description: 'How many there are in all; with $count=true.',
  })
  '@odata.count'?: number;
  @ApiProperty({ required: false, description: 'Absolute address of the next page; absent on the last.' })
  '@odata.nextLink'?: string;
  @ApiProperty({ type: 'array', items: WHOLE_OR_SELECTED })
  value!: readonly Partial<SecurityActionDto>[];
}

/** The record as the Graph surface shows it: Graph's members, and what was asked of the engine as annotations. */
export function toEntity(action: SecurityAction): SecurityActionDto {
  const { effectUntil } = action;
  const entity = toGraph(action);
  return effectUntil === null ? entity : { ...entity, '@riposte.effectUntil': effectUntil.toISOString() };
}

/** The record as Graph shows it. What Graph has no word for stays out. */
export function toGraph(action: SecurityAction): SecurityActionDto {
  const { errorInfo, vendorInformation } = action;
  return {
    id: action.id,
    actionReason: action.actionReason,
    appId: action.appId,
    azureTenantId: action.tenantId,
    clientContext: action.clientContext,
    completedDateTime: action.completedAt?.toISOString() ?? null,
    createdDateTime: action.createdAt.toISOString(),
    errorInfo:
      errorInfo === null
        ? null
        : { code: errorInfo.code, subcode: errorInfo.subcode, message: errorInfo.message },
    lastActionDateTime: action.lastActionAt.toISOString(),
    name: action.name,
    parameters: action.parameters.map(({ name, value }) => ({ name, value })),
    states: action.states.map(({ appId, status, updatedAt, user }) => ({
      appId,
      status,
      updatedDateTime: updatedAt.toISOString(),
      user,
    })),
    status: action.status,
    user: action.user,
    vendorInformation: {
      provider: vendorInformation.provider,
      providerVersion: vendorInformation.providerVersion,
      subProvider: vendorInformation.subProvider,
      vendor: vendorInformation.vendor,
    },
  };
}
