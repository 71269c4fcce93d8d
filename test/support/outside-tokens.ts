import { randomUUID } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { APP, TENANT_A } from './database.js';

const HOUR = 3600;

/** When a token is good: from a time (milliseconds since 1970) for an hour. */
function hourFrom(nowMs: number): { readonly iat: number; readonly nbf: number; readonly exp: number } {
  const iat = Math.floor(nowMs / 1000);
  return { iat, nbf: iat, exp: iat + HOUR };
}

/** An application's token as Entra ID gives it, version 2. */
export function entraV2(authority: string, nowMs = Date.now(), tenant = TENANT_A): JWTPayload {
  return {
    aud: 'api://riposte',
    iss: `${authority}/${tenant}/v2.0`,
    ...hourFrom(nowMs),
    azp: APP,
    azpacr: '1',
    oid: '33333333-3333-4333-8333-333333333333',
    sub: '33333333-3333-4333-8333-333333333333',
    roles: ['SecurityActions.ReadWrite.All'],
    tid: tenant,
    uti: 'abc',
    ver: '2.0',
  };
}

/** Version 1. */
export function entraV1(nowMs = Date.now(), tenant = TENANT_A): JWTPayload {
  const { azp: _azp, azpacr: _azpacr, ...claims } = entraV2('', nowMs, tenant);
  return {
    ...claims,
    iss: `https://sts.windows.net/${tenant}/`,
    appid: APP,
    appidacr: '1',
    idp: `https://sts.windows.net/${tenant}/`,
    ver: '1.0',
  };
}

/** A service account's token as Keycloak gives it to the client `soc-automation` for the client `riposte`. */
export function keycloak(issuer: string, nowMs = Date.now()): JWTPayload {
  const { iat, exp } = hourFrom(nowMs);
  return {
    exp,
    iat,
    jti: randomUUID(),
    iss: issuer,
    aud: ['riposte', 'account'],
    sub: randomUUID(),
    typ: 'Bearer',
    azp: 'soc-automation',
    acr: '1',
    realm_access: { roles: ['offline_access', 'uma_authorization', 'default-roles-soc'] },
    resource_access: {
      riposte: { roles: ['SecurityActions.ReadWrite.All'] },
      account: { roles: ['view-profile'] },
    },
    scope: 'profile email',
    clientHost: '10.0.0.7',
    clientAddress: '10.0.0.7',
    client_id: 'soc-automation',
    email_verified: false,
    preferred_username: 'service-account-soc-automation',
  };
}

/** What a person's token looks like at the same client. */
export function keycloakUser(issuer: string, nowMs = Date.now()): JWTPayload {
  const { client_id: _id, clientHost: _host, clientAddress: _address, ...claims } = keycloak(issuer, nowMs);
  return { ...claims, sid: randomUUID(), auth_time: claims.iat, preferred_username: 'alice', name: 'Alice' };
}
