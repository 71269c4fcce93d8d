import type { AuditKey, Checkpoint } from './checkpoint.js';
import type { AuditEntry, ChainHead } from './entry.js';

/** Form of the lines; another one is another number. */
export const EXPORT_VERSION = 1;

/** One line of an export. The first is a header, the last an `end`; between them chain after chain in order. */
export type ExportLine =
  | {
      readonly type: 'audit';
      readonly version: number;
      readonly exportedAt: string;
      /** True: of all chains there are. */
      readonly all: boolean;
    }
  | ({ readonly type: 'key' } & AuditKey)
  | ({ readonly type: 'entry' } & AuditEntry)
  | ({ readonly type: 'checkpoint' } & Checkpoint)
  | { readonly type: 'end'; readonly chains: Readonly<Record<string, ChainHead>> };

/** What an export reads. Each method tells what a majority has. */
export interface AuditReader {
  now(): Date;
  /** The chains that have entries, or checkpoints. */
  chains(): Promise<readonly string[]>;
  keys(): Promise<readonly AuditKey[]>;
  head(chain: string): Promise<ChainHead>;
  lastCheckpoint(chain: string): Promise<Checkpoint | null>;
  /** Entries with a number over `after` and no larger than `upTo`, in order, at most `limit`. */
  entries(chain: string, after: number, upTo: number, limit: number): Promise<readonly AuditEntry[]>;
  /** As {@link entries}. */
  checkpoints(chain: string, after: number, upTo: number, limit: number): Promise<readonly Checkpoint[]>;
}

const PAGE = 500;

/**
 * The lines of an export, with line ends: all that the chains hold now, with each checkpoint after the entry that it
 * counts last. What is missing is left missing, for `verifyAudit` to find.
 *
 * @param wanted null: all there are
 */
export async function* exportLines(
  reader: AuditReader,
  wanted: readonly string[] | null,
): AsyncGenerator<string> {
  const chains = wanted ?? (await reader.chains());
  const exportedAt = reader.now().toISOString();
  yield line({ type: 'audit', version: EXPORT_VERSION, exportedAt, all: wanted === null });
  for (const key of await reader.keys()) yield line({ type: 'key', ...key });
  const heads: Record<string, ChainHead> = {};
  for (const chain of chains) {
    // Before the head: entries are there before a checkpoint counts them, and one made meanwhile would miss its own.
    const lastCheckpoint = await reader.lastCheckpoint(chain);
    const head = await reader.head(chain);
    heads[chain] = head;
    const checkpoints = paged((after) => reader.checkpoints(chain, after, lastCheckpoint?.seq ?? 0, PAGE));
    let checkpoint = await checkpoints.next();
    for await (const entry of paged((after) => reader.entries(chain, after, head.seq, PAGE))) {
      while (checkpoint.done !== true && checkpoint.value.seq < entry.seq) {
        yield line({ type: 'checkpoint', ...checkpoint.value });
        checkpoint = await checkpoints.next();
      }
      yield line({ type: 'entry', ...entry });
    }
    while (checkpoint.done !== true) {
      yield line({ type: 'checkpoint', ...checkpoint.value });
      checkpoint = await checkpoints.next();
    }
  }
  yield line({ type: 'end', chains: heads });
}

async function* paged<T extends { readonly seq: number }>(
  read: (after: number) => Promise<readonly T[]>,
): AsyncGenerator<T, undefined> {
  let after = 0;
  for (;;) {
    const page = await read(after);
    yield* page;
    if (page.length < PAGE) return undefined;
    after = page.at(-1)?.seq ?? after;
  }
}

function line(value: ExportLine): string {
  return `${JSON.stringify(value)}\n`;
}
