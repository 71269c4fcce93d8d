import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiCreatedResponse,
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { satisfies } from '#auth';
import { UserError, type ActionStore } from '#domain';
import type { AskProvider, ResolveOutcome, RevertAction, SubmitAction } from '#engine';
import type { Logger } from '#telemetry';
import type { Cancels } from '../audit/cancels.js';
import { Requires, callerOf } from '../auth.guard.js';
import { acceptsGzip } from '../http/accepts-gzip.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { AnswersEntity } from '../http/entity-answers.js';
import type { LinkBase } from '../http/link-base.js';
import { stillListens } from '../http/still-listens.js';
import { whenLeft } from '../http/when-left.js';
import { CREATE_EXAMPLES, CreateSecurityActionDto } from '../security-actions/create-security-action.dto.js';
import { ApiODataOptions } from '../security-actions/api-odata-options.js';
import { ApiIdempotencyKey, REPLAYED_HEADER, idempotencyKeyOf } from '../security-actions/idempotency-key.js';
import type { ListActions } from '../security-actions/list-actions.js';
import type { Query as GivenQuery } from '../security-actions/list-options.js';
import { ParseCreateBodyPipe } from '../security-actions/parse-create-body.pipe.js';
import { submissionOf } from '../security-actions/submission.js';
import {
  ACTION_STORE,
  ASK_PROVIDER,
  CANCELS,
  EXPORT_ACTIONS,
  LINK_BASE,
  LIST_ACTIONS,
  LOG,
  OUTLOOKS,
  RESOLVE_OUTCOME,
  REVERT_ACTION,
  SUBMIT_ACTION,
} from '../tokens.js';
import {
  NativeActionDetailsDto,
  NativeActionDto,
  NativeActionListDto,
  toDetails,
  toNative,
} from './action.dto.js';
import { ObservedStateDto, PlanDto } from './answers.dto.js';
import { CancelAnswersDto, CancelManyDto, ParseCancelManyPipe, cancelMany } from './cancel-many.js';
import { EXPORT_FORMATS, type ExportActions } from './export-actions.js';
import { parseExportQuery } from './export-query.js';
import { PHASE_NAMES, parseListQuery } from './list-query.js';
import type { Outlooks } from './outlook.js';
import { ParseResolveBodyPipe, ResolveBodyDto } from './resolve-body.js';

const PATH = '/api/v1/actions';

/** What Graph has no word for: the phase, progress, attempts and resolution of an action. */
@ApiTags('native')
@Controller(PATH)
export class NativeActionsController {
  constructor(
    @Inject(ACTION_STORE) private readonly store: ActionStore,
    @Inject(LIST_ACTIONS) private readonly lists: ListActions,
    @Inject(EXPORT_ACTIONS) private readonly exports: ExportActions,
    @Inject(SUBMIT_ACTION) private readonly submitAction: SubmitAction,
    @Inject(CANCELS) private readonly cancels: Cancels,
    @Inject(RESOLVE_OUTCOME) private readonly resolveOutcome: ResolveOutcome,
    @Inject(REVERT_ACTION) private readonly revertAction: RevertAction,
    @Inject(ASK_PROVIDER) private readonly askProvider: AskProvider,
    @Inject(OUTLOOKS) private readonly outlooks: Outlooks,
    @Inject(LINK_BASE) private readonly linkBase: LinkBase,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  @Get()
  @Requires('read')
  @ApiOperation({
    summary: 'List actions, newest first where no order is asked for',
    description: 'By creation; with unresolved=true by their end. All that is given has to hold.',
  })
  @ApiODataOptions('', 'filter', 'search', 'orderby', 'top', 'count', 'skiptoken')
  @ApiQuery({ name: 'phase', required: false, enum: PHASE_NAMES, description: 'Only those in this phase.' })
  @ApiQuery({
    name: 'unresolved',
    required: false,
    enum: ['true'],
    description: 'Only those of which nobody can say, or has said, whether they were applied.',
  })
  @ApiOkResponse({ type: NativeActionListDto })
  @ApiGraphErrors(400, 401, 403, 500, 503)
  async list(@Query() query: GivenQuery, @Req() request: FastifyRequest): Promise<NativeActionListDto> {
    const page = await this.lists.page(callerOf(request).tenantId, parseListQuery(query), PATH);
    return {
      value: page.actions.map((action) => toNative(action)),
      ...(page.count === null ? {} : { count: page.count }),
      ...(page.nextQuery === null ? {} : { nextLink: `${this.linkBase(request)}${PATH}?${page.nextQuery}` }),
    };
  }

  @Post()
  @AnswersEntity()
  @Requires('write')
  @ApiOperation({
    summary: 'Create an action',
    description: 'As on the Graph surface, keys included; the answer has this form.',
  })
  @ApiBody({ type: CreateSecurityActionDto, examples: CREATE_EXAMPLES })
  @ApiIdempotencyKey()
  @ApiHeader({
    name: 'Prefer',
    required: false,
    description: 'return=minimal: a 204 without the action.',
    schema: { type: 'string' },
  })
  @ApiCreatedResponse({ type: NativeActionDto, headers: REPLAYED_HEADER })
  @ApiNoContentResponse({
    description: 'Recorded, as 201, with Prefer: return=minimal; Location names the action.',
    headers: REPLAYED_HEADER,
  })
  @ApiGraphErrors(400, 401, 403, 413, 415, 422, 429, 500, 503)
  async create(
    @Body(new ParseCreateBodyPipe()) body: CreateSecurityActionDto,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<NativeActionDto> {
    const key = idempotencyKeyOf(request);
    const { action, repeated } = await this.submitAction.submit(
      callerOf(request),
      submissionOf(body),
      key,
      stillListens(request),
    );
    if (repeated) reply.header('idempotency-replayed', 'true');
    reply.header('location', `${this.linkBase(request)}${PATH}/${action.id}`);
    return toNative(action);
  }

  @Post('cancel')
  @HttpCode(200)
  @Requires('write')
  @ApiOperation({
    summary: 'Cancel several actions',
    description: 'Up to 100, each as if it were asked for alone; one that is refused keeps no other from it.',
  })
  @ApiBody({ type: CancelManyDto })
  @ApiOkResponse({ type: CancelAnswersDto })
  @ApiGraphErrors(400, 401, 403, 413, 415, 500, 503)
  async cancelMany(
    @Body(new ParseCancelManyPipe()) { ids }: CancelManyDto,
    @Req() request: FastifyRequest,
  ): Promise<CancelAnswersDto> {
    return { value: await cancelMany(await this.cancels.ofMany(request, ids), ids, this.log) };
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @Requires('write')
  @ApiOperation({
    summary: 'Cancel an action',
    description:
      '200: it will not take effect, or the wish to stop it is recorded and the action ends with what really happened. 409: it had ended.',
  })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ type: NativeActionDto })
  @ApiGraphErrors(401, 403, 404, 409, 500, 503)
  async cancel(@Param('id') id: string, @Req() request: FastifyRequest): Promise<NativeActionDto> {
    return toNative((await this.cancels.one(request, id)).action);
  }

  @Get('export')
  @Requires('read')
  @ApiOperation({
    summary: 'Export all actions of a filter, newest first where no order is asked for',
    description:
      'Streamed. A connection that ends before the body does means that not all are there. At most two at a time of a tenant.',
  })
  @ApiQuery({
    name: 'format',
    required: false,
    schema: { type: 'string', enum: [...EXPORT_FORMATS], default: 'csv' },
  })
  @ApiODataOptions('', 'filter', 'search', 'orderby')
  @ApiQuery({ name: 'phase', required: false, enum: PHASE_NAMES, description: 'Only those in this phase.' })
  @ApiQuery({
    name: 'unresolved',
    required: false,
    enum: ['true'],
    description: 'Only those of which nobody can say, or has said, whether they were applied.',
  })
  @ApiOkResponse({
    description: 'With a header line; or an action on each line, as the list shows it.',
    content: {
      'text/csv': { schema: { type: 'string' } },
      'application/x-ndjson': { schema: { type: 'string' } },
    },
  })
  @ApiGraphErrors(400, 401, 403, 429, 500, 503)
  async export(
    @Query() query: GivenQuery,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const wanted = parseExportQuery(query);
    const gzip = acceptsGzip(request.headers['accept-encoding']);
    const stream = await this.exports.begin(callerOf(request).tenantId, wanted, gzip);
    // Nobody else does where the caller was gone before it got anything.
    whenLeft(request, reply, () => void stream.destroy());
    await reply
      .type(wanted.format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson; charset=utf-8')
      .header('content-disposition', `attachment; filename="actions.${wanted.format}"`)
      .header('cache-control', 'no-store')
      .header('vary', 'accept-encoding')
      .headers(gzip ? { 'content-encoding': 'gzip' } : {})
      .send(stream);
  }

  @Get(':id')
  @Requires('read')
  @ApiOperation({
    summary: 'Get an action with its phase, what it waits for, its attempts, and what can be done with it',
  })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ type: NativeActionDetailsDto })
  @ApiGraphErrors(401, 403, 404, 500, 503)
  async get(@Param('id') id: string, @Req() request: FastifyRequest): Promise<NativeActionDetailsDto> {
    const { tenantId, roles } = callerOf(request);
    const action = await this.store.find(tenantId, id);
    if (action === null) throw new UserError('itemNotFound', 'No such action exists.');
    const operates = satisfies(roles, 'operate');
    return toDetails(action, await this.outlooks.of(action, operates), operates);
  }

  @Post(':id/resolve')
  @HttpCode(200)
  @Requires('write')
  @ApiOperation({
    summary: 'Say what became of an action whose outcome is unknown',
    description:
      'Adds the resolution and changes nothing else. The same again: 200. 409: its outcome is not unknown, or somebody has said otherwise before.',
  })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiBody({ type: ResolveBodyDto })
  @ApiOkResponse({ type: NativeActionDetailsDto })
  @ApiGraphErrors(400, 401, 403, 404, 409, 413, 415, 500, 503)
  async resolve(
    @Param('id') id: string,
    @Body(new ParseResolveBodyPipe()) { verdict, note }: ResolveBodyDto,
    @Req() request: FastifyRequest,
  ): Promise<NativeActionDetailsDto> {
    const caller = callerOf(request);
    const action = await this.resolveOutcome.resolve(caller, id, { verdict, note });
    const operates = satisfies(caller.roles, 'operate');
    return toDetails(action, await this.outlooks.of(action, operates), operates);
  }

  @Post(':id/revert')
  @HttpCode(201)
  @Requires('write')
  @ApiOperation({
    summary: 'Undo a completed action',
    description:
      'By another action, which is answered: 201 when it is made, 200 when it was asked for before. 409: it cannot be undone, and why.',
  })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiCreatedResponse({ type: NativeActionDto, description: 'The action that undoes it.' })
  @ApiOkResponse({
    type: NativeActionDto,
    description: 'It was asked for before: the action that undoes it.',
  })
  @ApiGraphErrors(401, 403, 404, 409, 429, 500, 503)
  async revert(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<NativeActionDto> {
    const { action, repeated } = await this.revertAction.revert(callerOf(request), id);
    if (repeated) reply.status(200);
    reply.header('location', `${this.linkBase(request)}${PATH}/${action.id}`);
    return toNative(action);
  }

  @Post('plan')
  @HttpCode(200)
  @Requires('write')
  @ApiOperation({
    summary: 'Ask what an action would do',
    description: 'The body is that of a create. Nothing is recorded, and nothing changes at the vendor.',
  })
  @ApiBody({ type: CreateSecurityActionDto })
  @ApiOkResponse({ type: PlanDto })
  @ApiGraphErrors(400, 401, 403, 409, 413, 415, 424, 429, 500, 503)
  async plan(
    @Body(new ParseCreateBodyPipe()) body: CreateSecurityActionDto,
    @Req() request: FastifyRequest,
  ): Promise<PlanDto> {
    return this.askProvider.plan(callerOf(request), submissionOf(body));
  }

  @Post('observe')
  @HttpCode(200)
  @Requires('read')
  @ApiOperation({
    summary: 'Ask whether the effect of an action is in place now',
    description: 'The body is that of a create. Nothing is recorded, and nothing changes at the vendor.',
  })
  @ApiBody({ type: CreateSecurityActionDto })
  @ApiOkResponse({ type: ObservedStateDto })
  @ApiGraphErrors(400, 401, 403, 409, 413, 415, 424, 429, 500, 503)
  async observe(
    @Body(new ParseCreateBodyPipe()) body: CreateSecurityActionDto,
    @Req() request: FastifyRequest,
  ): Promise<ObservedStateDto> {
    return this.askProvider.observe(callerOf(request), submissionOf(body));
  }
}
