import { Controller, Get, Inject, Query, Req } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import type { ProviderRegistry } from '#engine';
import type { ActionFigures } from '#persistence';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import type { Query as GivenQuery } from '../security-actions/list-options.js';
import { FIGURES, REGISTRY } from '../tokens.js';
import { knownParameters, oneOf } from './list-query.js';
import { OverviewDto, WINDOWS, WINDOW_NAMES, toOverview } from './overview.dto.js';

/** Milliseconds after which nothing more is begun to be counted: the reader sees what there is, and asks again. */
const COUNT_WITHIN_MS = 1500;

/** How a tenant's actions fare, at a glance. */
@ApiTags('native')
@Controller('api/v1/overview')
export class OverviewController {
  constructor(
    @Inject(FIGURES) private readonly figures: ActionFigures,
    @Inject(REGISTRY) private readonly registry: ProviderRegistry,
  ) {}

  @Get()
  @Requires('read')
  @ApiOperation({
    summary: 'Get how many actions there were, how they ended, how long it took, and what is open',
    description:
      'Counted when it is asked for, once: the first answer over a long history may not be complete.',
  })
  @ApiQuery({
    name: 'window',
    required: false,
    schema: { type: 'string', enum: [...WINDOW_NAMES], default: '24h' },
  })
  @ApiOkResponse({ type: OverviewDto })
  @ApiGraphErrors(400, 401, 403, 429, 500, 503)
  async get(@Query() query: GivenQuery, @Req() request: FastifyRequest): Promise<OverviewDto> {
    const window = oneOf('window', knownParameters(query, ['window']).get('window') ?? '24h', WINDOW_NAMES);
    const { tenantId } = callerOf(request);
    const { seconds, spans } = WINDOWS[window];
    const [figures, open] = await Promise.all([
      this.figures.over(tenantId, seconds, spans, COUNT_WITHIN_MS),
      this.figures.open(tenantId),
    ]);
    return toOverview(window, figures, open, (instance) => {
      const manifest = this.registry.byId(instance)?.provider.manifest;
      return manifest === undefined ? null : { vendor: manifest.vendor, provider: manifest.provider };
    });
  }
}
