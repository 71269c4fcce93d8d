import { mkdir, open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { ArchiveError, isGuid, type ActionArchive, type ArchiveRecord } from '#domain';

const LINE_END = '\n'.codePointAt(0);

/**
 * `ActionArchive` in files `<dir>/<tenant>/<day of completion, UTC>.ndjson`, for their owner only. Each record is
 * written at the end in one go; what a crash cut off stays behind on a line of its own, and the record follows
 * whole.
 */
export class ArchiveFiles implements ActionArchive {
  readonly place: string;

  /** @param dir made when it is first needed, with mode 0700; one that is there keeps its mode */
  constructor(dir: string) {
    this.place = dir;
  }

  async append(tenantId: string, records: AsyncIterable<ArchiveRecord>): Promise<readonly string[]> {
    // The name of a folder: anything but a GUID could lead elsewhere.
    if (!isGuid(tenantId))
      throw new ArchiveError(this.place, { cause: new TypeError(`"${tenantId}" is no GUID of a tenant`) });
    const dir = path.join(this.place, tenantId);
    const files = new Map<string, FileHandle>();
    const written: string[] = [];
    try {
      for await (const { id, completedAt, line } of records) {
        const name = `${completedAt.toISOString().slice(0, 10)}.ndjson`;
        const file = files.get(name) ?? (await this.#open(dir, name));
        files.set(name, file);
        await writing(path.join(dir, name), () => file.appendFile(`${line}\n`));
        written.push(id);
      }
      for (const [name, file] of files) await writing(path.join(dir, name), () => file.sync());
      // A new file is lost with its folder's entry.
      if (files.size > 0) await writing(dir, () => syncDir(dir));
      return written;
    } finally {
      await Promise.all([...files.values()].map((file) => file.close().catch(() => undefined)));
    }
  }

  #open(dir: string, name: string): Promise<FileHandle> {
    return writing(path.join(dir, name), async () => {
      if ((await mkdir(dir, { recursive: true, mode: 0o700 })) !== undefined)
        await syncDir(path.dirname(dir));
      const file = await open(path.join(dir, name), 'a+', 0o600);
      try {
        const { size } = await file.stat();
        if (size > 0) {
          const { buffer } = await file.read({ buffer: Buffer.alloc(1), position: size - 1 });
          if (buffer[0] !== LINE_END) await file.appendFile('\n');
        }
        return file;
      } catch (error) {
        await file.close();
        throw error;
      }
    });
  }
}

async function writing<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new ArchiveError(where, { cause });
  }
}

async function syncDir(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
