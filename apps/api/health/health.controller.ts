import { Controller, Get, Inject, Res } from '@nestjs/common';
import {
  ApiOkResponse,
  ApiOperation,
  ApiProperty,
  ApiServiceUnavailableResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Requires } from '../auth.guard.js';
import { HEALTH } from '../tokens.js';
import type { Health, Readiness } from './health.js';

class ReadinessDto implements Readiness {
  @ApiProperty({ enum: ['ready', 'degraded', 'unavailable', 'stopping'] })
  status!: Readiness['status'];
  @ApiProperty({ type: [String], description: 'What is missing: mongodb, redis, workers.' })
  missing!: readonly string[];
}

const IN_SERVICE: ReadonlySet<Readiness['status']> = new Set(['ready', 'degraded']);

class LivenessDto {
  @ApiProperty({ enum: ['live'] })
  status!: 'live';
}

@ApiTags('health')
@Requires('nothing')
@Controller('health')
export class HealthController {
  constructor(@Inject(HEALTH) private readonly health: Health) {}

  @Get('live')
  @ApiOperation({ summary: 'The process serves' })
  @ApiOkResponse({ type: LivenessDto })
  live(): LivenessDto {
    return { status: 'live' };
  }

  @Get('ready')
  @ApiOperation({ summary: 'Actions are accepted; says what is missing to carry them out' })
  @ApiOkResponse({ type: ReadinessDto, description: 'ready or degraded: actions are accepted.' })
  @ApiServiceUnavailableResponse({
    type: ReadinessDto,
    description: 'unavailable or stopping: requests belong elsewhere.',
  })
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<ReadinessDto> {
    const readiness = await this.health.readiness();
    reply.status(IN_SERVICE.has(readiness.status) ? 200 : 503).header('cache-control', 'no-store');
    return readiness;
  }
}
