import { Body, Controller, Get, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { INSTALLATION } from '#audit';
import { satisfies } from '#auth';
import type { AskProvider } from '#engine';
import type { AuditTrail, Doing } from '../audit/audit-trail.js';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { printableId } from '../http/printable-id.js';
import { ASK_PROVIDER, AUDIT_TRAIL, PROVIDERS } from '../tokens.js';
import { ParsePauseBodyPipe, PauseBodyDto } from './pause-body.js';
import { HealthReportDto, ProviderDto, ProviderListDto, toProvider } from './provider.dto.js';
import type { Providers, Viewer } from './providers.js';

/** The provider instances: what they can do, how they fare, and whether they are paused. */
@ApiTags('native')
@Controller('api/v1/providers')
export class ProvidersController {
  constructor(
    @Inject(PROVIDERS) private readonly providers: Providers,
    @Inject(ASK_PROVIDER) private readonly askProvider: AskProvider,
    @Inject(AUDIT_TRAIL) private readonly trail: AuditTrail,
  ) {}

  @Get()
  @Requires('inspect')
  @ApiOperation({
    summary: 'List the provider instances with their actions, health, quota and backlog',
    description: "Those that serve the caller's tenant. Operators see all, with the tenants they serve.",
  })
  @ApiOkResponse({ type: ProviderListDto })
  @ApiGraphErrors(401, 403, 500, 503)
  async list(@Req() request: FastifyRequest): Promise<ProviderListDto> {
    const viewer = viewerOf(request);
    const views = await this.providers.list(viewer);
    return { value: views.map((view) => toProvider(view, viewer.operates)) };
  }

  @Get(':instance')
  @Requires('inspect')
  @ApiOperation({ summary: 'Get a provider instance' })
  @ApiParam({ name: 'instance', example: 'mock' })
  @ApiOkResponse({ type: ProviderDto })
  @ApiGraphErrors(401, 403, 404, 500, 503)
  async get(@Param('instance') instance: string, @Req() request: FastifyRequest): Promise<ProviderDto> {
    const viewer = viewerOf(request);
    return toProvider(await this.providers.get(viewer, instance), viewer.operates);
  }

  @Post(':instance/pause')
  @HttpCode(200)
  @Requires('operate')
  @ApiOperation({
    summary: 'Start nothing at a provider instance until it is resumed',
    description:
      'What waits is kept; what was issued is still asked about, and can be cancelled. Who paused it first, and why, stands.',
  })
  @ApiParam({ name: 'instance', example: 'mock' })
  @ApiBody({ type: PauseBodyDto })
  @ApiOkResponse({ type: ProviderDto })
  @ApiGraphErrors(400, 401, 403, 404, 413, 415, 500, 503)
  async pause(
    @Param('instance') instance: string,
    @Body(new ParsePauseBodyPipe()) { reason }: PauseBodyDto,
    @Req() request: FastifyRequest,
  ): Promise<ProviderDto> {
    const caller = callerOf(request);
    const view = await this.trail.doing(
      request,
      changing('provider.paused', request, instance, { reason }),
      () => this.providers.pause(caller, instance, reason),
    );
    return toProvider(view, true);
  }

  @Post(':instance/resume')
  @HttpCode(200)
  @Requires('operate')
  @ApiOperation({
    summary: 'Let a paused provider instance go on',
    description: 'Harmless when it is not paused.',
  })
  @ApiParam({ name: 'instance', example: 'mock' })
  @ApiOkResponse({ type: ProviderDto })
  @ApiGraphErrors(401, 403, 404, 500, 503)
  async resume(@Param('instance') instance: string, @Req() request: FastifyRequest): Promise<ProviderDto> {
    const caller = callerOf(request);
    const view = await this.trail.doing(request, changing('provider.resumed', request, instance), () =>
      this.providers.resume(caller, instance),
    );
    return toProvider(view, true);
  }

  @Post(':instance/health')
  @HttpCode(200)
  @Requires('operate')
  @ApiOperation({
    summary: 'Ask a provider instance how it fares, now',
    description: '409: its plugin cannot tell. 503: no worker answers.',
  })
  @ApiParam({ name: 'instance', example: 'mock' })
  @ApiOkResponse({ type: HealthReportDto })
  @ApiGraphErrors(401, 403, 404, 409, 424, 429, 500, 503)
  async health(@Param('instance') instance: string): Promise<HealthReportDto> {
    return this.askProvider.health(instance);
  }
}

/** An instance is the installation's, whoever's tenant the operator is in. */
function changing(
  kind: Doing['kind'],
  request: FastifyRequest,
  instance: string,
  details: Readonly<Record<string, string>> = {},
): Doing {
  const { tenantId } = callerOf(request);
  return {
    chain: INSTALLATION,
    kind,
    about: { instance: printableId(instance) },
    details: { ...details, tenantId },
  };
}

function viewerOf(request: FastifyRequest): Viewer {
  const { tenantId, roles } = callerOf(request);
  return { tenantId, operates: satisfies(roles, 'operate') };
}
