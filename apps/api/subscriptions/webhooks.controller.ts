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
import type { ManageWebhooks } from '#engine';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphError, ApiGraphErrors } from '../http/api-graph-errors.js';
import { ParseBodyPipe } from '../http/parse-body.pipe.js';
import { WEBHOOKS } from '../tokens.js';
import {
  CreateWebhookDto,
  MoveWebhookDto,
  WebhookDto,
  WebhookListDto,
  toMadeWebhook,
  toWebhook,
  webhookWishOf,
} from './webhook.dto.js';

const NOT_THERE = 'The tenant has no such webhook.';

/** Where people are told of changes: in Slack, in Microsoft Teams, or by mail. An operator's, for the tenant. */
@ApiTags('notifications')
@Controller('api/v1/webhooks')
@Requires('operate')
export class WebhooksController {
  constructor(@Inject(WEBHOOKS) private readonly webhooks: ManageWebhooks) {}

  @Post()
  @ApiOperation({
    summary: 'Tell people of changes',
    description: 'The address gets a first message, and has to take it.',
  })
  @ApiBody({ type: CreateWebhookDto })
  @ApiCreatedResponse({ type: WebhookDto, description: 'Recorded; messages come from now on.' })
  @ApiGraphErrors(400, 401, 403, 413, 415, 500, 503)
  @ApiGraphError(409, 'The tenant has too many webhooks.')
  async create(
    @Body(new ParseBodyPipe(CreateWebhookDto, 'a webhook')) body: CreateWebhookDto,
    @Req() request: FastifyRequest,
  ): Promise<WebhookDto> {
    return toMadeWebhook(await this.webhooks.create(callerOf(request), webhookWishOf(body)));
  }

  @Get()
  @ApiOperation({ summary: "List the tenant's webhooks" })
  @ApiOkResponse({ type: WebhookListDto })
  @ApiGraphErrors(401, 403, 500, 503)
  async list(@Req() request: FastifyRequest): Promise<WebhookListDto> {
    return { value: (await this.webhooks.list(callerOf(request).tenantId)).map(toWebhook) };
  }

  @Get(':id')
  @ApiOperation({ summary: 'Get a webhook' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ type: WebhookDto })
  @ApiGraphErrors(401, 403, 500, 503)
  @ApiGraphError(404, NOT_THERE)
  async get(@Param('id') id: string, @Req() request: FastifyRequest): Promise<WebhookDto> {
    return toWebhook(await this.webhooks.get(callerOf(request).tenantId, id));
  }

  @Patch(':id')
  @ApiOperation({
    summary: 'Give a webhook another address',
    description:
      'It has to take a first message. What waits goes there. Without `authorization` none is sent.',
  })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiBody({ type: MoveWebhookDto })
  @ApiOkResponse({ type: WebhookDto })
  @ApiGraphErrors(400, 401, 403, 413, 415, 500, 503)
  @ApiGraphError(404, NOT_THERE)
  async move(
    @Param('id') id: string,
    @Body(new ParseBodyPipe(MoveWebhookDto, 'the new address')) { url, authorization }: MoveWebhookDto,
    @Req() request: FastifyRequest,
  ): Promise<WebhookDto> {
    const { tenantId } = callerOf(request);
    return toMadeWebhook(await this.webhooks.move(tenantId, id, url, authorization ?? null));
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove a webhook, with what it was to be told' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiNoContentResponse({ description: 'It is gone.' })
  @ApiGraphErrors(401, 403, 500, 503)
  @ApiGraphError(404, NOT_THERE)
  async remove(@Param('id') id: string, @Req() request: FastifyRequest): Promise<void> {
    await this.webhooks.remove(callerOf(request).tenantId, id);
  }
}
