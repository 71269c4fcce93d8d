import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiCreatedResponse,
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { UserError, type ActionStore, type SecurityAction } from '#domain';
import type { SubmitAction } from '#engine';
import { select, type Selection } from '#odata';
import type { ActionSearch } from '#persistence';
import type { Cancels } from '../audit/cancels.js';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { AnswersEntity } from '../http/entity-answers.js';
import type { LinkBase } from '../http/link-base.js';
import { stillListens } from '../http/still-listens.js';
import { printableId } from '../http/printable-id.js';
import { ACTION_STORE, CANCELS, LINK_BASE, LIST_ACTIONS, SEARCH, SUBMIT_ACTION } from '../tokens.js';
import { CREATE_EXAMPLES, CreateSecurityActionDto } from './create-security-action.dto.js';
import { ApiODataOptions } from './api-odata-options.js';
import type { ListActions } from './list-actions.js';
import {
  parseCountOptions,
  parseItemOptions,
  parseListOptions,
  type Query as GivenQuery,
} from './list-options.js';
import { ApiIdempotencyKey, REPLAYED_HEADER, idempotencyKeyOf } from './idempotency-key.js';
import { ParseCreateBodyPipe } from './parse-create-body.pipe.js';
import { submissionOf } from './submission.js';
import {
  SecurityActionDto,
  SecurityActionListDto,
  WHOLE_OR_SELECTED,
  toEntity,
} from './security-action.dto.js';

const COLLECTION = 'security/securityActions';

/** Microsoft Graph's securityAction surface, on `/beta` and `/v1.0` alike. */
@ApiTags('securityActions')
@Controller([`beta/${COLLECTION}`, `v1.0/${COLLECTION}`])
export class SecurityActionsController {
  constructor(
    @Inject(SUBMIT_ACTION) private readonly submitAction: SubmitAction,
    @Inject(CANCELS) private readonly cancels: Cancels,
    @Inject(ACTION_STORE) private readonly store: ActionStore,
    @Inject(SEARCH) private readonly search: ActionSearch,
    @Inject(LIST_ACTIONS) private readonly lists: ListActions,
    @Inject(LINK_BASE) private readonly linkBase: LinkBase,
  ) {}

  @Post()
  @AnswersEntity()
  @Requires('write')
  @ApiOperation({ summary: 'Create a security action' })
  @ApiBody({ type: CreateSecurityActionDto, examples: CREATE_EXAMPLES })
  @ApiIdempotencyKey()
  @ApiHeader({
    name: 'Prefer',
    required: false,
    description: 'return=minimal: a 204 without the action.',
    schema: { type: 'string' },
  })
  @ApiCreatedResponse({ type: SecurityActionDto, headers: REPLAYED_HEADER })
  @ApiNoContentResponse({
    description: 'Recorded, as 201, with Prefer: return=minimal; Location names the action.',
    headers: REPLAYED_HEADER,
  })
  @ApiGraphErrors(400, 401, 403, 413, 415, 422, 429, 500, 503)
  async create(
    @Body(new ParseCreateBodyPipe()) body: CreateSecurityActionDto,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SecurityActionDto> {
    const { action, repeated } = await this.submitAction.submit(
      callerOf(request),
      submissionOf(body),
      idempotencyKeyOf(request),
      stillListens(request),
    );
    if (repeated) reply.header('idempotency-replayed', 'true');
    reply.header('location', `${this.linkBase(request)}${collectionPath(request)}/${action.id}`);
    return { '@odata.context': `${this.#context(request)}/$entity`, ...toEntity(action) };
  }

  @Get()
  @Requires('read')
  @ApiOperation({ summary: 'List security actions, newest first where no order is asked for' })
  @ApiODataOptions(
    '$',
    'filter',
    'search',
    'orderby',
    'select',
    'top',
    'skip',
    'count',
    'skiptoken',
    'format',
  )
  @ApiOkResponse({ type: SecurityActionListDto })
  @ApiGraphErrors(400, 401, 403, 500, 503)
  async list(@Query() query: GivenQuery, @Req() request: FastifyRequest): Promise<SecurityActionListDto> {
    const options = parseListOptions(query);
    const path = collectionPath(request);
    const page = await this.lists.page(callerOf(request).tenantId, options, path);
    return {
      '@odata.context': this.#context(request, options.selection),
      ...(page.count === null ? {} : { '@odata.count': page.count }),
      ...(page.nextQuery === null
        ? {}
        : { '@odata.nextLink': `${this.linkBase(request)}${path}?${page.nextQuery}` }),
      value: page.actions.map((action) => shown(action, options.selection)),
    };
  }

  @Get('$count')
  @Requires('read')
  @ApiOperation({ summary: 'Count security actions' })
  @ApiODataOptions('$', 'filter', 'search')
  @ApiOkResponse({
    content: { 'text/plain': { schema: { type: 'string', pattern: String.raw`^\d+$` } } },
    description: 'The number alone.',
  })
  @ApiGraphErrors(400, 401, 403, 500, 503)
  async count(
    @Query() query: GivenQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    const { filter } = parseCountOptions(query);
    const count = await this.search.count(callerOf(request).tenantId, filter);
    reply.type('text/plain; charset=utf-8');
    return String(count);
  }

  @Get(':id')
  @AnswersEntity()
  @Requires('read')
  @ApiOperation({ summary: 'Get a security action' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiODataOptions('$', 'select', 'format')
  @ApiHeader({
    name: 'If-None-Match',
    required: false,
    description: 'An ETag of before.',
    schema: { type: 'string' },
  })
  @ApiOkResponse({ schema: WHOLE_OR_SELECTED })
  @ApiResponse({ status: 304, description: 'It is still as the ETag in If-None-Match says.' })
  @ApiGraphErrors(400, 401, 403, 404, 500, 503)
  async get(
    @Param('id') id: string,
    @Query() query: GivenQuery,
    @Req() request: FastifyRequest,
  ): Promise<Partial<SecurityActionDto>> {
    const { selection } = parseItemOptions(query);
    const action = await this.store.find(callerOf(request).tenantId, id);
    if (action === null) throw new UserError('itemNotFound', `No security action ${printableId(id)} exists.`);
    return {
      '@odata.context': `${this.#context(request, selection)}/$entity`,
      ...shown(action, selection),
    };
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
    await this.cancels.one(request, id);
  }

  #context(request: FastifyRequest, selection: Selection | null = null): string {
    const selected = selection === null ? '' : `(${selection.paths.join(',')})`;
    return `${this.linkBase(request)}/${versionOf(request)}/$metadata#${COLLECTION}${selected}`;
  }
}

function shown(action: SecurityAction, selection: Selection | null): Partial<SecurityActionDto> {
  const entity = toEntity(action);
  return selection === null ? entity : select(entity, selection);
}

function versionOf(request: FastifyRequest): 'beta' | 'v1.0' {
  return request.routeOptions.url?.startsWith('/v1.0/') === true ? 'v1.0' : 'beta';
}

function collectionPath(request: FastifyRequest): string {
  return `/${versionOf(request)}/${COLLECTION}`;
}
