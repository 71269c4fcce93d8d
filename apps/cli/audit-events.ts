import { hostname, userInfo } from 'node:os';
import path from 'node:path';
import { AuditSpool, INSTALLATION, type AuditActor, type NewAuditEvent } from '#audit';
import { RiposteError, type ErrorCode } from '#domain';
import type { Database } from '#persistence';

/** Whoever runs a command on the installation's own machine, as that machine knows them. */
function commandActor(): AuditActor {
  return { appId: null, user: `${userName()}@${hostname()}`, address: null };
}

/** What a command does, without who runs it. */
export type Doing = Omit<NewAuditEvent, 'by'>;

/**
 * Records what a command does to the database, then does it. Where that fails, or comes to nothing, a second entry for
 * each says so: `details.failed` has the error's code.
 *
 * @param refusal the code of a result that says that nothing was done; null for any other. By default none was found
 *   where it is false, null or `unknown`, and it may not be where it is `full`
 * @throws OperationalError when it could not be recorded, and was not done; else what `work` throws
 */
export async function doneOnRecord<T>(
  database: Database,
  events: readonly Doing[],
  work: () => Promise<T>,
  refusal: (result: T) => ErrorCode | null = refusalOf,
): Promise<T> {
  await recordDoing(database, events);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await recordFailure(database, events, error);
    throw error;
  }
  const failed = refusal(result);
  if (failed !== null) await recordThatItFailed(database, events, failed);
  return result;
}

function refusalOf(result: unknown): ErrorCode | null {
  if (result === false || result === null || result === 'unknown') return 'itemNotFound';
  return result === 'full' ? 'notAllowed' : null;
}

/**
 * Records, before it is done, what a command does: where it is known only in the middle of it. Elsewhere
 * {@link doneOnRecord}. @throws OperationalError: then it must not be done
 */
export function recordDoing({ audit }: Database, events: readonly Doing[]): Promise<void> {
  const by = commandActor();
  return audit.record(events.map((event) => ({ ...event, by })));
}

/** Records once more what was recorded, with why it then was not done. Where it cannot be, stderr says so. */
export function recordFailure(database: Database, events: readonly Doing[], error: unknown): Promise<void> {
  const failed = error instanceof RiposteError ? error.code : 'generalException';
  return recordThatItFailed(database, events, failed);
}

async function recordThatItFailed(
  database: Database,
  events: readonly Doing[],
  failed: ErrorCode,
): Promise<void> {
  const doings = events.map((event) => ({ ...event, details: { ...event.details, failed } }));
  await recordDoing(database, doings).catch(() =>
    process.stderr.write('The audit record says that it was done: that it failed could not be recorded.\n'),
  );
}

/**
 * Records, before it is signed, that a token is signed with the key of a data dir, which takes no database: an API
 * process on it takes that into the record.
 * @throws the file system's error: then none must be signed
 */
export async function recordSignedToken(
  dataDir: string,
  token: { readonly tenantId: string; readonly appId: string; readonly roles: readonly string[] },
): Promise<void> {
  await new AuditSpool(path.resolve(dataDir)).add({
    chain: token.tenantId,
    kind: 'token.issued',
    by: commandActor(),
    about: { appId: token.appId },
    details: { roles: [...token.roles], by: 'command' },
  });
}

/** The chain of an application's tenant. */
export async function chainOfApplication({ applications }: Database, appId: string): Promise<string> {
  return (await applications.find(appId))?.tenantId ?? INSTALLATION;
}

/** The chains of an account's tenants. */
export async function chainsOfOperator({ operators }: Database, name: string): Promise<readonly string[]> {
  const grants = (await operators.find(name.toLowerCase()))?.grants ?? [];
  return grants.length === 0 ? [INSTALLATION] : grants.map(({ tenantId }) => tenantId);
}

/** A container's user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}
