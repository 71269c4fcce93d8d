import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiParam, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { UserError, type ActionStore } from '#domain';
import type { ResolveOutcome } from '#engine';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { ACTION_STORE, PUBLIC_URL, RESOLVE_OUTCOME } from '../tokens.js';
import { NativeActionDto, NativeActionListDto, toNative } from './action.dto.js';
import { PHASE_NAMES, parseListQuery, queryOfPage } from './list-query.js';
import { ParseResolveBodyPipe, ResolveBodyDto } from './resolve-body.js';

const COLLECTION = 'api/v1/actions';

/** What Graph has no word for: the phase, progress, attempts and resolution of an action. */
@ApiTags('native')
@Controller(COLLECTION)
export class NativeActionsController {
  constructor(
    @Inject(ACTION_STORE) private readonly store: ActionStore,
    @Inject(RESOLVE_OUTCOME) private readonly resolveOutcome: ResolveOutcome,
    @Inject(PUBLIC_URL) private readonly publicUrl: string,
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
    const asked = parseListQuery(query);
    const page = await this.store.list(callerOf(request).tenantId, asked.top, asked.after, asked.filter);
    return {
      value: page.actions.map(toNative),
      ...(page.next === null
        ? {}
        : { nextLink: `${this.publicUrl}/${COLLECTION}?${queryOfPage(asked, page.next)}` }),
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
    return toNative(action);
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
}
