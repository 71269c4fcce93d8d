import { ConfigurationError, ROLES, type Role } from '#domain';
import { tenantIdOf } from './app-identity.js';
import { stepsOf } from './claims.js';
import { EntraIssuer } from './entra-issuer.js';
import { IssuerKeys, type IssuerLog } from './issuer-keys.js';
import type { AppOnlyRule, EntraSettings, IssuerSettings, OidcSettings } from './issuer-settings.js';
import { issuerUrl } from './issuer-url.js';
import { OidcIssuer, type AppOnlyTest, type TenantRule } from './oidc-issuer.js';
import { RoleRules } from './role-rules.js';
import type { TrustedIssuer } from './trusted-issuer.js';

/** None without an asymmetric key, and none that is not in use by an issuer we know of. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256'];
const DEFAULT_AUTHORITY = 'https://login.microsoftonline.com';
const DEFAULT_V1_ISSUER = 'https://sts.windows.net/{tenantid}/';
const DISCOVERY = '/.well-known/openid-configuration';

/** An issuer outside of Riposte, known by its keys. */
export interface OutsideIssuer extends TrustedIssuer {
  /** Reads its keys ahead of the first request. Never rejects: what goes wrong is logged. */
  warmUp(): Promise<void>;
  /**
   * Reads its discovery document and its keys now.
   * @returns how many keys fit
   * @throws Error saying what is wrong
   */
  check(): Promise<number>;
}

export interface OutsideIssuersOptions {
  readonly log: IssuerLog;
  /** Milliseconds since 1970. Default: the machine's clock. */
  readonly now?: () => number;
}

/**
 * The configured issuers. Nothing is fetched: one that is away does not keep the API from starting.
 * @throws ConfigurationError naming the key, as `auth.issuers.0.issuer`
 */
export function issuersOf(
  settings: readonly IssuerSettings[],
  { log, now = Date.now }: OutsideIssuersOptions,
): readonly OutsideIssuer[] {
  refuseOverlaps(settings);
  return settings.map((issuer, index) => {
    const key = `auth.issuers.${index}`;
    const shared: SharedParts = {
      key,
      audiences: typeof issuer.audience === 'string' ? [issuer.audience] : issuer.audience,
      roles: new RoleRules(mappingOf(issuer.roles, key), operatorTenantsOf(issuer, settings)),
      keysOf: (discovery, iss) => new IssuerKeys({ name: iss, discovery, issuer: iss, log, now }),
    };
    return issuer.type === 'entra' ? entraOf(issuer, shared) : oidcOf(issuer, shared);
  });
}

interface SharedParts {
  readonly key: string;
  readonly audiences: readonly string[];
  readonly roles: RoleRules;
  readonly keysOf: (discovery: URL, issuer: string) => IssuerKeys;
}

function entraOf(settings: EntraSettings, { key, audiences, roles, keysOf }: SharedParts): EntraIssuer {
  const authority = authorityOf(settings);
  const v1Issuer = settings.v1Issuer ?? DEFAULT_V1_ISSUER;
  checkedUrl(authority, `${key}.authority`);
  if (!v1Issuer.includes('{tenantid}'))
    throw new ConfigurationError(`${key}.v1Issuer has to contain {tenantid}, as ${DEFAULT_V1_ISSUER}`);
  const tenants = tenantSet(settings.tenants);
  // The document of one tenant names that tenant, the one of all says {tenantid}.
  const [only, another] = tenants ?? [];
  const single = only !== undefined && another === undefined;
  const discovery = new URL(`${authority}/${single ? only : 'organizations'}/v2.0${DISCOVERY}`);
  return new EntraIssuer({
    name: `Entra ID (${authority})`,
    authority,
    v1Issuer,
    tenants,
    audiences,
    algorithms: ALGORITHMS,
    requireIdtyp: settings.requireIdtyp ?? false,
    roles,
    keys: keysOf(discovery, `${authority}/${single ? only : '{tenantid}'}/v2.0`),
  });
}

function oidcOf(settings: OidcSettings, { key, audiences, roles, keysOf }: SharedParts): OidcIssuer {
  const { issuer, claims = {} } = settings;
  const url = checkedUrl(issuer, `${key}.issuer`);
  if (url.search !== '') throw new ConfigurationError(`${key}.issuer must not have a query`);
  const keycloak = settings.type === 'keycloak';
  // A client's roles stand under its name, which is the audience of tokens for it.
  const rolesAt = keycloak ? ['resource_access', audiences[0] ?? '', 'roles'] : ['roles'];
  return new OidcIssuer({
    name: issuer,
    issuer,
    audiences,
    algorithms: ALGORITHMS,
    tenant: tenantRuleOf(settings, key),
    claims: {
      app: stepsOf(claims.app ?? 'azp'),
      user: claims.user === undefined ? null : stepsOf(claims.user),
      roles: claims.roles === undefined ? rolesAt : stepsOf(claims.roles),
    },
    appOnly: keycloak ? { kind: 'keycloak' } : appOnlyTestOf(settings.appOnly ?? 'subject'),
    requireIdtyp: settings.requireIdtyp ?? false,
    roles,
    keys: keysOf(new URL(`${issuer.replace(/\/$/, '')}${DISCOVERY}`), issuer),
  });
}

function authorityOf({ authority = DEFAULT_AUTHORITY }: EntraSettings): string {
  return authority.replace(/\/$/, '');
}

function checkedUrl(text: string, key: string): URL {
  const url = issuerUrl(text);
  if (url === null) {
    throw new ConfigurationError(
      `${key} has to be an https address without credentials (http on this machine only), not ${JSON.stringify(text)}`,
    );
  }
  return url;
}

function tenantRuleOf({ tenant, tenantClaim, tenants }: OidcSettings, key: string): TenantRule {
  if (tenant !== undefined) {
    if (tenantClaim !== undefined || tenants !== undefined)
      throw new ConfigurationError(`${key}.tenant does not go with tenantClaim or tenants: choose one way`);
    return { always: tenant.toLowerCase() };
  }
  if (tenantClaim === undefined) {
    throw new ConfigurationError(
      `${key}.tenant is missing: the GUID its tokens speak for, or tenantClaim and tenants`,
    );
  }
  if (tenants === undefined)
    throw new ConfigurationError(`${key}.tenants is missing: the GUIDs its tokens may speak for, or ['*']`);
  return { claim: stepsOf(tenantClaim), allowed: tenantSet(tenants) };
}

function tenantSet(tenants: readonly string[]): ReadonlySet<string> | null {
  return tenants.includes('*') ? null : new Set(tenants.map((tenant) => tenant.toLowerCase()));
}

function appOnlyTestOf(rule: AppOnlyRule): AppOnlyTest {
  return typeof rule === 'string'
    ? { kind: rule }
    : { kind: 'claim', claim: stepsOf(rule.claim), value: rule.value };
}

function mappingOf(
  mapping: IssuerSettings['roles'],
  key: string,
): ReadonlyMap<string, readonly Role[]> | null {
  if (mapping === undefined) return null;
  return new Map(
    Object.entries(mapping).map(([name, to]) => [
      name,
      (typeof to === 'string' ? [to] : to).map((role) => {
        const known = ROLES.find((one) => one === role);
        if (known === undefined) {
          throw new ConfigurationError(
            `${key}.roles.${name} names ${JSON.stringify(role)}; known: ${ROLES.join(', ')}`,
          );
        }
        return known;
      }),
    ]),
  );
}

/** Where one issuer speaks for one tenant and no other is configured, the installation is that tenant's. */
function operatorTenantsOf(issuer: IssuerSettings, all: readonly IssuerSettings[]): ReadonlySet<string> {
  const tenants = issuer.type === 'entra' || issuer.tenant === undefined ? issuer.tenants : [issuer.tenant];
  const alone = all.length === 1 && tenants?.length === 1 ? tenants : [];
  const ids = (issuer.operatorTenants ?? alone).map((tenant) => tenantIdOf(tenant));
  return new Set(ids.filter((id) => id !== null));
}

/** A token is verified by one issuer: two that accept the same would leave it open whose rules hold. */
function refuseOverlaps(settings: readonly IssuerSettings[]): void {
  settings.forEach((issuer, index) => {
    const other = settings.findIndex((one, place) => place < index && overlap(one, issuer));
    if (other !== -1) {
      throw new ConfigurationError(
        `auth.issuers.${index} accepts the same tokens as auth.issuers.${other}: let each ${issuer.type === 'entra' ? 'tenant' : 'issuer'} stand in one of them`,
      );
    }
  });
}

function overlap(one: IssuerSettings, another: IssuerSettings): boolean {
  if (one.type === 'entra' && another.type === 'entra') {
    const [first, second] = [tenantSet(one.tenants), tenantSet(another.tenants)];
    const sameIssuer =
      authorityOf(one) === authorityOf(another) ||
      (one.v1Issuer ?? DEFAULT_V1_ISSUER) === (another.v1Issuer ?? DEFAULT_V1_ISSUER);
    return sameIssuer && (first === null || second === null || [...first].some((id) => second.has(id)));
  }
  return one.type !== 'entra' && another.type !== 'entra' && one.issuer === another.issuer;
}
