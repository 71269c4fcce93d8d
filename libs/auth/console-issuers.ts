import {
  AuthorizationResponseError,
  ClientError,
  ClientSecretBasic,
  ClientSecretPost,
  None,
  ResponseBodyError,
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  discovery,
  enableNonRepudiationChecks,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  type ClientAuth,
  type Configuration,
  type IDToken,
} from 'openid-client';
import { ConfigurationError, TENANT_ROLES, type Grant, type Person, type TenantRole } from '#domain';
import { namesIn, tenantIdOf } from './app-identity.js';
import { claimAt, stepsOf, type ClaimPath } from './claims.js';
import { issuerUrl } from './issuer-url.js';
import type { PendingSignIn } from './pending-sign-ins.js';

/** An issuer that vouches for people, as configured: `console.issuers`, where each key is described. */
export interface ConsoleIssuerSettings {
  readonly id: string;
  readonly name: string;
  /** `iss` of its tokens, exactly; discovery is below it. */
  readonly issuer: string;
  readonly clientId: string;
  /** Null: a public client, known by PKCE alone. */
  readonly clientSecret: string | null;
  readonly scopes: readonly string[];
  readonly tenant?: string | undefined;
  readonly tenantClaim?: ClaimPath | undefined;
  readonly tenants?: readonly string[] | undefined;
  readonly claims: {
    readonly name?: ClaimPath | undefined;
    readonly displayName?: ClaimPath | undefined;
    readonly roles?: ClaimPath | undefined;
  };
  /** The issuer's role names to ours, in the person's tenant or in those named. Default: its roles are named as ours. */
  readonly roles?:
    | Readonly<Record<string, TenantRole | readonly { readonly tenant: string; readonly role: TenantRole }[]>>
    | undefined;
  readonly operators: readonly string[];
  readonly operatorTenants?: readonly string[] | undefined;
}

/** Why somebody could not sign in at an issuer; the codes are told to the console's page. */
export type SignInProblem =
  /** Nobody began it here, or too long ago, or in another browser. */
  | 'expired'
  /** The issuer said no, or the person did. */
  | 'refused'
  /** What the issuer sent is not what it has to be. */
  | 'failed'
  /** The person has no role here. */
  | 'noRole'
  /** The issuer, or what we need, does not answer. */
  | 'unavailable'
  /** Nobody can sign in over plain HTTP. */
  | 'insecure';

/** The sign-in ends without a session. The message is for the log. */
export class SignInRefusal extends Error {
  constructor(
    readonly problem: SignInProblem,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'SignInRefusal';
  }
}

/** Seconds a request to an issuer may take. */
const ANSWER_WITHIN_SECONDS = 10;
/** Milliseconds for which an issuer that was away is not asked again. */
const AWAY_FOR_MS = 5000;
const LONGEST_NAME = 256;
/** Characters (https://openid.net/specs/openid-connect-core-1_0.html#IDToken). */
const LONGEST_SUBJECT = 255;
const LOCAL: Person['kind'] = 'local';

/** Sign-in by OpenID Connect: authorization code with PKCE, at one issuer. */
export class ConsoleIssuer {
  readonly #settings: ConsoleIssuerSettings;
  readonly #url: URL;
  #configuration: Promise<Configuration> | undefined;

  /**
   * Nothing is fetched: one that is away does not keep the API from starting.
   * @param key where it stands, as `console.issuers.0`, for messages
   * @throws ConfigurationError naming the key
   */
  constructor(settings: ConsoleIssuerSettings, key: string) {
    this.#url = checked(settings, key);
    this.#settings = settings;
  }

  get id(): string {
    return this.#settings.id;
  }

  /** For people. */
  get name(): string {
    return this.#settings.name;
  }

  /**
   * Begins a sign-in.
   * @returns where the browser has to go, and what the end has to fit
   * @throws SignInRefusal `unavailable`
   */
  async begin(
    redirectUri: string,
    returnTo: string,
  ): Promise<{ readonly url: URL; readonly pending: PendingSignIn }> {
    const configuration = await this.#discovered();
    const pending = {
      issuer: this.id,
      state: randomState(),
      nonce: randomNonce(),
      codeVerifier: randomPKCECodeVerifier(),
      redirectUri,
      returnTo,
    };
    const url = buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: this.#settings.scopes.join(' '),
      state: pending.state,
      nonce: pending.nonce,
      code_challenge: await calculatePKCECodeChallenge(pending.codeVerifier),
      code_challenge_method: 'S256',
    });
    return { url, pending };
  }

  /**
   * Ends a sign-in: has the issuer's code exchanged, and its ID token checked.
   * @param query of the callback, as the browser came with it
   * @throws SignInRefusal
   */
  async finish(query: string, pending: PendingSignIn): Promise<Person> {
    const configuration = await this.#discovered();
    const url = new URL(pending.redirectUri);
    url.search = query;
    try {
      const answer = await authorizationCodeGrant(configuration, url, {
        pkceCodeVerifier: pending.codeVerifier,
        expectedState: pending.state,
        expectedNonce: pending.nonce,
        idTokenExpected: true,
      });
      const claims = answer.claims();
      if (claims === undefined) throw new SignInRefusal('failed', 'there is no ID token');
      return this.#personOf(claims);
    } catch (cause) {
      throw refusalOf(cause);
    }
  }

  /**
   * Reads its discovery document.
   * @throws SignInRefusal `unavailable`, with why as its cause
   */
  async check(): Promise<void> {
    await this.#discovered();
  }

  async #discovered(): Promise<Configuration> {
    this.#configuration ??= this.#discover();
    try {
      return await this.#configuration;
    } catch (cause) {
      throw new SignInRefusal('unavailable', `the issuer ${this.#settings.issuer} cannot be used`, { cause });
    }
  }

  #discover(): Promise<Configuration> {
    const { clientId, clientSecret } = this.#settings;
    const found = discovery(this.#url, clientId, undefined, authenticationBy(clientSecret), {
      timeout: ANSWER_WITHIN_SECONDS,
      execute: [
        // The signature is verified besides the connection that the ID token came over.
        enableNonRepudiationChecks,
        // Of this machine, see `issuerUrl`.
        ...(this.#url.protocol === 'http:' ? [allowInsecureRequests] : []),
      ],
    });
    found.catch(() => setTimeout(() => (this.#configuration = undefined), AWAY_FOR_MS).unref());
    return found;
  }

  #personOf(claims: IDToken): Person {
    const { id, claims: places, operators, tenant, operatorTenants } = this.#settings;
    if (claims.sub.length > LONGEST_SUBJECT)
      throw new SignInRefusal(
        'failed',
        `the sub of the ID token has more than ${LONGEST_SUBJECT} characters`,
      );
    const roles = namesIn(claimAt(claims, stepsOf(places.roles ?? 'roles')));
    const home = this.#tenantOf(claims);
    const grants = highest(roles.flatMap((role) => this.#grantsFor(role, home)));
    if (grants.length === 0)
      throw new SignInRefusal(
        'noRole',
        `${claims.sub} has no role here (it has ${roles.join(', ') || 'none'})`,
      );
    const named = places.name === undefined ? ['preferred_username', 'upn', 'email'] : [places.name];
    const said = firstText(named.map((place) => claimAt(claims, stepsOf(place)))) ?? claims.sub;
    // Names of accounts that are kept here have no `@`: nobody is taken for one of them.
    const name = said.includes('@') ? said : `${said}@${id}`;
    return {
      kind: 'issuer',
      id: `${id}:${claims.sub}`,
      name,
      displayName: firstText([claimAt(claims, stepsOf(places.displayName ?? 'name'))]) ?? said,
      grants,
      // Whoever administers a tenant gives its people their roles: only of the named ones may they operate all.
      operates:
        roles.some((role) => operators.includes(role)) &&
        (tenant !== undefined ||
          home === null ||
          operatorTenants?.some((one) => one.toLowerCase() === home) === true),
      mustChangePassword: false,
    };
  }

  /** Null: roles name their tenants. */
  #tenantOf(claims: IDToken): string | null {
    const { tenant, tenantClaim, tenants = [] } = this.#settings;
    if (tenantClaim === undefined) return tenant?.toLowerCase() ?? null;
    const named = tenantIdOf(claimAt(claims, stepsOf(tenantClaim)));
    if (named === null || !tenants.some((one) => one.toLowerCase() === named))
      throw new SignInRefusal('noRole', `${claims.sub} is of a tenant that is not accepted here`);
    return named;
  }

  #grantsFor(name: string, home: string | null): readonly Grant[] {
    const { roles } = this.#settings;
    const to =
      roles === undefined
        ? TENANT_ROLES.find((role) => role === name)
        : Object.hasOwn(roles, name)
          ? roles[name]
          : undefined;
    if (to === undefined) return [];
    if (typeof to !== 'string') return to.map(({ tenant, role }) => ({ tenantId: tenant, role }));
    return home === null ? [] : [{ tenantId: home, role: to }];
  }
}

function checked(settings: ConsoleIssuerSettings, key: string): URL {
  const { id, issuer, scopes, tenant, tenantClaim, tenants, roles, operators, operatorTenants } = settings;
  const url = issuerUrl(issuer);
  if (url === null || url.search !== '')
    throw new ConfigurationError(
      `${key}.issuer has to be an https address without credentials and query (http on this machine only), not ${JSON.stringify(issuer)}`,
    );
  // Its people would be taken for those who have accounts here.
  if (id === LOCAL)
    throw new ConfigurationError(
      `${key}.id must not be "${LOCAL}", which the accounts that are kept here go by`,
    );
  if (!scopes.includes('openid')) throw new ConfigurationError(`${key}.scopes has to have openid in it`);
  if (tenant !== undefined && (tenantClaim !== undefined || tenants !== undefined))
    throw new ConfigurationError(`${key}.tenant does not go with tenantClaim or tenants: choose one way`);
  if ((tenantClaim === undefined) !== (tenants === undefined))
    throw new ConfigurationError(
      `${key}.tenantClaim and tenants belong together: the claim, and the GUIDs it may name`,
    );
  const mapped = Object.values(roles ?? {});
  const isHomeNeeded = roles === undefined || mapped.some((to) => typeof to === 'string');
  if (isHomeNeeded && tenant === undefined && tenantClaim === undefined)
    throw new ConfigurationError(
      `${key}.tenant is missing: the GUID of the tenant that roles are for; or tenantClaim and tenants, or a tenant with each role`,
    );
  // Its administrators could give their people roles in other tenants.
  if (tenantClaim !== undefined && mapped.some((to) => typeof to !== 'string'))
    throw new ConfigurationError(`${key}.roles must not name tenants where tenantClaim does`);
  if (tenantClaim !== undefined && operators.length > 0 && operatorTenants === undefined)
    throw new ConfigurationError(
      `${key}.operatorTenants is missing: the tenants of tenantClaim whose people may operate the installation`,
    );
  return url;
}

/** As the issuer takes it; what it does not say is by OIDC's default, HTTP Basic. */
function authenticationBy(secret: string | null): ClientAuth {
  // oxlint-disable-next-line security/detect-possible-timing-attacks -- whether there is one
  if (secret === null) return None();
  const [post, basic] = [ClientSecretPost(secret), ClientSecretBasic(secret)];
  return (server, client, body, headers) => {
    const takesPost = server.token_endpoint_auth_methods_supported?.includes('client_secret_post') === true;
    return (takesPost ? post : basic)(server, client, body, headers);
  };
}

/** The codes and the claims are the issuer's and the person's: of those, only what is told here gets into the log. */
function refusalOf(cause: unknown): SignInRefusal {
  if (cause instanceof SignInRefusal) return cause;
  if (cause instanceof AuthorizationResponseError)
    return new SignInRefusal('refused', `the issuer answered ${cause.error}`, { cause });
  if (cause instanceof ResponseBodyError)
    return new SignInRefusal('failed', `the code was not taken: ${cause.error}`, { cause });
  if (cause instanceof ClientError)
    return new SignInRefusal('failed', `the answer is not as it has to be: ${cause.code ?? cause.message}`, {
      cause,
    });
  return new SignInRefusal('unavailable', 'the issuer does not answer', { cause });
}

/** One for each tenant. */
function highest(grants: readonly Grant[]): readonly Grant[] {
  const rank = ({ role }: Grant): number => TENANT_ROLES.indexOf(role);
  const byTenant = new Map<string, Grant>();
  for (const { tenantId, role } of grants) {
    const grant = { tenantId: tenantId.toLowerCase(), role };
    const before = byTenant.get(grant.tenantId);
    if (before === undefined || rank(before) < rank(grant)) byTenant.set(grant.tenantId, grant);
  }
  return [...byTenant.values()];
}

function firstText(values: readonly unknown[]): string | undefined {
  return values
    .filter((value): value is string => typeof value === 'string')
    .map((value) => value.replaceAll(/\p{C}/gu, '').slice(0, LONGEST_NAME))
    .find((value) => value !== '');
}
