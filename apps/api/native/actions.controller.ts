import { Controller, Get, Inject, Param, Req } from '@nestjs/common';
import { ApiBearerAuth, ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { UserError, type ActionStore } from '#domain';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { ACTION_STORE } from '../tokens.js';
import { NativeActionDto, toNative } from './action.dto.js';

/** What Graph has no word for: the phase, progress and attempts of an action. */
@ApiTags('native')
@ApiBearerAuth()
@Controller('api/v1/actions')
export class NativeActionsController {
  constructor(@Inject(ACTION_STORE) private readonly store: ActionStore) {}

  @Get(':id')
  @Requires('read')
  @ApiOperation({ summary: 'Get an action with its phase, progress and attempts' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ type: NativeActionDto })
  @ApiGraphErrors(401, 403, 404, 500, 503)
  async get(@Param('id') id: string, @Req() request: FastifyRequest): Promise<NativeActionDto> {
    const action = await this.store.find(callerOf(request).tenantId, id);
    if (action === null) throw new UserError('itemNotFound', 'No such action exists.');
    return toNative(action);
  }
}
