import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { NewAuditEvent, RecordedEvent } from './recorder.js';

const FOLDER = 'audit-spool';
const WHOLE = /^([0-9a-f-]{36})\.json$/;

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
  }

  /**
   * Gives all that is there to `take`, and forgets it once that resolves. What cannot be read is left for people.
   * @returns how many
   */
  async drain(take: (events: readonly RecordedEvent[]) => Promise<void>): Promise<number> {
    const names = (await readdir(this.#dir).catch(() => [])).filter((name) => WHOLE.test(name)).toSorted();
    const events: RecordedEvent[] = [];
    const taken: string[] = [];
    for (const name of names) {
      const file = path.join(this.#dir, name);
      try {
        events.push(JSON.parse(await readFile(file, 'utf8')) as RecordedEvent);
        taken.push(file);
      } catch {
        continue;
      }
    }
    if (events.length === 0) return 0;
    await take(events);
    for (const file of taken) await rm(file, { force: true });
    return events.length;
  }
}
