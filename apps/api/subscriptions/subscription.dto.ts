import { ApiProperty } from '@nestjs/swagger';
import { Equals, IsISO8601, IsOptional, IsString, Matches, MaxLength } from 'class-validator';
import { CHANGE_TYPES, UserError, isGuid, type ChangeType, type Notification } from '#domain';
import { resourceOf, type OpenedSubscription } from '#engine';

const URL_LIMIT = 2048;
const CLIENT_STATE_LIMIT = 128;
const RESOURCE = /^\/?security\/securityActions(?:\/([^/]+)|\('([^']+)'\))?\/?$/i;
const WITH_OFFSET = /^[^T]*T.*(?:Z|[+-]\d{2}:\d{2})$/i;
const OFFSET_NEEDED = 'expirationDateTime must have a time and an offset or Z';

/**
 * Properties of a subscription that the service alone sets, or that say nothing here (where no resource data is sent, none is
 * encrypted): SDK models send them along.
 */
export const IGNORED: ReadonlySet<string> = new Set([
  'id',
  'applicationId',
  'creatorId',
  'latestSupportedTlsVersion',
  'encryptionCertificate',
  'encryptionCertificateId',
  'notificationUrlAppId',
]);

export class CreateSubscriptionDto {
  @ApiProperty({ example: 'created,updated', description: '`created`, `updated`, or both with a comma.' })
  @IsString()
  @MaxLength(64)
  changeType!: string;

  @ApiProperty({ maxLength: URL_LIMIT, example: 'https://receiver.example/notifications' })
  @IsString()
  @MaxLength(URL_LIMIT)
  notificationUrl!: string;

  @ApiProperty({ type: String, nullable: true, required: false, maxLength: URL_LIMIT })
  @IsOptional()
  @IsString()
  @MaxLength(URL_LIMIT)
  lifecycleNotificationUrl?: string | null;

  @ApiProperty({
    example: 'security/securityActions',
    description: 'All of the tenant, or `security/securityActions/{id}`.',
  })
  @IsString()
  @MaxLength(256)
  resource!: string;

  @ApiProperty({ format: 'date-time', description: 'At most 43,200 minutes from now.' })
  @IsISO8601({ strict: true })
  @Matches(WITH_OFFSET, { message: OFFSET_NEEDED })
  expirationDateTime!: string;

  @ApiProperty({
    type: String,
    nullable: true,
    required: false,
    maxLength: CLIENT_STATE_LIMIT,
    description: 'A secret of yours that comes back with each notification.',
  })
  @IsOptional()
  @IsString()
  @MaxLength(CLIENT_STATE_LIMIT)
  clientState?: string | null;

  @ApiProperty({
    type: Boolean,
    nullable: true,
    required: false,
    enum: [false],
    description: 'Notifications tell that something changed, not what.',
  })
  @IsOptional()
  @Equals(false, {
    message: 'includeResourceData has to be false: notifications tell that something changed',
  })
  includeResourceData?: false | null;

  @ApiProperty({ type: String, nullable: true, required: false, enum: ['application/json'] })
  @IsOptional()
  @Equals('application/json', { message: 'notificationContentType has to be application/json' })
  notificationContentType?: 'application/json' | null;

  @ApiProperty({
    type: String,
    nullable: true,
    required: false,
    enum: [''],
    description: 'There are none: `resource` says it all.',
  })
  @IsOptional()
  @Equals('', { message: 'notificationQueryOptions are not known here: resource says what is told of' })
  notificationQueryOptions?: '' | null;
}

export class RenewSubscriptionDto {
  @ApiProperty({ format: 'date-time', description: 'At most 43,200 minutes from now.' })
  @IsISO8601({ strict: true })
  @Matches(WITH_OFFSET, { message: OFFSET_NEEDED })
  expirationDateTime!: string;
}

export class SubscriptionDto {
  @ApiProperty({ name: '@odata.context', type: String, required: false })
  '@odata.context'?: string;
  @ApiProperty({ format: 'uuid' })
  id!: string;
  @ApiProperty()
  resource!: string;
  @ApiProperty()
  applicationId!: string;
  @ApiProperty()
  changeType!: string;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'As given, in the answer to the create; never told again: null.',
  })
  clientState!: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'Null where it cannot be opened any more.' })
  notificationUrl!: string | null;
  @ApiProperty({ type: String, nullable: true })
  lifecycleNotificationUrl!: string | null;
  @ApiProperty({ format: 'date-time' })
  expirationDateTime!: string;
  @ApiProperty({ type: String, nullable: true })
  creatorId!: null;
  @ApiProperty({
    name: '@riposte.signingSecret',
    type: String,
    required: false,
    description: 'What notifications are signed with. Told once, in the answer to the create.',
  })
  '@riposte.signingSecret'?: string;
  @ApiProperty({
    name: '@riposte.problem',
    type: String,
    required: false,
    description:
      'Why nothing is delivered: the key is gone that its addresses are sealed with. Make it anew.',
  })
  '@riposte.problem'?: string;
}

export class SubscriptionListDto {
  @ApiProperty({ name: '@odata.context' })
  '@odata.context'!: string;
  @ApiProperty({ type: [SubscriptionDto] })
  value!: SubscriptionDto[];
}

export class DeadLetterDto {
  @ApiProperty({ description: 'As in the notification itself.' })
  id!: string;
  @ApiProperty({ format: 'uuid', description: 'The subscription or webhook.' })
  subscriptionId!: string;
  @ApiProperty()
  appId!: string;
  @ApiProperty({ type: String, nullable: true, format: 'uuid', description: 'Null: a lifecycle event.' })
  actionId!: string | null;
  @ApiProperty({ description: 'The `changeType` or `lifecycleEvent`.' })
  event!: string;
  @ApiProperty()
  tries!: number;
  @ApiProperty({ format: 'date-time' })
  createdDateTime!: string;
  @ApiProperty({ format: 'date-time', nullable: true, type: String })
  givenUpDateTime!: string | null;
  @ApiProperty({ type: String, nullable: true })
  problem!: string | null;
}

export class DeadLetterListDto {
  @ApiProperty({ type: [DeadLetterDto] })
  value!: DeadLetterDto[];
}

/** A subscription as Graph shows it. */
export function toSubscriptionEntity({
  recipient: subscription,
  secrets,
  problem,
}: OpenedSubscription): SubscriptionDto {
  return {
    id: subscription.id,
    resource: resourceOf(subscription.actionId),
    applicationId: subscription.appId,
    changeType: subscription.changeTypes.join(','),
    clientState: null,
    notificationUrl: secrets?.notificationUrl ?? null,
    lifecycleNotificationUrl: secrets?.lifecycleNotificationUrl ?? null,
    expirationDateTime: subscription.expiresAt.toISOString(),
    creatorId: null,
    ...(problem === null ? {} : { '@riposte.problem': problem }),
  };
}

export function toDeadLetter(letter: Notification): DeadLetterDto {
  const { id, subscriptionId, appId, actionId, event, tries, createdAt, deadAt, problem } = letter;
  return {
    id,
    subscriptionId,
    appId,
    actionId,
    event,
    tries,
    createdDateTime: createdAt.toISOString(),
    givenUpDateTime: deadAt?.toISOString() ?? null,
    problem,
  };
}

/** @throws UserError `invalidRequest` for what is none of `created` and `updated` */
export function changeTypesOf(text: string): readonly ChangeType[] {
  const given = text.split(',').map((one) => one.trim().toLowerCase());
  const known = CHANGE_TYPES.filter((one) => given.includes(one));
  if (given.every((one) => known.some((type) => type === one))) return known;
  throw new UserError(
    'invalidRequest',
    'changeType has to be created, updated, or both with a comma; actions are not deleted.',
  );
}

/**
 * The action's id; null for all.
 * @throws UserError `invalidRequest` for another resource
 */
export function actionIdOf(resource: string): string | null {
  const found = RESOURCE.exec(resource);
  const id = found?.[1] ?? found?.[2];
  if (found !== null && id === undefined) return null;
  if (id !== undefined && isGuid(id)) return id.toLowerCase();
  throw new UserError(
    'invalidRequest',
    'resource has to be security/securityActions or security/securityActions/{id}.',
  );
}

/** @throws UserError `invalidRequest` for a time that does not exist */
export function expirationOf(text: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw new UserError('invalidRequest', 'expirationDateTime is no time that exists.');
  return time;
}
