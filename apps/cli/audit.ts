import { open, readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Command } from 'commander';
import {
  AuditFormatError,
  INSTALLATION,
  exportLines,
  verifyAudit,
  type AuditVerdict,
  type BrokenLink,
} from '#audit';
import type { Database } from '#persistence';
import { CommandError, EXIT } from './api-client.js';
import { doneOnRecord } from './audit-events.js';
import { RefusedError, withDatabase } from './database.js';
import { givenPath } from './given-path.js';
import { guid } from './guid.js';
import { linesOf } from './lines.js';

/** `riposte audit`: the record of what anybody did. */
export function auditCommand(): Command {
  return new Command('audit')
    .description('Export the record of what anybody did, and find whether it was changed.')
    .addCommand(exportCommand())
    .addCommand(verifyCommand())
    .addCommand(keyCommand());
}

function exportCommand(): Command {
  return new Command('export')
    .description('Write the audit record to stdout, as lines of JSON that `audit verify` reads.')
    .option('--tenant <guid>', 'of one tenant only', guid)
    .option('--installation', 'only of what has no tenant')
    .action(async ({ tenant, installation }: { tenant?: string; installation?: true }) => {
      await withDatabase(process.env, async (database) => {
        const chains = [
          ...(tenant === undefined ? [] : [await spelt(database, tenant)]),
          ...(installation === true ? [INSTALLATION] : []),
        ];
        const wanted = chains.length === 0 ? null : chains;
        await doneOnRecord(
          database,
          (wanted ?? [INSTALLATION]).map((chain) => ({
            chain,
            kind: 'audit.exported',
            details: wanted === null ? { all: true } : {},
          })),
          () => pipeline(Readable.from(exportLines(database.audit, wanted)), process.stdout, { end: false }),
        );
      });
    });
}

/** A chain's tenant is spelt as in the tokens. */
async function spelt({ audit }: Database, tenant: string): Promise<string> {
  return (await audit.chains()).find((known) => known.toLowerCase() === tenant) ?? tenant;
}

function keyCommand(): Command {
  return new Command('key')
    .description(
      'Print the public keys that the checkpoints are verified with, in PEM. Keep a copy elsewhere.',
    )
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const keys = await withDatabase(process.env, ({ audit }) => audit.keys());
      if (keys.length === 0)
        throw new RefusedError('There is no key yet: a worker makes it when it starts for the first time.');
      process.stdout.write(
        json === true ? `${JSON.stringify(keys)}\n` : keys.map(({ publicKey }) => publicKey).join(''),
      );
    });
}

interface VerifyOptions {
  readonly key?: readonly string[];
  readonly heads?: string;
  readonly json?: true;
}

function verifyCommand(): Command {
  return new Command('verify')
    .description(
      'Find the first entry that was changed, is missing or was moved. Works on files alone. Ends with 0: nothing is wrong; 1: something is; 2: it cannot be told.',
    )
    .argument('<file>', 'as `audit export` or the API wrote it')
    .option(
      '--key <file>',
      'public keys in PEM, kept from `audit key`; may be repeated. Without, the export vouches for itself',
      (file: string, before?: readonly string[]) => [...(before ?? []), file],
    )
    .option(
      '--heads <file>',
      'the heads kept apart (audit.headsFile): shows also what was cut off at the end',
    )
    .option('--json', 'print JSON')
    .action(async (given: string, options: VerifyOptions) => {
      const keys = (await Promise.all((options.key ?? []).map(textOf))).flatMap(pemsIn);
      const heads = options.heads === undefined ? {} : { heads: (await textOf(options.heads)).split('\n') };
      const verdict = await verified(given, { keys, ...heads });
      tell(verdict, { isTrusted: keys.length > 0, asJson: options.json === true });
      if (verdict.broken.length > 0) process.exitCode = 1;
    });
}

async function verified(
  given: string,
  options: { readonly keys: readonly string[]; readonly heads?: readonly string[] },
): Promise<AuditVerdict> {
  const file = await open(givenPath(given), 'r').catch((cause: unknown) => {
    throw new CommandError(EXIT.usage, `${given} cannot be read: ${(cause as Error).message}`, { cause });
  });
  try {
    return await verifyAudit(textLines(linesOf(file)), options);
  } catch (cause) {
    if (cause instanceof AuditFormatError)
      throw new CommandError(EXIT.usage, `${given} cannot be verified: ${cause.message}.`, { cause });
    // Of a line that is too long; loaded only to tell it apart.
    const { BackupError } = await import('#persistence');
    if (!(cause instanceof BackupError)) throw cause;
    throw new CommandError(EXIT.usage, `${given} cannot be verified: ${cause.message}`, { cause });
  } finally {
    await file.close();
  }
}

async function* textLines(lines: AsyncIterable<Buffer>): AsyncGenerator<string> {
  for await (const line of lines) yield line.toString('utf8');
}

function tell(
  { chains, broken, brokenHeads }: AuditVerdict,
  { isTrusted, asJson }: { readonly isTrusted: boolean; readonly asJson: boolean },
): void {
  if (asJson) process.stdout.write(`${JSON.stringify({ chains, broken, brokenHeads })}\n`);
  else {
    for (const { chain, entries, signedUpTo } of chains) {
      const link = broken.find((one) => one.chain === chain);
      process.stdout.write(link === undefined ? whole(chain, entries, signedUpTo) : described(link));
    }
  }
  if (brokenHeads > 0)
    process.stderr.write(
      `${brokenHeads} lines of the heads hold none, as a crash leaves one; passed over.\n`,
    );
  if (!isTrusted)
    process.stderr.write(
      'Without --key the export vouches for its own signatures: who could change the database could make both.\n',
    );
}

function whole(chain: string, entries: number, signedUpTo: number): string {
  const rest = entries - signedUpTo;
  return `${chain}  whole: ${entries} entries${rest === 0 ? '' : `, the last ${rest} not signed`}\n`;
}

function described({ chain, seq, what }: BrokenLink): string {
  return `${chain}  BROKEN at ${seq}: ${what}\n`;
}

async function textOf(given: string): Promise<string> {
  return readFile(givenPath(given), 'utf8').catch((cause: unknown) => {
    throw new CommandError(EXIT.usage, `${given} cannot be read: ${(cause as Error).message}`, { cause });
  });
}

/** A file may hold several keys; what is none is refused with them. */
function pemsIn(text: string): readonly string[] {
  return text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? [text];
}
