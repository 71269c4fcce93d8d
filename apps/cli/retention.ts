import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Command } from 'commander';
import type { Retention, RetentionPass } from '#engine';
import { RefusedError, withDatabase } from './database.js';

/** `riposte retention`: what workers do by themselves, where the database lets them. */
export function retentionCommand(): Command {
  return new Command('retention')
    .description(
      'Archive and remove finished actions whose time is over, as the configuration says, and end. For where the workers may not remove any.',
    )
    .action(async () => {
      const [{ loadConfig, retentionOf }, engine, { ArchiveFiles }, { createLogger }] = await Promise.all([
        import('#config'),
        import('#engine'),
        import('#persistence'),
        import('#telemetry'),
      ]);
      const rules = retentionOf(await loadConfig({ ...process.env, RIPOSTE_EMBEDDED: '1' }, process.cwd()));
      if (rules === null)
        throw new RefusedError('The configuration has no "retention": finished actions are kept for ever.');
      await withDatabase(process.env, async (database) => {
        if (!(await database.retention.mayRemove()))
          throw new RefusedError(
            'The user of MONGODB_URI may not remove actions. Use the one whose role is riposteRetention.',
          );
        const retention = new engine.Retention({
          store: database.retention,
          lease: database.lease('retention'),
          owner: `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`,
          rules,
          archive: rules.archiveDir === null ? null : new ArchiveFiles(rules.archiveDir),
          audited: (ids) => database.audit.inChain(ids),
          log: createLogger('riposte-cli', 'error'),
        });
        try {
          tell(await toTheEnd(retention));
        } finally {
          await retention.stop();
        }
      });
    });
}

type Removed = Omit<RetentionPass, 'more'>;

/** A pass is bounded; together they are not. */
async function toTheEnd(retention: Retention): Promise<Removed> {
  const total = { ours: false, removed: 0, archived: 0, failed: 0 };
  for (;;) {
    const { ours, removed, archived, failed, more } = await retention.pass();
    total.ours ||= ours;
    total.removed += removed;
    total.archived += archived;
    total.failed = Math.max(total.failed, failed);
    if (!more) return total;
  }
}

function tell({ ours, removed, archived, failed }: Removed): void {
  process.stderr.write(
    ours
      ? `${removed} finished actions removed, ${archived} archived.\n`
      : 'Another process does it at the moment; nothing was done here.\n',
  );
  if (failed === 0) return;
  process.stderr.write(`Of ${failed} tenants nothing could be archived, and nothing was removed.\n`);
  process.exitCode = 1;
}
