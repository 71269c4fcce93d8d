import { setTimeout as sleep } from 'node:timers/promises';
import { exportLines, verifyAudit } from '#audit';
import { connectDatabase, type Database } from '#persistence';

/** Milliseconds after the last end in which all of it has to be in the audit record: a crashed worker's lease, and a pass. */
const WITHIN_MS = 60_000;
const GROUP = 1000;

/** Something that the audit record has wrong, or not at all. */
export interface AuditBreak {
  /** Of the action, or of the chain. */
  readonly id: string;
  readonly why: string;
}

/** What is wrong with the audit record of these actions, once it has had the time to be whole. */
export async function auditBreaks(
  mongodbUri: string,
  ids: readonly string[],
): Promise<readonly AuditBreak[]> {
  const database = await connectDatabase(mongodbUri, { appName: 'riposte-faults' });
  try {
    const until = performance.now() + WITHIN_MS;
    let missing = await missingOf(database, ids);
    while (missing.length > 0 && performance.now() < until) {
      await sleep(1000);
      missing = await missingOf(database, missing);
    }
    return [
      ...missing.map((id) => ({ id, why: 'its history is not all in the audit record' })),
      ...(await brokenLinks(database)),
    ];
  } finally {
    await database.close();
  }
}

async function missingOf({ audit }: Database, ids: readonly string[]): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let from = 0; from < ids.length; from += GROUP) {
    const group = ids.slice(from, from + GROUP);
    const there = new Set(await audit.inChain(group));
    missing.push(...group.filter((id) => !there.has(id)));
  }
  return missing;
}

async function brokenLinks({ audit }: Database): Promise<readonly AuditBreak[]> {
  const keys = (await audit.keys()).map(({ publicKey }) => publicKey);
  const { broken } = await verifyAudit(lines(exportLines(audit, null)), { keys });
  return broken.map(({ chain, seq, what }) => ({ id: chain, why: `at ${seq}: ${what}` }));
}

async function* lines(exported: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of exported) yield line.trimEnd();
}
