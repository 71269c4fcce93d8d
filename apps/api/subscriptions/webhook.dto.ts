import { ApiProperty } from '@nestjs/swagger';
import {
  ArrayMaxSize,
  ArrayMinSize,
  ArrayUnique,
  IsArray,
  IsIn,
  IsOptional,
  IsString,
  Matches,
  MaxLength,
} from 'class-validator';
import {
  MESSAGE_TEMPLATES,
  PHASES,
  STATUSES,
  UserError,
  type ActionStatus,
  type FailedPhase,
  type MessageForm,
  type MessageTemplate,
} from '#domain';
import type { MadeWebhook, OpenedWebhook, WebhookWish } from '#engine';

const NAME_LIMIT = 100;
const URL_LIMIT = 2048;
const HEADER_LIMIT = 2048;
/** RFC 5321, 4.5.3.1.3, with a name before it. */
const ADDRESS_LIMIT = 320;
const MOST_ADDRESSES = 50;
const MOST_PROVIDERS = 100;
/** An address, or a name with an address in angle brackets; no line break, by which a header could begin. */
const ADDRESS = /^(?:[^\s<>@,;"]+@[^\s<>@,;"]+|[^<>@\p{Cc}]+ <[^\s<>@,;"]+@[^\s<>@,;"]+>)$/u;
const ADDRESS_NEEDED = 'should have mail addresses, as soc@example.org or SOC <soc@example.org>';
/** What a header can have. */
const HEADER = /^[\x20-\x7e]+$/;
const HEADER_NEEDED = 'authorization can have printable ASCII only';

const ENDS: readonly ActionStatus[] = ['Completed', 'Failed'];

const URL_PROPERTY = {
  maxLength: URL_LIMIT,
  example: 'https://hooks.example.com/services/of-ours',
  description: 'It is sealed, and never shown again.',
} as const;
const AUTHORIZATION_PROPERTY = {
  type: String,
  nullable: true,
  required: false,
  maxLength: HEADER_LIMIT,
  example: 'Bearer re_123',
  description: 'Sent as the header `Authorization`. It is sealed, and never shown again.',
} as const;

export class MoveWebhookDto {
  @ApiProperty(URL_PROPERTY)
  @IsString()
  @MaxLength(URL_LIMIT)
  url!: string;

  @ApiProperty(AUTHORIZATION_PROPERTY)
  @IsOptional()
  @IsString()
  @MaxLength(HEADER_LIMIT)
  @Matches(HEADER, { message: HEADER_NEEDED })
  authorization?: string | null;
}

export class CreateWebhookDto extends MoveWebhookDto {
  @ApiProperty({ maxLength: NAME_LIMIT, example: 'SOC channel' })
  @IsString()
  @Matches(/\S/, { message: 'name should not be empty' })
  @MaxLength(NAME_LIMIT)
  name!: string;

  @ApiProperty({ enum: MESSAGE_TEMPLATES })
  @IsIn(MESSAGE_TEMPLATES)
  template!: MessageTemplate;

  @ApiProperty({
    enum: STATUSES,
    isArray: true,
    required: false,
    minItems: 1,
    description: 'Changes to these are told. Default: Completed and Failed.',
  })
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayUnique()
  @IsIn(STATUSES, { each: true })
  states?: ActionStatus[] | null;

  @ApiProperty({
    enum: PHASES.Failed,
    isArray: true,
    required: false,
    minItems: 1,
    description: 'Of the changes to Failed, those alone that ended so. Default: all.',
  })
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayUnique()
  @IsIn(PHASES.Failed, { each: true })
  phases?: FailedPhase[] | null;

  @ApiProperty({
    type: [String],
    required: false,
    minItems: 1,
    maxItems: MOST_PROVIDERS,
    description: 'Ids of provider instances whose actions are told of. Default: all.',
  })
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(MOST_PROVIDERS)
  @ArrayUnique()
  @IsString({ each: true })
  @MaxLength(63, { each: true })
  providers?: string[] | null;

  @ApiProperty({ type: String, nullable: true, required: false, maxLength: ADDRESS_LIMIT })
  @IsOptional()
  @IsString()
  @MaxLength(ADDRESS_LIMIT)
  @Matches(ADDRESS, { message: `from ${ADDRESS_NEEDED}` })
  from?: string | null;

  @ApiProperty({
    type: [String],
    required: false,
    minItems: 1,
    maxItems: MOST_ADDRESSES,
    description: 'Who gets the mail. Needed for the template email, and for no other.',
  })
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(MOST_ADDRESSES)
  @ArrayUnique()
  @IsString({ each: true })
  @MaxLength(ADDRESS_LIMIT, { each: true })
  @Matches(ADDRESS, { each: true, message: `to ${ADDRESS_NEEDED}` })
  to?: string[] | null;
}

export class WebhookDto {
  @ApiProperty({ format: 'uuid' })
  id!: string;
  @ApiProperty()
  name!: string;
  @ApiProperty({ enum: MESSAGE_TEMPLATES })
  template!: MessageTemplate;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Of the address, which is a secret. Null where it cannot be opened any more.',
  })
  host!: string | null;
  @ApiProperty({ enum: STATUSES, isArray: true })
  states!: readonly ActionStatus[];
  @ApiProperty({ enum: PHASES.Failed, isArray: true, nullable: true })
  phases!: readonly FailedPhase[] | null;
  @ApiProperty({ type: [String], nullable: true })
  providers!: readonly string[] | null;
  @ApiProperty({ type: String, nullable: true })
  from!: string | null;
  @ApiProperty({ type: [String], nullable: true })
  to!: readonly string[] | null;
  @ApiProperty({ description: 'The application that made it.' })
  appId!: string;
  @ApiProperty({ format: 'date-time' })
  createdDateTime!: string;
  @ApiProperty({
    type: String,
    nullable: true,
    description:
      'Why nothing is delivered: the key is gone that its address is sealed with. Give it the address again.',
  })
  problem!: string | null;
  @ApiProperty({
    type: String,
    required: false,
    description: 'What mail is signed with. Told in the answers to the create and to a new address.',
  })
  signingSecret?: string;
}

export class WebhookListDto {
  @ApiProperty({ type: [WebhookDto] })
  value!: WebhookDto[];
}

/** @throws UserError `invalidRequest` for addresses of mail where there is none, or none where there is */
export function webhookWishOf(id: string, body: CreateWebhookDto): WebhookWish {
  const { name, url, states, phases, providers, authorization } = body;
  return {
    id,
    name,
    url,
    authorization: authorization ?? null,
    form: formOf(body),
    filter: { states: states ?? ENDS, phases: phases ?? null, providers: providers ?? null },
  };
}

function formOf({ template, from, to }: CreateWebhookDto): MessageForm {
  const addressees = to ?? null;
  if (template === 'email') {
    if (addressees === null) throw new UserError('invalidRequest', 'to is needed for the template email.');
    return { template, from: from ?? null, to: addressees };
  }
  if (addressees !== null || (from ?? null) !== null)
    throw new UserError('invalidRequest', `from and to are for the template email, not for ${template}.`);
  return { template };
}

export function toWebhook({ recipient, secrets, problem }: OpenedWebhook): WebhookDto {
  const { id, name, form, filter, appId, createdAt } = recipient;
  const mail = form.template === 'email' ? form : null;
  return {
    id,
    name,
    template: form.template,
    host: secrets === null ? null : new URL(secrets.url).host,
    states: filter.states,
    phases: filter.phases,
    providers: filter.providers,
    from: mail?.from ?? null,
    to: mail?.to ?? null,
    appId,
    createdDateTime: createdAt.toISOString(),
    problem,
  };
}

/** With what is told only now. */
export function toMadeWebhook(made: MadeWebhook): WebhookDto {
  const { signingSecret } = made.secrets;
  return { ...toWebhook(made), ...(signingSecret === null ? {} : { signingSecret }) };
}
