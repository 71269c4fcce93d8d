import { Controller, Get, Inject, Req } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import type { LinkBase } from '../http/link-base.js';
import { FEEDS, LINK_BASE } from '../tokens.js';
import type { Feeds } from './feeds.js';

const text = { type: String, nullable: true } as const;

class FeedConsumerDto {
  @ApiProperty({ ...text, description: 'The user name by which it gives itself out.' })
  name!: string | null;
  @ApiProperty()
  address!: string;
  @ApiProperty(text)
  userAgent!: string | null;
  @ApiProperty({ type: String, format: 'date-time' })
  lastFetchDateTime!: string;
  @ApiProperty({ type: 'integer', description: 'HTTP status of the answer to it.' })
  status!: number;
  @ApiProperty({ ...text, description: 'ETag of the list it has; null: it never got one.' })
  etag!: string | null;
}

class FeedDto {
  @ApiProperty({ description: 'Id of the provider instance.' })
  instance!: string;
  @ApiProperty({ enum: ['ip', 'domain', 'url'] })
  list!: string;
  @ApiProperty({ format: 'uri' })
  url!: string;
  @ApiProperty({ type: 'integer' })
  entries!: number;
  @ApiProperty()
  etag!: string;
  @ApiProperty({
    type: [FeedConsumerDto],
    description: 'Who fetched it in the last 30 days, the latest first; written down every 10 s.',
  })
  consumers!: readonly FeedConsumerDto[];
}

class FeedListDto {
  @ApiProperty({ type: [FeedDto] })
  value!: readonly FeedDto[];
}

/** The tenant's feeds and the firewalls that fetch them. */
@ApiTags('native')
@Controller('api/v1/feeds')
export class FeedsController {
  constructor(
    @Inject(FEEDS) private readonly feeds: Feeds,
    @Inject(LINK_BASE) private readonly linkBase: LinkBase,
  ) {}

  @Get()
  @Requires('inspect')
  @ApiOperation({ summary: "List the tenant's feeds, with the firewalls that fetch them" })
  @ApiOkResponse({ type: FeedListDto })
  @ApiGraphErrors(401, 403, 500, 503)
  async list(@Req() request: FastifyRequest): Promise<FeedListDto> {
    const views = await this.feeds.ofTenant(callerOf(request).tenantId);
    return {
      value: views.map(({ path, consumers, ...view }) => ({
        ...view,
        url: `${this.linkBase(request)}${path}`,
        consumers: consumers.map(({ name, address, userAgent, fetchedAt, status, etag }) => ({
          name,
          address,
          userAgent,
          lastFetchDateTime: fetchedAt.toISOString(),
          status,
          etag,
        })),
      })),
    };
  }
}
