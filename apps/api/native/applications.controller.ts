import { Controller, Get, Inject, Req } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { APPLICATION_NAMES } from '../tokens.js';
import type { ApplicationNames, NamedApplication } from './application-names.js';

class ApplicationDto implements NamedApplication {
  @ApiProperty({ format: 'uuid', description: 'The `appId` of what it asks for.' })
  appId!: string;
  @ApiProperty({ description: 'For people.' })
  name!: string;
}

class ApplicationsDto {
  @ApiProperty({ type: [ApplicationDto] })
  value!: readonly ApplicationDto[];
}

/** What applications are called. */
@ApiTags('native')
@Controller('api/v1/applications')
export class ApplicationsController {
  constructor(@Inject(APPLICATION_NAMES) private readonly names: ApplicationNames) {}

  @Get()
  @Requires('read')
  @ApiOperation({
    summary: 'List what applications are called',
    description:
      'Those of `console.apps`, the clients of the built-in issuer in the tenant, and the console. Others have no name.',
  })
  @ApiOkResponse({ type: ApplicationsDto })
  @ApiGraphErrors(401, 403, 429, 500, 503)
  async list(@Req() request: FastifyRequest): Promise<ApplicationsDto> {
    return { value: await this.names.of(callerOf(request).tenantId) };
  }
}
