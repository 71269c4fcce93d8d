import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Patch, Post, Req } from '@nestjs/common';
import {
  ApiBody,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import type { TenantPeople, WithPassword } from '#auth';
import { UserError, type Session } from '#domain';
import type { Logger } from '#telemetry';
import type { AuditTrail } from '../audit/audit-trail.js';
import { Requires, sessionOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { ParseBodyPipe } from '../http/parse-body.pipe.js';
import { printableId } from '../http/printable-id.js';
import { AUDIT_TRAIL, LOG, TENANT_PEOPLE } from '../tokens.js';
import {
  AddOperatorDto,
  ChangeOperatorDto,
  OperatorDto,
  OperatorListDto,
  OperatorWithPasswordDto,
  toOperator,
} from './operator.dto.js';

/** The people of a tenant who have accounts here, for its administrators. */
@ApiTags('operators')
@Requires('administer')
@Controller('api/v1/operators')
export class OperatorsController {
  constructor(
    @Inject(TENANT_PEOPLE) private readonly people: TenantPeople | null,
    @Inject(AUDIT_TRAIL) private readonly trail: AuditTrail,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  @Get()
  @ApiOperation({ summary: 'List the accounts of the tenant' })
  @ApiOkResponse({ type: OperatorListDto })
  @ApiGraphErrors(401, 403, 500, 503)
  async list(@Req() request: FastifyRequest): Promise<OperatorListDto> {
    const session = sessionOf(request);
    const accounts = this.people === null ? [] : await this.people.list(session);
    return { value: accounts.map((account) => toOperator(account, session.grant.tenantId)) };
  }

  @Post()
  @ApiOperation({
    summary: 'Make an account, with a password for the first sign-in',
    description: '409: the name is taken, or accounts are not kept here.',
  })
  @ApiBody({ type: AddOperatorDto })
  @ApiCreatedResponse({ type: OperatorWithPasswordDto, description: 'The account, and its password once.' })
  @ApiGraphErrors(400, 401, 403, 409, 413, 415, 429, 500, 503)
  async add(
    @Body(new ParseBodyPipe(AddOperatorDto, 'name, displayName and role')) body: AddOperatorDto,
    @Req() request: FastifyRequest,
  ): Promise<OperatorWithPasswordDto> {
    const session = sessionOf(request);
    const people = this.#kept();
    const made = await this.#recorded('operator.added', request, body.name, { role: body.role }, () =>
      people.add(session, body),
    );
    return this.#told('account made', request, session, made);
  }

  @Patch(':name')
  @ApiOperation({
    summary: 'Change the role, the name that is shown, or whether the account may be used',
    description: 'Ends its sessions, unless only the name changes. 409: it is the last administrator.',
  })
  @ApiParam({ name: 'name', example: 'alice' })
  @ApiBody({ type: ChangeOperatorDto })
  @ApiOkResponse({ type: OperatorDto })
  @ApiGraphErrors(400, 401, 403, 404, 409, 413, 415, 500, 503)
  async change(
    @Param('name') name: string,
    @Body(new ParseBodyPipe(ChangeOperatorDto, 'displayName, role, disabled')) body: ChangeOperatorDto,
    @Req() request: FastifyRequest,
  ): Promise<OperatorDto> {
    const session = sessionOf(request);
    const people = this.#kept();
    const account = await this.#recorded('operator.changed', request, name, given(body), () =>
      people.change(session, name, body),
    );
    this.#note('account changed', request, session, account.name);
    return toOperator(account, session.grant.tenantId);
  }

  @Post(':name/reset-password')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Give the account another password for the next sign-in; its sessions end',
    description: '409: it was changed at the same time.',
  })
  @ApiParam({ name: 'name', example: 'alice' })
  @ApiOkResponse({ type: OperatorWithPasswordDto })
  @ApiGraphErrors(401, 403, 404, 409, 429, 500, 503)
  async resetPassword(
    @Param('name') name: string,
    @Req() request: FastifyRequest,
  ): Promise<OperatorWithPasswordDto> {
    const session = sessionOf(request);
    const people = this.#kept();
    const reset = await this.#recorded('operator.passwordReset', request, name, {}, () =>
      people.resetPassword(session, name),
    );
    return this.#told('password reset', request, session, reset);
  }

  @Delete(':name')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Take the account out of the tenant; one that is in no other goes altogether',
    description: '409: it is the last administrator.',
  })
  @ApiParam({ name: 'name', example: 'alice' })
  @ApiNoContentResponse({ description: 'The account is in the tenant no more.' })
  @ApiGraphErrors(401, 403, 404, 409, 500, 503)
  async remove(@Param('name') name: string, @Req() request: FastifyRequest): Promise<void> {
    const session = sessionOf(request);
    const people = this.#kept();
    await this.#recorded('operator.removed', request, name, {}, () => people.remove(session, name));
    this.#note('account removed', request, session, name.toLowerCase());
  }

  #recorded<T>(
    kind: 'operator.added' | 'operator.changed' | 'operator.passwordReset' | 'operator.removed',
    request: FastifyRequest,
    name: string,
    details: Readonly<Record<string, string | boolean>>,
    work: () => Promise<T>,
  ): Promise<T> {
    const { tenantId } = sessionOf(request).grant;
    const about = { operator: printableId(name.toLowerCase()) };
    return this.trail.doing(request, { chain: tenantId, kind, about, details }, work);
  }

  #kept(): TenantPeople {
    if (this.people === null)
      throw new UserError('notAllowed', 'Accounts are not kept here: people sign in by an issuer.');
    return this.people;
  }

  #told(
    event: string,
    request: FastifyRequest,
    session: Session,
    { account, password }: WithPassword,
  ): OperatorWithPasswordDto {
    this.#note(event, request, session, account.name);
    return { ...toOperator(account, session.grant.tenantId), password };
  }

  #note(event: string, request: FastifyRequest, { person, grant }: Session, account: string): void {
    this.log.info({ requestId: request.id, tenant: grant.tenantId, person: person.id, account }, event);
  }
}

/** What of an account is changed, and to what. */
function given({
  role,
  disabled,
  displayName,
}: ChangeOperatorDto): Readonly<Record<string, string | boolean>> {
  return {
    ...(role === undefined ? {} : { role }),
    ...(disabled === undefined ? {} : { disabled }),
    ...(displayName === undefined ? {} : { displayName: displayName.slice(0, 120) }),
  };
}
