import { randomUUID } from 'node:crypto';
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
import type { AuditTrail, Doing } from '../audit/audit-trail.js';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphError, ApiGraphErrors } from '../http/api-graph-errors.js';
import { ParseBodyPipe } from '../http/parse-body.pipe.js';
import { printableId } from '../http/printable-id.js';
import { AUDIT_TRAIL, WEBHOOKS } from '../tokens.js';
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
  constructor(
    @Inject(WEBHOOKS) private readonly webhooks: ManageWebhooks,
    @Inject(AUDIT_TRAIL) private readonly trail: AuditTrail,
  ) {}

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
    const wish = webhookWishOf(randomUUID(), body);
    const doing = changing('webhook.created', request, wish.id, {
      name: wish.name,
      template: wish.form.template,
      ...hostOf(wish.url),
    });
    return toMadeWebhook(
      await this.trail.doing(request, doing, () => this.webhooks.create(callerOf(request), wish)),
    );
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
    const doing = changing('webhook.moved', request, id, hostOf(url));
    return toMadeWebhook(
      await this.trail.doing(request, doing, () =>
        this.webhooks.move(tenantId, id, url, authorization ?? null),
      ),
    );
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove a webhook, with what it was to be told' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiNoContentResponse({ description: 'It is gone.' })
  @ApiGraphErrors(401, 403, 500, 503)
  @ApiGraphError(404, NOT_THERE)
  async remove(@Param('id') id: string, @Req() request: FastifyRequest): Promise<void> {
    await this.trail.doing(request, changing('webhook.removed', request, id), () =>
      this.webhooks.remove(callerOf(request).tenantId, id),
    );
  }
}

function changing(
  kind: Doing['kind'],
  request: FastifyRequest,
  id: string,
  details: Readonly<Record<string, string>> = {},
): Doing {
  return { chain: callerOf(request).tenantId, kind, about: { webhook: printableId(id) }, details };
}

/** Of an address not the rest: it is a secret. What is none is refused later. */
function hostOf(url: string): Readonly<Record<string, string>> {
  return URL.canParse(url) ? { host: new URL(url).host } : {};
}
