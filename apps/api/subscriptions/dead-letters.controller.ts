import { Controller, Get, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { UserError, type SubscriptionStore } from '#domain';
import type { AuditTrail } from '../audit/audit-trail.js';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphError, ApiGraphErrors } from '../http/api-graph-errors.js';
import { printableId } from '../http/printable-id.js';
import { AUDIT_TRAIL, DEAD_LETTERS } from '../tokens.js';
import { DeadLetterListDto, toDeadLetter } from './subscription.dto.js';

/** Notifications that could not be delivered, of all applications of the tenant. */
@ApiTags('notifications')
@Controller('api/v1/notifications/deadLetters')
export class DeadLettersController {
  constructor(
    @Inject(DEAD_LETTERS) private readonly letters: Pick<SubscriptionStore, 'deadLetters' | 'replay'>,
    @Inject(AUDIT_TRAIL) private readonly trail: AuditTrail,
  ) {}

  @Get()
  @Requires('read')
  @ApiOperation({ summary: 'List notifications that were given up in the last 30 days, last first' })
  @ApiOkResponse({ type: DeadLetterListDto })
  @ApiGraphErrors(401, 403, 500, 503)
  async list(@Req() request: FastifyRequest): Promise<DeadLetterListDto> {
    return { value: (await this.letters.deadLetters(callerOf(request).tenantId)).map(toDeadLetter) };
  }

  @Post(':id/replay')
  @HttpCode(204)
  @Requires('write')
  @ApiOperation({ summary: 'Deliver a notification that was given up' })
  @ApiParam({ name: 'id', description: 'As the list has it.' })
  @ApiNoContentResponse({ description: 'It is tried again, as if it were new.' })
  @ApiGraphErrors(401, 403, 500, 503)
  @ApiGraphError(404, 'The tenant has no such dead letter, or its subscription is gone.')
  async replay(@Param('id') id: string, @Req() request: FastifyRequest): Promise<void> {
    const { tenantId } = callerOf(request);
    const about = { notification: printableId(id) };
    await this.trail.doing(request, { chain: tenantId, kind: 'notification.replayed', about }, async () => {
      if (await this.letters.replay(tenantId, id)) return;
      throw new UserError('itemNotFound', 'The tenant has no such dead letter, or its subscription is gone.');
    });
  }
}
