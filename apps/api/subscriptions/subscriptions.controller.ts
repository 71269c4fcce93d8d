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
import { UserError, type ActionStore } from '#domain';
import { resourceOf, type ManageSubscriptions } from '#engine';
import type { AuditTrail, Doing } from '../audit/audit-trail.js';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphError, ApiGraphErrors } from '../http/api-graph-errors.js';
import type { LinkBase } from '../http/link-base.js';
import { ParseBodyPipe } from '../http/parse-body.pipe.js';
import { printableId } from '../http/printable-id.js';
import { ACTION_STORE, AUDIT_TRAIL, LINK_BASE, SUBSCRIPTIONS } from '../tokens.js';
import {
  CreateSubscriptionDto,
  IGNORED,
  RenewSubscriptionDto,
  SubscriptionDto,
  SubscriptionListDto,
  actionIdOf,
  changeTypesOf,
  expirationOf,
  toSubscriptionEntity,
} from './subscription.dto.js';

const NOT_THERE = 'The application has no such subscription.';

/** Microsoft Graph's change notifications, for security actions, on `/beta` and `/v1.0` alike. */
@ApiTags('subscriptions')
@Controller(['beta/subscriptions', 'v1.0/subscriptions'])
export class SubscriptionsController {
  constructor(
    @Inject(SUBSCRIPTIONS) private readonly subscriptions: ManageSubscriptions,
    @Inject(ACTION_STORE) private readonly actions: ActionStore,
    @Inject(AUDIT_TRAIL) private readonly trail: AuditTrail,
    @Inject(LINK_BASE) private readonly linkBase: LinkBase,
  ) {}

  @Post()
  @Requires('read')
  @ApiOperation({ summary: 'Subscribe to changes of security actions' })
  @ApiBody({ type: CreateSubscriptionDto })
  @ApiCreatedResponse({ type: SubscriptionDto, description: 'Recorded; notifications come from now on.' })
  @ApiGraphErrors(400, 401, 403, 413, 415, 500, 503)
  @ApiGraphError(404, 'The tenant has no such action.')
  @ApiGraphError(409, 'The application has too many subscriptions.')
  async create(
    @Body(new ParseBodyPipe(CreateSubscriptionDto, 'a subscription', IGNORED)) body: CreateSubscriptionDto,
    @Req() request: FastifyRequest,
  ): Promise<SubscriptionDto> {
    const caller = callerOf(request);
    const actionId = actionIdOf(body.resource);
    const changeTypes = changeTypesOf(body.changeType);
    const expiresAt = expirationOf(body.expirationDateTime);
    if (actionId !== null && (await this.actions.find(caller.tenantId, actionId)) === null)
      throw new UserError('itemNotFound', `No security action ${actionId} exists.`);
    const id = randomUUID();
    const doing = changing('subscription.created', request, id, {
      resource: resourceOf(actionId),
      changeTypes: changeTypes.join(','),
      // Not the rest of the addresses: it may hold credentials.
      ...hostsOf(body),
      expiresAt: expiresAt.toISOString(),
    });
    const made = await this.trail.doing(request, doing, () =>
      this.subscriptions.create(caller, {
        id,
        actionId,
        changeTypes,
        notificationUrl: body.notificationUrl,
        lifecycleNotificationUrl: body.lifecycleNotificationUrl ?? null,
        clientState: body.clientState ?? null,
        expiresAt,
      }),
    );
    return {
      ...this.#entity(request, made),
      clientState: made.secrets.clientState,
      '@riposte.signingSecret': made.secrets.signingSecret,
    };
  }

  @Get()
  @Requires('read')
  @ApiOperation({ summary: "List the application's subscriptions" })
  @ApiOkResponse({ type: SubscriptionListDto })
  @ApiGraphErrors(401, 403, 500, 503)
  async list(@Req() request: FastifyRequest): Promise<SubscriptionListDto> {
    const found = await this.subscriptions.list(callerOf(request));
    return { '@odata.context': this.#context(request), value: found.map(toSubscriptionEntity) };
  }

  @Get(':id')
  @Requires('read')
  @ApiOperation({ summary: 'Get a subscription' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ type: SubscriptionDto })
  @ApiGraphErrors(401, 403, 500, 503)
  @ApiGraphError(404, NOT_THERE)
  async get(@Param('id') id: string, @Req() request: FastifyRequest): Promise<SubscriptionDto> {
    return this.#entity(request, await this.subscriptions.get(callerOf(request), id));
  }

  @Patch(':id')
  @Requires('read')
  @ApiOperation({ summary: 'Renew a subscription' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiBody({ type: RenewSubscriptionDto })
  @ApiOkResponse({ type: SubscriptionDto })
  @ApiGraphErrors(400, 401, 403, 413, 415, 500, 503)
  @ApiGraphError(404, NOT_THERE)
  async renew(
    @Param('id') id: string,
    @Body(new ParseBodyPipe(RenewSubscriptionDto, 'expirationDateTime', IGNORED)) body: RenewSubscriptionDto,
    @Req() request: FastifyRequest,
  ): Promise<SubscriptionDto> {
    const expiresAt = expirationOf(body.expirationDateTime);
    const doing = changing('subscription.renewed', request, id, { expiresAt: expiresAt.toISOString() });
    const renewed = await this.trail.doing(request, doing, () =>
      this.subscriptions.renew(callerOf(request), id, expiresAt),
    );
    return this.#entity(request, renewed);
  }

  @Delete(':id')
  @HttpCode(204)
  @Requires('read')
  @ApiOperation({ summary: 'Remove a subscription, with what was to be delivered for it' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiNoContentResponse({ description: 'It is gone.' })
  @ApiGraphErrors(401, 403, 500, 503)
  @ApiGraphError(404, NOT_THERE)
  async remove(@Param('id') id: string, @Req() request: FastifyRequest): Promise<void> {
    await this.trail.doing(request, changing('subscription.removed', request, id), () =>
      this.subscriptions.remove(callerOf(request), id),
    );
  }

  @Post(':id/reauthorize')
  @HttpCode(204)
  @Requires('read')
  @ApiOperation({
    summary: 'Answer a reauthorizationRequired',
    description:
      'The token of this very call is what counts. It does not renew the subscription: PATCH does.',
  })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiNoContentResponse({ description: 'The application may still read what it is told of.' })
  @ApiGraphErrors(401, 403, 500, 503)
  @ApiGraphError(404, NOT_THERE)
  async reauthorize(@Param('id') id: string, @Req() request: FastifyRequest): Promise<void> {
    await this.subscriptions.get(callerOf(request), id);
  }

  #entity(request: FastifyRequest, found: Parameters<typeof toSubscriptionEntity>[0]): SubscriptionDto {
    return { '@odata.context': `${this.#context(request)}/$entity`, ...toSubscriptionEntity(found) };
  }

  #context(request: FastifyRequest): string {
    const version = request.routeOptions.url?.startsWith('/v1.0/') === true ? 'v1.0' : 'beta';
    return `${this.linkBase(request)}/${version}/$metadata#subscriptions`;
  }
}

function changing(
  kind: Doing['kind'],
  request: FastifyRequest,
  id: string,
  details: Readonly<Record<string, string>> = {},
): Doing {
  const { tenantId } = callerOf(request);
  return { chain: tenantId, kind, about: { subscription: printableId(id) }, details };
}

/** Where notifications are to go. What is no address is refused later. */
function hostsOf({
  notificationUrl,
  lifecycleNotificationUrl,
}: CreateSubscriptionDto): Readonly<Record<string, string>> {
  const hostOf = (url: string | null | undefined): string | null =>
    url !== null && url !== undefined && URL.canParse(url) ? new URL(url).host : null;
  const [host, lifecycleHost] = [hostOf(notificationUrl), hostOf(lifecycleNotificationUrl)];
  return { ...(host === null ? {} : { host }), ...(lifecycleHost === null ? {} : { lifecycleHost }) };
}
