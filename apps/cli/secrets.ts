import { Command } from 'commander';
import type { Rotation, RotateSecrets, SecretsReport } from '#engine';
import type { SecretKeys } from '#domain';
import type { Database } from '#persistence';
import { INSTALLATION } from '#audit';
import { doneOnRecord, type Doing } from './audit-events.js';
import { withDatabase } from './database.js';
import { givenPath } from './given-path.js';

/** `riposte secrets`: the keys that stored secrets are sealed with. */
export function secretsCommand(): Command {
  return new Command('secrets')
    .description('Make and exchange the keys that stored secrets are sealed with.')
    .addCommand(newKeyCommand())
    .addCommand(statusCommand())
    .addCommand(rotateCommand());
}

function newKeyCommand(): Command {
  return new Command('new-key')
    .description('Print a new key, or write it into a file that is not there yet.')
    .option('--out <file>', 'file to make, for its owner only; one that is there is left alone')
    .action(async ({ out }: { out?: string }) => {
      const { makeKeyFile, newKey } = await import('#secrets');
      if (out === undefined) {
        process.stdout.write(`${newKey()}\n`);
        return;
      }
      const file = givenPath(out);
      const made = await makeKeyFile(file);
      process.stderr.write(
        made
          ? `Made ${file}. Give it to the API and the workers, and keep a copy apart from the database's.\n`
          : `${file} is there already; it was left alone.\n`,
      );
    });
}

function statusCommand(): Command {
  return new Command('status')
    .description('Show which keys are needed by what is stored. Reads all actions.')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      await withSecrets(async (secrets, keys) => {
        const report = await secrets.report();
        process.stdout.write(
          json === true ? `${JSON.stringify(toJson(report, keys))}\n` : described(report, keys),
        );
      });
    });
}

function rotateCommand(): Command {
  return new Command('rotate')
    .description(
      'Bring all that is sealed under the current key, and seal what is in clear. Runs beside API and workers; safe to repeat.',
    )
    .option(
      '--lost',
      'a key is lost for ever: make anew the shared keys that cannot be opened, so that processes start again',
    )
    .option('--json', 'print JSON')
    .action(async ({ lost, json }: { lost?: true; json?: true }) => {
      await withSecrets(async (secrets, keys, database) => {
        const doing: Doing = {
          chain: INSTALLATION,
          kind: 'secrets.rotated',
          about: { key: keys.current },
          details: { lost: lost === true },
        };
        const rotation = await doneOnRecord(database, [doing], () =>
          secrets.rotate(lost === true, (looked) => {
            if (process.stderr.isTTY) process.stderr.write(`\r${looked} actions looked at`);
          }),
        );
        if (process.stderr.isTTY) process.stderr.write('\n');
        tell(rotation, keys, json === true);
      });
    });
}

function tell(
  { rewrapped, sealed, renewed, failed, after }: Rotation,
  keys: SecretKeys,
  asJson: boolean,
): void {
  const unopened = [...failed.values()].reduce((sum, count) => sum + count, 0);
  if (asJson)
    process.stdout.write(
      `${JSON.stringify({ rewrapped, sealed, renewed, failed: unopened, ...toJson(after, keys) })}\n`,
    );
  else
    process.stderr.write(
      `${rewrapped} brought under the key ${keys.current}, ${sealed} sealed that were in clear${renewed > 0 ? `, ${renewed} shared keys made anew` : ''}, ${unopened} could not be opened.\n`,
    );
  for (const [why, count] of failed) process.stderr.write(`${count} could not be opened: ${why}.\n`);
  if (!asJson) process.stderr.write(described(after, keys));
  const needed = keys.others.filter((id) => after.keys.has(id));
  if (unopened > 0 || needed.length > 0) process.exitCode = 1;
}

function toJson(
  { actions, keys, inClear, notConfigured }: SecretsReport,
  { current, others }: SecretKeys,
): object {
  return { current, others, actions, keys: Object.fromEntries(keys), inClear, notConfigured };
}

function described({ keys, inClear, notConfigured }: SecretsReport, { current, others }: SecretKeys): string {
  const lines = [`key ${current}  seals; ${keys.get(current) ?? 0} records need it`];
  for (const id of others)
    lines.push(
      keys.has(id)
        ? `key ${id}  opens; ${keys.get(id)} records still need it: keep it, and run: secrets rotate`
        : `key ${id}  is needed by nothing that is stored; remove it once all processes seal with ${current}`,
    );
  for (const [id, count] of keys)
    if (id !== current && !others.includes(id))
      lines.push(`key ${id}  is not here; ${count} records need it: restore it from its copy`);
  if (inClear > 0) lines.push(`${inClear} records hold secrets in clear; run: secrets rotate`);
  if (notConfigured > 0)
    lines.push(
      `${notConfigured} actions have parameters that may be secret, in clear: their provider instance or action is not configured any more`,
    );
  return lines.map((line) => `${line}\n`).join('');
}

async function withSecrets(
  work: (secrets: RotateSecrets, keys: SecretKeys, database: Database) => Promise<void>,
): Promise<void> {
  const [{ configuredProviders }, { pluginsWith }, { RotateSecrets: Rotate }, telemetry, ours] =
    await Promise.all([
      import('#plugin-host'),
      import('#plugins'),
      import('#engine'),
      import('#telemetry'),
      import('#secrets'),
    ]);
  const keys = new ours.EnvelopeSeal(await ours.readKeyRing(process.env));
  const providers = await configuredProviders({
    // Without a configuration file it is that of `npm start`.
    env: { ...process.env, RIPOSTE_EMBEDDED: '1' },
    pluginsWith,
    readsSecrets: () => false,
    log: telemetry.createLogger('riposte-cli', 'silent'),
  });
  try {
    await withDatabase(process.env, (database) =>
      work(
        new Rotate({ records: database.secretRecords, keys, registry: providers.registry }),
        keys,
        database,
      ),
    );
  } finally {
    await providers.close();
  }
}
