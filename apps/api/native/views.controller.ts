import { Body, Controller, Get, Inject, Put, Req } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayUnique,
  IsArray,
  IsDefined,
  IsString,
  Matches,
  MaxLength,
  ValidateNested,
} from 'class-validator';
import type { FastifyRequest } from 'fastify';
import type { View, ViewStore } from '#persistence';
import { Requires, sessionOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { ParseBodyPipe } from '../http/parse-body.pipe.js';
import { VIEWS } from '../tokens.js';

const MOST_VIEWS = 50;
const NAME_LIMIT = 100;
const QUERY_LIMIT = 4000;

class ViewDto implements View {
  @ApiProperty({ minLength: 1, maxLength: NAME_LIMIT, example: 'Failed since Monday' })
  @IsString()
  @Matches(/\S/, { message: 'name should not be empty' })
  @MaxLength(NAME_LIMIT)
  name!: string;

  @ApiProperty({ maxLength: QUERY_LIMIT, description: 'As it stands in the address of the page.' })
  @IsString()
  @MaxLength(QUERY_LIMIT)
  query!: string;
}

class ViewsDto {
  @ApiProperty({ type: [ViewDto], maxItems: MOST_VIEWS, description: 'Each by a name of its own.' })
  @IsArray()
  @ArrayMaxSize(MOST_VIEWS)
  @IsDefined({ each: true })
  @ValidateNested({ each: true })
  @ArrayUnique(({ name }: ViewDto) => name, { message: 'value should name each view once' })
  @Type(() => ViewDto)
  value!: ViewDto[];
}

/** The lists that a person looks at often, kept for the tenant that the session is in. */
@ApiTags('session')
@Controller('api/v1/views')
export class ViewsController {
  constructor(@Inject(VIEWS) private readonly views: ViewStore) {}

  @Get()
  @Requires('session')
  @ApiOperation({ summary: 'List the views of the person who has signed in' })
  @ApiOkResponse({ type: ViewsDto })
  @ApiGraphErrors(401, 403, 500, 503)
  async list(@Req() request: FastifyRequest): Promise<ViewsDto> {
    const { grant, person } = sessionOf(request);
    return { value: [...(await this.views.of(grant.tenantId, person.id))] };
  }

  @Put()
  @Requires('session')
  @ApiOperation({ summary: 'Put these views in the place of all there were' })
  @ApiBody({ type: ViewsDto })
  @ApiOkResponse({ type: ViewsDto })
  @ApiGraphErrors(400, 401, 403, 413, 415, 500, 503)
  async replace(
    @Body(new ParseBodyPipe(ViewsDto, 'value, a list of views')) { value }: ViewsDto,
    @Req() request: FastifyRequest,
  ): Promise<ViewsDto> {
    const { grant, person } = sessionOf(request);
    const views = value.map(({ name, query }) => ({ name, query }));
    await this.views.replace(grant.tenantId, person.id, views);
    return { value: views };
  }
}
