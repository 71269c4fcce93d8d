import { open } from 'node:fs/promises';
import type { Checkpoint } from './checkpoint.js';

/** A file outside of the database that each checkpoint is appended to. */
export class HeadsFile {
  constructor(private readonly file: string) {}

  /** Resolves once it is on disk. @throws the file system's error */
  async append(checkpoint: Checkpoint): Promise<void> {
    const handle = await open(this.file, 'a', 0o600);
    try {
      // Whoever was cut off in its line has not cut this one off, too: an empty line between is nothing.
      await handle.writeFile(`\n${JSON.stringify(checkpoint)}\n`);
      await handle.datasync();
    } finally {
      await handle.close();
    }
  }
}
