import { open, rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Command } from 'commander';
import { RefusedError, withDatabase } from './database.js';
import { givenPath } from './given-path.js';
import { guid } from './guid.js';

interface ExportOptions {
  readonly tenant: string;
  readonly out: string;
}

/** `riposte export`: a tenant's actions into one file, or to stdout. */
export function exportCommand(): Command {
  return new Command('export')
    .description('Write all actions of a tenant into a file that `import` reads.')
    .requiredOption('--tenant <guid>', 'tenant whose actions are exported', guid)
    .requiredOption('--out <file>', 'file to write, replaced when the export is whole; - for stdout')
    .action(async ({ tenant, out }: ExportOptions) => {
      const { backupLines } = await import('#persistence');
      await withDatabase(process.env, async ({ backup, retention }) => {
        // A token's tenant is recorded as the token spells it.
        const spelt = (await retention.tenants()).find((known) => known.toLowerCase() === tenant) ?? tenant;
        const exportedAt = backup.now();
        let count = 0;
        const lines = backupLines(
          { tenant: spelt, exportedAt },
          backup.read(spelt, exportedAt),
          (total) => (count = total),
        );
        if (out === '-') await pipeline(Readable.from(lines), process.stdout, { end: false });
        else await writeWhole(givenPath(out), lines);
        process.stderr.write(
          `Exported ${count} actions of tenant ${spelt}${out === '-' ? '' : ` to ${out}`}.\n`,
        );
      });
    });
}

/** Writes a file for its owner only that is there whole or not at all. */
async function writeWhole(file: string, lines: AsyncIterable<string>): Promise<void> {
  const aside = `${file}.${process.pid}.partial`;
  const handle = await open(aside, 'wx', 0o600).catch((cause: unknown) => {
    throw new RefusedError(`${file} cannot be written: ${(cause as Error).message}`, { cause });
  });
  try {
    await pipeline(Readable.from(lines), handle.createWriteStream({ flush: true }));
    await rename(aside, file);
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(aside, { force: true });
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new RefusedError(`${file} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}
