import { BuiltinIssuer } from '#auth';
import { APP, TENANT_A } from './database.js';

/** A token as `npm run token` signs it. */
export async function signToken(
  dataDir: string,
  options: {
    readonly tenant?: string;
    readonly app?: string;
    readonly roles?: readonly string[];
    readonly expiresInSeconds?: number;
  } = {},
): Promise<string> {
  const issuer = await BuiltinIssuer.open(dataDir);
  return issuer.issue({
    tenantId: options.tenant ?? TENANT_A,
    appId: options.app ?? APP,
    roles: options.roles ?? ['SecurityActions.ReadWrite.All'],
    expiresInSeconds: options.expiresInSeconds ?? 3600,
  });
}
