import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { AUDIT_KINDS } from './entry.js';
import type { NewAuditEvent, RecordedEvent } from './recorder.js';

const FOLDER = 'audit-spool';
const WHOLE = /^([0-9a-f-]{36})\.json$/;

/** What became of the files that were there. */
export interface Drained {
  readonly taken: number;
  /** Left for people: they cannot be read, or hold no event. */
  readonly left: readonly { readonly file: string; readonly why: string }[];
}

/**
 * What commands did that work on the data dir alone, and have no database: a file for each, which an API process on the
 * same data dir takes into the record.
 */
export class AuditSpool {
  readonly #dir: string;

  constructor(dataDir: string) {
    this.#dir = path.join(dataDir, FOLDER);
  }

  /** Resolves once it is on disk. @throws the file system's error: then it must not be done */
  async add(event: NewAuditEvent): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const id = randomUUID();
    const draft = path.join(this.#dir, `${id}.partial`);
    const handle = await open(draft, 'wx', 0o600);
    try {
      // No database to ask: the time of this machine.
      await handle.writeFile(JSON.stringify({ id, at: new Date().toISOString(), ...event }));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, path.join(this.#dir, `${id}.json`));
    // Else power that fails may take the name back.
    const dir = await open(this.#dir, 'r');
    try {
      await dir.sync();
    } finally {
      await dir.close();
    }
  }

  /**
   * Gives all that is there to `take`, and forgets it once that resolves.
   * @throws the file system's error, where the folder cannot be looked through; what `take` throws
   */
  async drain(take: (events: readonly RecordedEvent[]) => Promise<void>): Promise<Drained> {
    // Without a folder nothing was noted yet.
    const names = (await unlessAbsent(readdir(this.#dir))) ?? [];
    const events: RecordedEvent[] = [];
    const taken: string[] = [];
    const left: { file: string; why: string }[] = [];
    for (const name of names.filter((one) => WHOLE.test(one)).toSorted()) {
      const file = path.join(this.#dir, name);
      try {
        const text = await unlessAbsent(readFile(file, 'utf8'));
        // Another process on the same data dir has taken it.
        if (text === null) continue;
        events.push(eventIn(text));
        taken.push(file);
      } catch (error) {
        // What JSON.parse says would quote the file.
        left.push({ file, why: error instanceof SyntaxError ? 'it is no JSON' : (error as Error).message });
      }
    }
    if (events.length > 0) await take(events);
    for (const file of taken) await rm(file, { force: true });
    return { taken: taken.length, left };
  }
}

async function unlessAbsent<T>(read: Promise<T>): Promise<T | null> {
  try {
    return await read;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** @throws Error for a text that is no event's */
function eventIn(text: string): RecordedEvent {
  const found = JSON.parse(text) as Partial<RecordedEvent> | null;
  const isEvent =
    isObject(found) &&
    [found.id, found.chain].every((one) => typeof one === 'string' && one !== '') &&
    typeof found.at === 'string' &&
    !Number.isNaN(Date.parse(found.at)) &&
    AUDIT_KINDS.some((kind) => kind === found.kind) &&
    isObject(found.by) &&
    [found.about, found.details].every((one) => one === undefined || isObject(one));
  if (!isEvent) throw new Error('it holds no event of the audit record');
  return found as RecordedEvent;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
