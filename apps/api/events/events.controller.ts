import { Controller, Get, Inject, Query, Req, Res } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { UserError } from '#domain';
import { Requires } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { EVENT_STREAMS } from '../tokens.js';
import type { EventStreams } from './event-streams.js';

const EXAMPLE = `retry: 2000

id: KYwH…
event: ping
data: {}

id: p8Zf…
event: actions
data: {"value":[{"id":"8e4ac884-4c89-4813-8452-908b2bf144bd","status":"Running","phase":"executing","name":"BlockIp","providerInstance":"mock","lastActionDateTime":"2026-01-01T00:00:00.000Z","createdDateTime":"2026-01-01T00:00:00.000Z","unresolved":false}]}

`;

/** What changes, as it changes. */
@ApiTags('native')
@Controller('api/v1/events')
export class EventsController {
  constructor(@Inject(EVENT_STREAMS) private readonly streams: EventStreams) {}

  @Get()
  @Requires('read')
  @ApiOperation({
    summary: 'Listen to what changes',
    description:
      'Server-sent events: `actions` (changed actions in their latest states, each once), `providers` (instances whose health or pause changed), `ping` (all was told until now; every 15 s, and first), `reset` (what was missed cannot be told: read everything anew). Nothing after the `id` that is resumed from is left out; something may be told twice.',
  })
  @ApiHeader({
    name: 'Last-Event-ID',
    required: false,
    schema: { type: 'string' },
    description: 'The id of the last event that was received: what changed since then comes first.',
  })
  @ApiQuery({
    name: 'lastEventId',
    required: false,
    schema: { type: 'string' },
    description: 'The same, where a client cannot set the header; that goes before.',
  })
  @ApiOkResponse({
    description: 'Until the client leaves, its access ends or the service stops.',
    content: { 'text/event-stream': { schema: { type: 'string' }, example: EXAMPLE } },
  })
  @ApiGraphErrors(400, 401, 403, 429, 500, 503)
  listen(
    @Query() query: Record<string, unknown>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): void {
    this.streams.answer(request, reply, lastEventIdOf(request, query));
  }
}

/** @throws UserError `invalidRequest` for a parameter that is not known or given twice */
function lastEventIdOf({ headers }: FastifyRequest, query: Readonly<Record<string, unknown>>): string | null {
  let asked = '';
  for (const [key, value] of Object.entries(query)) {
    if (key !== 'lastEventId')
      throw new UserError('invalidRequest', `The query parameter "${key}" is not known; known: lastEventId.`);
    if (typeof value !== 'string')
      throw new UserError('invalidRequest', 'The query parameter "lastEventId" is given twice.');
    asked = value;
  }
  // An empty one is as good as none.
  return String(headers['last-event-id'] ?? '') || asked || null;
}
