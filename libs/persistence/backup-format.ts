import { createHash } from 'node:crypto';
import {
  isFinal,
  isLegalHistory,
  phaseFits,
  STATUSES,
  isGuid,
  type ActionPhase,
  type ActionStatus,
} from '#domain';
import mongoose from 'mongoose';
import { lineOf, parseLine, type ExactDocument } from './exact-record.js';

/**
 * A backup is NDJSON: a header, one action a line in canonical Extended JSON, and a trailer with their number and
 * the SHA-256 of all before it. A retention archive is the lines of the actions only.
 */

const FORMAT = 'riposte-export';
const VERSION = 1;

export interface BackupHeader {
  readonly tenant: string;
  /** Whose open actions may have gone on after this. */
  readonly exportedAt: Date;
}

/** What a file holds that was found whole and right. */
export interface CheckedBackup {
  readonly tenant: string;
  /** Null: a retention archive, which has no header. */
  readonly header: BackupHeader | null;
  readonly count: number;
  /** Of these, not finished when they were exported. */
  readonly open: number;
  /** Lines of an archive that a crash cut off; the same actions follow whole. */
  readonly cutOff: number;
}

/** The file is not what it says or was when it was written; nothing was imported. */
export class BackupError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BackupError';
  }
}

/**
 * The lines of a backup, each with its line end.
 * @param onCount told how many actions it holds, with the last line
 */
export async function* backupLines(
  { tenant, exportedAt }: BackupHeader,
  documents: AsyncIterable<ExactDocument>,
  onCount: (count: number) => void,
): AsyncGenerator<string> {
  const hash = createHash('sha256');
  const hashed = (line: string): string => {
    hash.update(line);
    return line;
  };
  let count = 0;
  yield hashed(`${JSON.stringify({ format: FORMAT, version: VERSION, tenant, exportedAt })}\n`);
  for await (const document of documents) {
    count += 1;
    yield hashed(`${lineOf(document)}\n`);
  }
  onCount(count);
  yield `${JSON.stringify({ end: FORMAT, count, sha256: hash.digest('hex') })}\n`;
}

/**
 * Reads a backup to its end and checks all of it.
 * @param lines without their line ends
 * @throws BackupError naming what is wrong, and the line
 */
export async function checkBackup(lines: AsyncIterable<Buffer>): Promise<CheckedBackup> {
  const hash = createHash('sha256');
  let header: BackupHeader | undefined;
  let ended: { readonly count: unknown; readonly sha256: unknown } | undefined;
  let number = 0;
  let count = 0;
  let open = 0;
  for await (const line of lines) {
    number += 1;
    if (ended !== undefined) throw new BackupError(`It goes on after its last line (line ${number}).`);
    if (header === undefined) {
      header = headerOf(line);
    } else {
      const value = parsed(line, number);
      if (isTrailer(value)) {
        ended = value;
        continue;
      }
      if (openRecord(value, header.tenant, number)) open += 1;
      count += 1;
    }
    hash.update(line).update('\n');
  }
  if (header === undefined) throw new BackupError('It is empty.');
  if (ended === undefined)
    throw new BackupError(`It is cut off: it ends after ${count} actions without its last line.`);
  if (Number(ended.count) !== count)
    throw new BackupError(
      `It was changed: it says it holds ${String(ended.count)} actions, and holds ${count}.`,
    );
  if (ended.sha256 !== hash.digest('hex'))
    throw new BackupError('It was changed: its SHA-256 is not the one in its last line.');
  return { tenant: header.tenant, header, count, open, cutOff: 0 };
}

/**
 * Reads a retention archive to its end and checks all of it. It may hold an action twice.
 * @throws BackupError naming what is wrong, and the line
 */
export async function checkArchive(lines: AsyncIterable<Buffer>): Promise<CheckedBackup> {
  let tenant: string | undefined;
  let number = 0;
  let count = 0;
  let cutOff = 0;
  for await (const line of lines) {
    number += 1;
    const value = orCutOff(line);
    if (value === undefined) {
      cutOff += 1;
      continue;
    }
    tenant ??= tenantIn(value);
    if (tenant === undefined) throw new BackupError(`Line ${number} is no action of an archive.`);
    if (openRecord(value, tenant, number))
      throw new BackupError(`Line ${number} is an action that has not ended; no archive holds such.`);
    count += 1;
  }
  if (tenant === undefined) throw new BackupError('It holds no action.');
  return { tenant, header: null, count, open: 0, cutOff };
}

/** The actions of a file that was checked before, in its order. */
export async function* recordsOf(
  lines: AsyncIterable<Buffer>,
  { header }: CheckedBackup,
): AsyncGenerator<ExactDocument> {
  let isHeader = header !== null;
  for await (const line of lines) {
    if (isHeader) {
      isHeader = false;
      continue;
    }
    const value = orCutOff(line);
    if (value === undefined || isTrailer(value)) continue;
    yield value as ExactDocument;
  }
}

function headerOf(line: Buffer): BackupHeader {
  const { format, version, tenant, exportedAt } = jsonOf(line) as Partial<
    Record<'format' | 'version' | 'tenant' | 'exportedAt', unknown>
  >;
  if (format !== FORMAT) throw new BackupError('It is no export of Riposte: its first line does not say so.');
  if (version !== VERSION)
    throw new BackupError(`It is of version ${String(version)}; this Riposte reads version ${VERSION}.`);
  if (typeof tenant !== 'string' || !isGuid(tenant)) throw new BackupError('Its first line names no tenant.');
  const at = new Date(String(exportedAt));
  if (Number.isNaN(at.getTime())) throw new BackupError('Its first line does not say when it was exported.');
  return { tenant, exportedAt: at };
}

function jsonOf(line: Buffer): object {
  try {
    const value: unknown = JSON.parse(line.toString());
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

function parsed(line: Buffer, number: number): unknown {
  const value = orCutOff(line);
  if (value === undefined) throw new BackupError(`Line ${number} is cut off or was changed: it is no JSON.`);
  return value;
}

function orCutOff(line: Buffer): unknown {
  try {
    return parseLine(line.toString());
  } catch {
    return undefined;
  }
}

function tenantIn(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('tenantId' in value)) return undefined;
  return typeof value.tenantId === 'string' ? value.tenantId : undefined;
}

function isTrailer(value: unknown): value is { readonly count: unknown; readonly sha256: unknown } {
  return (value as { readonly end?: unknown } | null)?.end === FORMAT;
}

/** Checks what a record is relied on for. @returns whether it is open */
function openRecord(value: unknown, tenant: string, number: number): boolean {
  const record = (value ?? {}) as Partial<ExactDocument>;
  const wrong = (what: string): BackupError => new BackupError(`Line ${number} is no action: ${what}.`);
  const { _id: id } = record;
  if (!(id instanceof mongoose.mongo.UUID)) throw wrong('it has no id');
  if (record.tenantId !== tenant)
    throw new BackupError(
      `Line ${number} is an action of another tenant (${String(record.tenantId)}); the file is of ${tenant}.`,
    );
  const status = record['status'] as ActionStatus;
  if (!STATUSES.includes(status) || !phaseFits(status, record['phase'] as ActionPhase))
    throw wrong('its status and phase do not fit');
  const states = record['states'];
  const statuses = Array.isArray(states)
    ? states.map((state: { readonly status?: ActionStatus } | null) => state?.status)
    : [];
  if (statuses.at(-1) !== status || !isLegalHistory(statuses as ActionStatus[]))
    throw wrong('its history does not lead to its status');
  for (const time of ['createdAt', 'lastActionAt', 'deadlineAt', ...(isFinal(status) ? ['completedAt'] : [])])
    if (!(record[time] instanceof Date)) throw wrong(`${time} is no time`);
  if (!Array.isArray(record['attempts'])) throw wrong('it has no attempts');
  if ((record['open'] === true) === isFinal(status))
    throw wrong('whether it is open does not fit its status');
  return !isFinal(status);
}
