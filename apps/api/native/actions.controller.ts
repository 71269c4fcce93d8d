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
import type { AskProvider, ResolveOutcome, RevertAction } from '#engine';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import type { LinkBase } from '../http/link-base.js';
import { CreateSecurityActionDto } from '../security-actions/create-security-action.dto.js';
import { ParseCreateBodyPipe } from '../security-actions/parse-create-body.pipe.js';
import { submissionOf } from '../security-actions/submission.js';
import type { SkipTokens } from '../skip-tokens.js';
import {
  ACTION_STORE,
  ASK_PROVIDER,
  LINK_BASE,
  RESOLVE_OUTCOME,
  REVERT_ACTION,
  SKIP_TOKENS,
  WAITING,
} from '../tokens.js';
import { NativeActionDto, NativeActionListDto, toNative } from './action.dto.js';
import { PHASE_NAMES, parseListQuery, queryOfPage } from './list-query.js';
import { ObservedStateDto, PlanDto } from './answers.dto.js';
import type { LiveWaiting } from './waiting.js';
import { ParseResolveBodyPipe, ResolveBodyDto } from './resolve-body.js';

const COLLECTION = 'api/v1/actions';

/** What Graph has no word for: the phase, progress, attempts and resolution of an action. */
@ApiTags('native')
@Controller(COLLECTION)
export class NativeActionsController {
  constructor(
    @Inject(ACTION_STORE) private readonly store: ActionStore,
    @Inject(RESOLVE_OUTCOME) private readonly resolveOutcome: ResolveOutcome,
    @Inject(REVERT_ACTION) private readonly revertAction: RevertAction,
    @Inject(ASK_PROVIDER) private readonly askProvider: AskProvider,
    @Inject(WAITING) private readonly waiting: LiveWaiting,
    @Inject(SKIP_TOKENS) private readonly skipTokens: SkipTokens,
    @Inject(LINK_BASE) private readonly linkBase: LinkBase,
  ) {}

  @Get()
  @Requires('read')
  @ApiOperation({
    summary: 'List actions, newest first',
    description: 'By creation; with unresolved=true by their end.',
  })
  @ApiQuery({
    name: 'top',
    required: false,
    schema: { type: 'integer', minimum: 1, default: 100, description: 'At most 1000 are sent at once.' },
  })
  @ApiQuery({
    name: 'skiptoken',
    required: false,
    schema: { type: 'string' },
    description: 'From nextLink; opaque.',
  })
  @ApiQuery({ name: 'phase', required: false, enum: PHASE_NAMES, description: 'Only those in this phase.' })
  @ApiQuery({
    name: 'unresolved',
    required: false,
    enum: ['true'],
    description: 'Only those of which nobody can say, or has said, whether they were applied.',
  })
  @ApiOkResponse({ type: NativeActionListDto })
  @ApiGraphErrors(400, 401, 403, 500, 503)
  async list(
    @Query() query: Record<string, unknown>,
    @Req() request: FastifyRequest,
  ): Promise<NativeActionListDto> {
    const asked = parseListQuery(query, this.skipTokens);
    const page = await this.store.list(callerOf(request).tenantId, asked.top, asked.after, asked.filter);
    return {
      value: page.actions.map((action) => toNative(action)),
      ...(page.next === null
        ? {}
        : {
            nextLink: `${this.linkBase(request)}/${COLLECTION}?${queryOfPage(asked, page.next, this.skipTokens)}`,
          }),
    };
  }

  @Get(':id')
  @Requires('read')
  @ApiOperation({ summary: 'Get an action with its phase, progress, attempts and resolution' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ type: NativeActionDto })
  @ApiGraphErrors(401, 403, 404, 500, 503)
  async get(@Param('id') id: string, @Req() request: FastifyRequest): Promise<NativeActionDto> {
    const action = await this.store.find(callerOf(request).tenantId, id);
    if (action === null) throw new UserError('itemNotFound', 'No such action exists.');
    return toNative(action, await this.waiting.of(action));
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
  @ApiOkResponse({ type: NativeActionDto })
  @ApiGraphErrors(400, 401, 403, 404, 409, 413, 415, 500, 503)
  async resolve(
    @Param('id') id: string,
    @Body(new ParseResolveBodyPipe()) { verdict, note }: ResolveBodyDto,
    @Req() request: FastifyRequest,
  ): Promise<NativeActionDto> {
    return toNative(await this.resolveOutcome.resolve(callerOf(request), id, { verdict, note }));
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
    reply.header('location', `${this.linkBase(request)}/${COLLECTION}/${action.id}`);
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
