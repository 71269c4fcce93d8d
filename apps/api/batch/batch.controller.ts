import { Body, Controller, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { UserError } from '#domain';
import type { Logger } from '#telemetry';
import { Requires } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { enclosingBatch, withinBatch } from '../http/enclosing-batch.js';
import { answerTo, graphErrorBody } from '../http/graph-error.js';
import { clientRequestIdOf, idsOf, newRequestId } from '../http/request-ids.js';
import { LOG } from '../tokens.js';
import { batchAnswer, type BatchAnswer } from './batch-answer.js';
import { BATCH_EXAMPLES, BATCH_LIMITS, BatchDto, BatchResponsesDto } from './batch.dto.js';
import { innerRequest, send } from './inner-request.js';
import { parseBatch, type BatchStep } from './parse-batch.js';
import { runBatch } from './run-batch.js';

/** Graph's JSON batching: https://learn.microsoft.com/graph/json-batching. */
@ApiTags('batch')
@ApiBearerAuth()
@Controller(['beta', 'v1.0'])
export class BatchController {
  constructor(@Inject(LOG) private readonly log: Logger) {}

  @Post('$batch')
  @HttpCode(200)
  @Requires('read')
  @RouteConfig({ bodyLimits: BATCH_LIMITS })
  @ApiOperation({
    summary: 'Carry out up to 20 requests in one',
    description:
      'Each goes its own way and has an answer of its own: 200 says nothing of them. 400: the batch as a whole cannot be understood.',
  })
  @ApiBody({ type: BatchDto, examples: BATCH_EXAMPLES })
  @ApiOkResponse({ type: BatchResponsesDto })
  @ApiGraphErrors(400, 401, 403, 413, 415, 429, 500)
  async batch(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Buffer> {
    if (enclosingBatch() !== undefined)
      throw new UserError('invalidRequest', 'A batch cannot be part of a batch.');
    const steps = await parseBatch(body);
    const root = request.routeOptions.url?.startsWith('/v1.0/') === true ? '/v1.0' : '/beta';
    const responses = await withinBatch(request.id, () =>
      runBatch(steps, {
        carryOut: (step) => this.#carryOut(step, request, root),
        refuse: (step, error) => this.#refused(step, error, request),
        isAbandoned: () => reply.raw.destroyed,
      }),
    );
    reply.type('application/json; charset=utf-8');
    return batchAnswer(responses);
  }

  async #carryOut(step: BatchStep, batch: FastifyRequest, root: string): Promise<BatchAnswer> {
    try {
      return await send(step.id, innerRequest(step.request, batch, root), batch);
    } catch (error) {
      return this.#refused(step, error, batch);
    }
  }

  #refused(step: BatchStep, error: unknown, batch: FastifyRequest): BatchAnswer {
    const { status, headers, code, message, isDefect } = answerTo(error);
    const [, own] =
      Object.entries(step.request.headers ?? {}).find(
        ([name]) => name.toLowerCase() === 'client-request-id',
      ) ?? [];
    const ids = {
      requestId: newRequestId(),
      clientRequestId: clientRequestIdOf(own) ?? idsOf(batch).clientRequestId,
    };
    if (isDefect) this.log.error({ err: error, ...ids, batch: batch.id }, 'request of a batch failed');
    else
      this.log.info(
        { requestId: ids.requestId, batch: batch.id, status, code },
        'request of a batch refused',
      );
    return {
      id: step.id,
      status,
      headers: {
        'Content-Type': 'application/json; charset=utf-8',
        'request-id': ids.requestId,
        ...(ids.clientRequestId === null ? {} : { 'client-request-id': ids.clientRequestId }),
        ...(headers['retry-after'] === undefined ? {} : { 'Retry-After': headers['retry-after'] }),
      },
      body: Buffer.from(JSON.stringify(graphErrorBody(code, message, ids))),
    };
  }
}
