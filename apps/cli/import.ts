import { open, type FileHandle } from 'node:fs/promises';
import { Command, Option } from 'commander';
import type { CheckedBackup, Database, ExactDocument, OpenActions } from '#persistence';
import { doneOnRecord, type Doing } from './audit-events.js';
import { RefusedError, withDatabase } from './database.js';
import { givenPath } from './given-path.js';
import { linesOf } from './lines.js';

interface ImportOptions {
  readonly in: string;
  readonly open: OpenActions;
  readonly archive?: true;
  readonly skipExisting?: true;
}

/** Actions of a file, by what became of them. */
interface Imported {
  readonly inserted: number;
  readonly skipped: number;
  readonly conflicts: number;
}

const GROUP = 200;
/** Ids of conflicts that are printed; their number always is. */
const NAMED_CONFLICTS = 20;

/** `riposte import`: the actions of a backup, or of a retention archive, into the database. */
export function importCommand(): Command {
  return new Command('import')
    .description('Bring back the actions of a file that `export` wrote. Safe to repeat.')
    .requiredOption('--in <file>', 'file to read')
    .addOption(
      new Option(
        '--open <what>',
        'what becomes of actions that were open: unknown ends them as 520, for they may have been carried out since; resume lets them go on, only if the source was stopped before the export and is not started again',
      )
        .choices(['unknown', 'resume'])
        .default('unknown'),
    )
    .option('--archive', 'the file is one of a retention archive')
    .option('--skip-existing', 'an id that is there with something else in it is no failure')
    .action(async (options: ImportOptions) => {
      const file = await open(givenPath(options.in), 'r').catch((cause: unknown) => {
        throw new RefusedError(`${options.in} cannot be read: ${(cause as Error).message}`, { cause });
      });
      try {
        // Nothing is imported before all of it was found to be right.
        const checked = await check(file, options);
        await withDatabase(process.env, (database) => importFile(file, checked, database, options));
      } finally {
        await file.close();
      }
    });
}

async function check(file: FileHandle, options: ImportOptions): Promise<CheckedBackup> {
  if (!(await file.stat()).isFile())
    throw new RefusedError(`${options.in} is no file; an import reads its file twice.`);
  const { BackupError, checkArchive, checkBackup } = await import('#persistence');
  try {
    return await (options.archive === true ? checkArchive : checkBackup)(linesOf(file));
  } catch (error) {
    if (!(error instanceof BackupError)) throw error;
    throw new RefusedError(`${options.in} was refused, nothing was imported. ${error.message}`, {
      cause: error,
    });
  }
}

async function importFile(
  file: FileHandle,
  checked: CheckedBackup,
  database: Database,
  options: ImportOptions,
): Promise<void> {
  const doing: Doing = {
    chain: checked.tenant,
    kind: 'actions.imported',
    details: { open: options.open, archive: options.archive === true },
  };
  const { inserted, skipped, conflicts } = await doneOnRecord(database, [doing], () =>
    restoreFile(file, checked, database, options),
  );
  process.stderr.write(
    `Tenant ${checked.tenant}: ${inserted} imported, ${skipped} there already, ${conflicts} in conflict.\n`,
  );
  if (checked.cutOff > 0)
    process.stderr.write(`${checked.cutOff} lines were cut off by a crash and passed over.\n`);
  if (checked.open > 0) {
    process.stderr.write(
      options.open === 'resume'
        ? `${checked.open} of the file's actions were open and go on.\n`
        : `${checked.open} of the file's actions were open: they end as 520, check their targets.\n`,
    );
  }
  if (conflicts > 0 && options.skipExisting !== true) process.exitCode = 1;
}

async function restoreFile(
  file: FileHandle,
  checked: CheckedBackup,
  { backup, audit }: Database,
  options: ImportOptions,
): Promise<Imported> {
  const { recordsOf } = await import('#persistence');
  const restore = { open: options.open, exportedAt: checked.header?.exportedAt ?? null };
  const total = { inserted: 0, skipped: 0, conflicts: 0 };
  try {
    for await (const group of inGroups(recordsOf(linesOf(file), checked))) {
      const { inserted, skipped, conflicts } = await backup.restore(group, restore);
      for (const id of conflicts.slice(0, Math.max(0, NAMED_CONFLICTS - total.conflicts)))
        process.stderr.write(
          `Conflict: ${id} is there already with something else in it; it was left alone.\n`,
        );
      total.inserted += inserted;
      total.skipped += skipped;
      total.conflicts += conflicts.length;
    }
  } finally {
    // What they tell happened at times that the audit record is past; also where an import before this one was cut off.
    await audit.lookAgain(checked.tenant);
  }
  return total;
}

async function* inGroups(records: AsyncIterable<ExactDocument>): AsyncGenerator<readonly ExactDocument[]> {
  let group: ExactDocument[] = [];
  for await (const record of records) {
    group.push(record);
    if (group.length < GROUP) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}
