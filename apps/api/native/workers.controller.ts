import { Controller, Get, Inject } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import type { WorkerRegistry } from '#persistence';
import { Requires } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { WORKERS } from '../tokens.js';

class LastSweepDto {
  @ApiProperty({ type: String, format: 'date-time', description: 'When it ended.' })
  at!: string;
  @ApiProperty({ type: 'integer', description: 'Due actions it read.' })
  due!: number;
  @ApiProperty({ type: 'integer', description: 'How many of them it hinted to the queue.' })
  hinted!: number;
  @ApiProperty({ type: 'integer', description: 'How many of them it ended: nobody would have.' })
  closed!: number;
  @ApiProperty({ type: 'integer', description: 'Milliseconds it took.' })
  ms!: number;
}

class WorkerDto {
  @ApiProperty()
  id!: string;
  @ApiProperty({ type: String, format: 'date-time', description: 'Its last sign of life.' })
  seenDateTime!: string;
  @ApiProperty({ type: String, nullable: true, description: 'Of Riposte; null where it is too old to say.' })
  version!: string | null;
  @ApiProperty({ type: 'integer', description: 'Actions it held then.' })
  running!: number;
  @ApiProperty({ type: LastSweepDto, nullable: true, description: 'Null before its first.' })
  lastSweep!: LastSweepDto | null;
}

class WorkersDto {
  @ApiProperty({ type: [WorkerDto], description: 'The latest sign of life first.' })
  value!: readonly WorkerDto[];
}

/** How the workers of the installation fare, for its operators. */
@ApiTags('native')
@Controller('api/v1/workers')
export class WorkersController {
  constructor(@Inject(WORKERS) private readonly workers: WorkerRegistry) {}

  @Get()
  @Requires('operate')
  @ApiOperation({
    summary: 'List the workers with what they hold and what their last sweep found',
    description: 'A worker says so every 5 s. One that died without a word is listed for an hour more.',
  })
  @ApiOkResponse({ type: WorkersDto })
  @ApiGraphErrors(401, 403, 500, 503)
  async list(): Promise<WorkersDto> {
    const reports = await this.workers.list();
    return {
      value: reports.map(({ id, seenAt, version, running, lastSweep }) => ({
        id,
        seenDateTime: seenAt.toISOString(),
        version,
        running,
        lastSweep: lastSweep === null ? null : { ...lastSweep, at: lastSweep.at.toISOString() },
      })),
    };
  }
}
