import type { CryptoKey, JWSHeaderParameters, JWTPayload } from 'jose';
import { delegated, identity, refuseDelegated, tenantIdOf, userOf } from './app-identity.js';
import type { IssuerKeys } from './issuer-keys.js';
import type { RoleRules } from './role-rules.js';
import type { Identity, Origin, TrustedIssuer } from './trusted-issuer.js';

const TENANT = '{tenantid}';

export interface EntraParts {
  readonly name: string;
  /** Without a slash at its end. */
  readonly authority: string;
  /** With `{tenantid}`. */
  readonly v1Issuer: string;
  /** In small letters; null: all. */
  readonly tenants: ReadonlySet<string> | null;
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  readonly requireIdtyp: boolean;
  readonly roles: RoleRules;
  readonly keys: IssuerKeys;
}

/**
 * Microsoft Entra ID, for one tenant or several. Which of its two token versions an application gets is set at the
 * API's registration (`requestedAccessTokenVersion`), so both are accepted.
 */
export class EntraIssuer implements TrustedIssuer {
  readonly #parts: EntraParts;

  constructor(parts: EntraParts) {
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

  accepts(iss: string, tid: string | null): boolean {
    const tenantId = tenantIdOf(tid);
    if (tenantId === null || this.#parts.tenants?.has(tenantId) === false) return false;
    return this.#issuersOf(tenantId).includes(iss);
  }

  async keyOf(header: JWSHeaderParameters, { tid }: Origin): Promise<CryptoKey> {
    // Keys of all tenants come in one set; some are for one tenant alone, such as that of personal accounts.
    // https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-signing-key-issuer
    const issuers = this.#issuersOf(tenantIdOf(tid) ?? '');
    return this.#parts.keys.keyOf(
      header,
      ({ issuer }) => issuer === null || issuers.includes(issuer.replace(TENANT, tenantIdOf(tid) ?? '')),
    );
  }

  identityOf(payload: JWTPayload): Identity {
    refuseDelegated(payload, this.#parts.requireIdtyp);
    // Users' tokens may carry roles, and an ID token has no scp. Only of an application's are these two the same.
    if (payload['idtyp'] === undefined && (payload.sub === undefined || payload['oid'] !== payload.sub))
      throw delegated();
    const [, v2] = this.#issuersOf(tenantIdOf(payload['tid']) ?? '');
    const app = payload.iss === v2 ? payload['azp'] : payload['appid'];
    return this.#parts.roles.applyTo(identity(payload['tid'], app, userOf(payload), payload['roles']));
  }

  /** `iss` of a tenant's tokens, v1 and v2. */
  #issuersOf(tenantId: string): readonly [string, string] {
    const { authority, v1Issuer } = this.#parts;
    return [v1Issuer.replace(TENANT, tenantId), `${authority}/${tenantId}/v2.0`];
  }

  warmUp(): Promise<void> {
    return this.#parts.keys.warmUp();
  }

  check(): Promise<number> {
    return this.#parts.keys.check();
  }
}
