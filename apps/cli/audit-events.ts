import { hostname, userInfo } from 'node:os';
import path from 'node:path';
import { AuditSpool, INSTALLATION, type AuditActor, type NewAuditEvent } from '#audit';
import type { Database } from '#persistence';

/** Whoever runs a command on the installation's own machine, as that machine knows them. */
function commandActor(): AuditActor {
  return { appId: null, user: `${userName()}@${hostname()}`, address: null };
}

/** Records, before it is done, what a command does to the database. @throws OperationalError: then it must not be done */
export function recordCommand(
  { audit }: Database,
  ...events: readonly Omit<NewAuditEvent, 'by'>[]
): Promise<void> {
  const by = commandActor();
  return audit.record(events.map((event) => ({ ...event, by })));
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
