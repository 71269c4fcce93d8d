import path from 'node:path';
import { Command } from 'commander';
import type { IssuerKeyReport } from '#persistence';
import { INSTALLATION } from '#audit';
import { doneOnRecord, recordDoing, recordFailure, type Doing } from './audit-events.js';
import { RefusedError, withDatabase } from './database.js';

/**
 * `riposte issuer`: the keys that the built-in issuer signs with.
 * @param check refuses where the built-in issuer is off
 */
export function issuerCommand(check: () => Promise<void>): Command {
  return new Command('issuer')
    .description("Change and revoke the built-in issuer's keys.")
    .hook('preAction', check)
    .addCommand(keysCommand())
    .addCommand(rotateCommand())
    .addCommand(revokeCommand());
}

function keysCommand(): Command {
  return new Command('keys')
    .description('Show the keys of all API processes: who signs, what was retired or revoked.')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const keys = await withDatabase(process.env, ({ issuerKeys }) => issuerKeys.list());
      process.stdout.write(json === true ? `${JSON.stringify(keys)}\n` : keys.map(described).join(''));
    });
}

function rotateCommand(): Command {
  return new Command('rotate-key')
    .description(
      'Make a new key in RIPOSTE_DATA_DIR in place of the one there. Tokens signed with the old one stay good until they expire, a day at most.',
    )
    .option('--revoke-old', 'end the tokens signed with the old one, too')
    .action(async ({ revokeOld }: { revokeOld?: true }) => {
      const dataDir = path.resolve(process.env['RIPOSTE_DATA_DIR'] || '.riposte');
      const { replaceSigningKey } = await import('#auth');
      const { before, next } = await withDatabase(process.env, async (database) => {
        const { issuerKeys } = database;
        const recorded: Doing[] = [];
        const replaced = await replaceSigningKey(dataDir, async (old, fresh) => {
          const doing: Doing = {
            chain: INSTALLATION,
            kind: 'issuer.keyRotated',
            about: { before: old.kid, next: fresh.kid },
            details: { revokeOld: revokeOld === true },
          };
          await recordDoing(database, [doing]);
          recorded.push(doing);
          // Whatever fails in between, no API process refuses the key that signs, unless it is to be refused.
          await issuerKeys.publish(old);
          await issuerKeys.publish(fresh);
          if (revokeOld === true) await issuerKeys.revoke(old.kid);
        }).catch(async (error: unknown) => {
          await recordFailure(database, recorded, error);
          throw error;
        });
        if (revokeOld !== true) await issuerKeys.retire(replaced.before.kid);
        return replaced;
      });
      process.stderr.write(
        `${dataDir} signs with key ${next.kid}. ${
          revokeOld === true
            ? `Key ${before.kid} is revoked: its tokens end within 70 s.`
            : `Tokens of key ${before.kid} stay good until they expire.`
        }\n`,
      );
    });
}

function revokeCommand(): Command {
  return new Command('revoke-key')
    .description(
      'End the tokens of a key whose data dir is lost. A data dir in use gets a new key: rotate-key.',
    )
    .argument('<key-id>', 'as `issuer keys` shows it')
    .action(async (kid: string) => {
      const revoked = await withDatabase(process.env, async (database) => {
        const about = { kid: kid.slice(0, 64) };
        const doing: Doing = { chain: INSTALLATION, kind: 'issuer.keyRevoked', about };
        return doneOnRecord(database, [doing], () => database.issuerKeys.revoke(kid));
      });
      if (!revoked) throw new RefusedError(`There is no key ${kid}; nothing was changed. See: issuer keys`);
      process.stderr.write(`Revoked key ${kid}: its tokens end within 70 s.\n`);
    });
}

function described({ kid, seenAt, retiredAt, revokedAt, validUntil }: IssuerKeyReport): string {
  if (revokedAt !== null) return `${kid}  revoked ${revokedAt.toISOString()}\n`;
  if (retiredAt !== null)
    return `${kid}  retired ${retiredAt.toISOString()}, its tokens are good until ${validUntil.toISOString()}\n`;
  return `${kid}  signs, last seen ${seenAt.toISOString()}\n`;
}
