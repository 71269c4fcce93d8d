import type { CryptoKey, JWSHeaderParameters, JWTPayload } from 'jose';
import { UserError } from '#domain';
import { delegated, identity, namesIn, refuseDelegated, tenantIdOf } from './app-identity.js';
import { claimAt, type ClaimSteps } from './claims.js';
import type { IssuerKeys } from './issuer-keys.js';
import type { RoleRules } from './role-rules.js';
import type { Identity, TrustedIssuer } from './trusted-issuer.js';

/** The tenant of its tokens: always the same, or as a claim says, out of those allowed (null: all). */
export type TenantRule =
  { readonly always: string } | { readonly claim: ClaimSteps; readonly allowed: ReadonlySet<string> | null };

export type AppOnlyTest =
  | { readonly kind: 'always' }
  | { readonly kind: 'subject' }
  | { readonly kind: 'keycloak' }
  | { readonly kind: 'claim'; readonly claim: ClaimSteps; readonly value: string };

export interface OidcParts {
  readonly name: string;
  /** `iss` of its tokens, exactly. */
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  readonly tenant: TenantRule;
  readonly claims: { readonly app: ClaimSteps; readonly user: ClaimSteps | null; readonly roles: ClaimSteps };
  readonly appOnly: AppOnlyTest;
  readonly requireIdtyp: boolean;
  readonly roles: RoleRules;
  readonly keys: IssuerKeys;
}

/** Keycloak, or any other issuer with OIDC discovery whose access tokens are JWTs. */
export class OidcIssuer implements TrustedIssuer {
  readonly #parts: OidcParts;

  constructor(parts: OidcParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }

  get audiences(): readonly string[] {
    return this.#parts.audiences;
  }

  get algorithms(): readonly string[] {
    return this.#parts.algorithms;
  }

  accepts(iss: string): boolean {
    return iss === this.#parts.issuer;
  }

  keyOf(header: JWSHeaderParameters): Promise<CryptoKey> {
    return this.#parts.keys.keyOf(header);
  }

  identityOf(payload: JWTPayload): Identity {
    const { claims, requireIdtyp, roles } = this.#parts;
    refuseDelegated(payload, requireIdtyp);
    const app = claimAt(payload, claims.app);
    if (!isApplications(payload, app, this.#parts.appOnly)) throw delegated();
    const user = claims.user === null ? null : claimAt(payload, claims.user);
    const found = claimAt(payload, claims.roles);
    return roles.applyTo(identity(this.#tenantOf(payload), app, user, namesIn(found)));
  }

  warmUp(): Promise<void> {
    return this.#parts.keys.warmUp();
  }

  check(): Promise<number> {
    return this.#parts.keys.check();
  }

  #tenantOf(payload: JWTPayload): string {
    const { tenant } = this.#parts;
    if ('always' in tenant) return tenant.always;
    const tenantId = tenantIdOf(claimAt(payload, tenant.claim));
    if (tenantId === null || tenant.allowed?.has(tenantId) === false)
      throw new UserError(
        'unauthenticated',
        'The access token is not valid: it is for a tenant that is not accepted here.',
      );
    return tenantId;
  }
}

function isApplications(payload: JWTPayload, app: unknown, test: AppOnlyTest): boolean {
  switch (test.kind) {
    case 'always':
      return true;
    case 'subject':
      return payload.sub === app;
    case 'claim':
      return claimAt(payload, test.claim) === test.value;
    case 'keycloak':
      return isServiceAccount(payload, app);
  }
}

/**
 * Keycloak notes in the session of a service account who the client is, and has a mapper put that into the token:
 * `client_id`, in older versions `clientId`. A user's session has no such note. The account's name is no proof by
 * itself: a user may choose one. Ours to refuse as well are ID and refresh tokens, whose `typ` says so.
 */
function isServiceAccount(payload: JWTPayload, app: unknown): boolean {
  const { typ, preferred_username: username } = payload;
  const client = payload['client_id'] ?? payload['clientId'];
  return (
    client === app &&
    (typ === undefined || typ === 'Bearer') &&
    (username === undefined || (typeof username === 'string' && username.startsWith('service-account-')))
  );
}
