import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { copyFile, stat, truncate } from 'node:fs/promises';
import path from 'node:path';

const LIMIT_BYTES = 20 * 1024 * 1024;
const LOOK_EVERY_MS = 10_000;
const NAMES = ['api', 'worker', 'mongod', 'redis'] as const;

export type LogName = (typeof NAMES)[number];

/** The logs of the processes of a run, in `<data dir>/logs`: the last run's are kept as `.1`. */
export class LogFiles {
  readonly dir: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(dataDir: string) {
    this.dir = path.join(dataDir, 'logs');
  }

  file(name: LogName): string {
    return path.join(this.dir, `${name}.log`);
  }

  /** Puts the last run's logs aside, and from now on keeps each at about 20 MiB and one older file. */
  begin(): void {
    mkdirSync(this.dir, { recursive: true, mode: 0o700 });
    for (const file of NAMES.map((name) => this.file(name))) {
      if (existsSync(file) && statSync(file).size > 0) renameSync(file, `${file}.1`);
    }
    this.#timer = setInterval(() => void this.keepSmall().catch(() => undefined), LOOK_EVERY_MS).unref();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** Copied and cut, not renamed: the processes hold the files open, for appending. */
  async keepSmall(limitBytes = LIMIT_BYTES): Promise<void> {
    for (const file of NAMES.map((name) => this.file(name))) {
      const { size } = await stat(file).catch(() => ({ size: 0 }));
      if (size <= limitBytes) continue;
      await copyFile(file, `${file}.1`);
      await truncate(file, 0);
    }
  }
}
