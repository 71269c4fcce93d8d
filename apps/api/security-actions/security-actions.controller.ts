import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiCreatedResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { UserError, type ActionStore } from '#domain';
import type { CancelAction, SubmitAction } from '#engine';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { ACTION_STORE, CANCEL_ACTION, PUBLIC_URL, SUBMIT_ACTION } from '../tokens.js';
import { CreateSecurityActionDto } from './create-security-action.dto.js';
import { ApiIdempotencyKey, REPLAYED_HEADER, idempotencyKeyOf } from './idempotency-key.js';
import { parseListOptions, skipTokenOf } from './list-options.js';
import { ParseCreateBodyPipe } from './parse-create-body.pipe.js';
import { SecurityActionDto, SecurityActionListDto, toGraph } from './security-action.dto.js';

const COLLECTION = 'security/securityActions';

/** Microsoft Graph's securityAction surface, on `/beta` and `/v1.0` alike. */
@ApiTags('securityActions')
@Controller([`beta/${COLLECTION}`, `v1.0/${COLLECTION}`])
export class SecurityActionsController {
  constructor(
    @Inject(SUBMIT_ACTION) private readonly submitAction: SubmitAction,
    @Inject(CANCEL_ACTION) private readonly cancelAction: CancelAction,
    @Inject(ACTION_STORE) private readonly store: ActionStore,
    @Inject(PUBLIC_URL) private readonly publicUrl: string,
  ) {}

  @Post()
  @Requires('write')
  @ApiOperation({ summary: 'Create a security action' })
  @ApiBody({ type: CreateSecurityActionDto })
  @ApiIdempotencyKey()
  @ApiCreatedResponse({ type: SecurityActionDto, headers: REPLAYED_HEADER })
  @ApiGraphErrors(400, 401, 403, 413, 415, 422, 429, 500, 503)
  async create(
    @Body(new ParseCreateBodyPipe()) body: CreateSecurityActionDto,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SecurityActionDto> {
    const submission = {
      name: body.name,
      actionReason: body.actionReason ?? null,
      clientContext: body.clientContext ?? null,
      parameters: body.parameters.map(({ name, value }) => ({ name, value: value ?? null })),
      vendorInformation: {
        vendor: body.vendorInformation.vendor,
        provider: body.vendorInformation.provider,
        providerVersion: body.vendorInformation.providerVersion ?? null,
        subProvider: body.vendorInformation.subProvider ?? null,
      },
      startBefore: startBefore(body['@riposte.startBefore']),
    };
    const key = idempotencyKeyOf(request);
    const { action, repeated } = await this.submitAction.submit(callerOf(request), submission, key);
    if (repeated) reply.header('idempotency-replayed', 'true');
    reply.header('location', `${this.publicUrl}${collectionPath(request)}/${action.id}`);
    return { '@odata.context': `${this.#context(request)}/$entity`, ...toGraph(action) };
  }

  @Get()
  @Requires('read')
  @ApiOperation({ summary: 'List security actions, newest first' })
  @ApiQuery({
    name: '$top',
    required: false,
    schema: { type: 'integer', minimum: 1, default: 100, description: 'At most 1000 are sent at once.' },
  })
  @ApiQuery({
    name: '$skiptoken',
    required: false,
    schema: { type: 'string' },
    description: 'From @odata.nextLink; opaque.',
  })
  @ApiOkResponse({ type: SecurityActionListDto })
  @ApiGraphErrors(400, 401, 403, 500, 503)
  async list(
    @Query() query: Record<string, unknown>,
    @Req() request: FastifyRequest,
  ): Promise<SecurityActionListDto> {
    const { top, after } = parseListOptions(query);
    const page = await this.store.list(callerOf(request).tenantId, top, after);
    const list = { '@odata.context': this.#context(request), value: page.actions.map(toGraph) };
    if (page.next === null) return list;
    const next = new URLSearchParams({ $top: String(top), $skiptoken: skipTokenOf(page.next) });
    return {
      ...list,
      '@odata.nextLink': `${this.publicUrl}${collectionPath(request)}?${next.toString().replaceAll('%24', '$')}`,
    };
  }

  @Get(':id')
  @Requires('read')
  @ApiOperation({ summary: 'Get a security action' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ type: SecurityActionDto })
  @ApiGraphErrors(401, 403, 404, 500, 503)
  async get(@Param('id') id: string, @Req() request: FastifyRequest): Promise<SecurityActionDto> {
    const action = await this.store.find(callerOf(request).tenantId, id);
    if (action === null) throw new UserError('itemNotFound', `No security action ${printable(id)} exists.`);
    return { '@odata.context': `${this.#context(request)}/$entity`, ...toGraph(action) };
  }

  @Post([':id/cancelSecurityAction', ':id/microsoft.graph.cancelSecurityAction'])
  @HttpCode(200)
  @Requires('write')
  @ApiOperation({
    summary: 'Cancel a security action',
    description:
      '200: it will not take effect, or the wish to stop it is recorded and the action ends as what really happened. 409: it had ended.',
  })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ description: 'No body.' })
  @ApiGraphErrors(401, 403, 404, 409, 500, 503)
  async cancel(@Param('id') id: string, @Req() request: FastifyRequest): Promise<void> {
    await this.cancelAction.cancel(callerOf(request), printable(id));
  }

  #context(request: FastifyRequest): string {
    return `${this.publicUrl}/${versionOf(request)}/$metadata#${COLLECTION}`;
  }
}

function versionOf(request: FastifyRequest): 'beta' | 'v1.0' {
  return request.routeOptions.url?.startsWith('/v1.0/') === true ? 'v1.0' : 'beta';
}

function collectionPath(request: FastifyRequest): string {
  return `/${versionOf(request)}/${COLLECTION}`;
}

/** An id from a URL as it may stand in a message. */
function printable(id: string): string {
  return id.slice(0, 64).replaceAll(/[^\w.-]/g, '?');
}

function startBefore(text: string | null | undefined): Date | null {
  if (text === null || text === undefined) return null;
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw new UserError('invalidRequest', '@riposte.startBefore is no time that exists.');
  return time;
}
