import { Readable } from 'node:stream';
import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { INSTALLATION, exportLines, type AuditReader } from '#audit';
import type { Logger } from '#telemetry';
import { Requires, callerOf } from '../auth.guard.js';
import { ApiGraphErrors } from '../http/api-graph-errors.js';
import { ExportTurns } from '../http/export-turns.js';
import { whenLeft } from '../http/when-left.js';
import { AUDIT, AUDIT_TRAIL, LOG } from '../tokens.js';
import { actorOf, type AuditTrail } from './audit-trail.js';

class AuditKeyDto {
  @ApiProperty({ example: '3b1f0c4d5e6f708192a3b4c5d6e7f809' })
  keyId!: string;
  @ApiProperty({ description: 'Ed25519, SubjectPublicKeyInfo in PEM.' })
  publicKey!: string;
}

class AuditKeyListDto {
  @ApiProperty({ type: [AuditKeyDto] })
  value!: readonly AuditKeyDto[];
}

const LINES = {
  description:
    'A header, the keys, entries with checkpoints between them, and a last line of the type `end`.',
  content: { 'application/x-ndjson': { schema: { type: 'string' } } },
} as const;
const STREAMED =
  'Streamed; the export itself is recorded. A connection that ends before the line of the type `end` does means that not all is there.';

/** The record of what anybody did, for auditors. */
@ApiTags('audit')
@Controller('api/v1/audit')
export class AuditController {
  readonly #turns = new ExportTurns();

  constructor(
    @Inject(AUDIT) private readonly reader: AuditReader,
    @Inject(AUDIT_TRAIL) private readonly trail: AuditTrail,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  @Get()
  @Requires('audit')
  @ApiOperation({ summary: 'Export the audit record of the tenant', description: STREAMED })
  @ApiOkResponse(LINES)
  @ApiGraphErrors(401, 403, 429, 500, 503)
  async ofTenant(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    await this.#export(callerOf(request).tenantId, request, reply);
  }

  @Get('installation')
  @Requires('operate')
  @ApiOperation({ summary: 'Export the audit record of what has no tenant', description: STREAMED })
  @ApiOkResponse(LINES)
  @ApiGraphErrors(401, 403, 429, 500, 503)
  async ofInstallation(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    await this.#export(INSTALLATION, request, reply);
  }

  @Get('key')
  @Requires('auditKey')
  @ApiOperation({ summary: 'The public keys that checkpoints of the audit record are verified with' })
  @ApiOkResponse({ type: AuditKeyListDto })
  @ApiGraphErrors(401, 403, 500, 503)
  async key(): Promise<AuditKeyListDto> {
    return { value: await this.reader.keys() };
  }

  async #export(chain: string, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const release = this.#turns.take(chain);
    let stream: Readable | null = null;
    try {
      await this.trail.note(actorOf(request), { chain, kind: 'audit.exported' });
      stream = Readable.from(exportLines(this.reader, [chain]));
    } finally {
      if (stream === null) release();
    }
    stream.once('close', release);
    stream.once('error', (error: unknown) => this.log.info({ err: error, chain }, 'export broken off'));
    whenLeft(request, reply, () => void stream.destroy());
    await reply
      .type('application/x-ndjson; charset=utf-8')
      .header('content-disposition', `attachment; filename="audit.ndjson"`)
      .header('cache-control', 'no-store')
      .send(stream);
  }
}
