/** The outside issuers as configured: `auth.issuers` of riposte.config.yaml, where each key is described. */

import type { ClaimPath } from './claims.js';

/** What is said of an issuer of any kind. */
interface CommonSettings {
  /** The `aud` of tokens for Riposte; one of them is enough. */
  readonly audience: string | readonly string[];
  /** True: tokens without `idtyp: app` are refused. Default false. */
  readonly requireIdtyp?: boolean | undefined;
  /** The issuer's role names to ours. Default: its roles are named as ours. */
  readonly roles?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** The tenants whose applications may have `Riposte.Operator`. */
  readonly operatorTenants?: readonly string[] | undefined;
}

export interface EntraSettings extends CommonSettings {
  readonly type: 'entra';
  /** GUIDs, or `*` for every tenant there is. */
  readonly tenants: readonly string[];
  /** Default `https://login.microsoftonline.com`. */
  readonly authority?: string | undefined;
  /** `iss` of v1 tokens. Default `https://sts.windows.net/{tenantid}/`. */
  readonly v1Issuer?: string | undefined;
}

/** How to see that a token is an application's, and no user's. */
export type AppOnlyRule =
  /** `sub` is the application: RFC 9068, section 2.2. */
  | 'subject'
  /** The issuer gives tokens to applications only. */
  | 'always'
  /** A claim has a value. */
  | { readonly claim: ClaimPath; readonly value: string };

export interface OidcSettings extends CommonSettings {
  readonly type: 'oidc' | 'keycloak';
  /** `iss` of its tokens, exactly; discovery is below it. */
  readonly issuer: string;
  /** The tenant all its tokens speak for. Either this, or `tenantClaim` with `tenants`. */
  readonly tenant?: string | undefined;
  readonly tenantClaim?: ClaimPath | undefined;
  readonly tenants?: readonly string[] | undefined;
  readonly claims?:
    | {
        readonly app?: ClaimPath | undefined;
        readonly user?: ClaimPath | undefined;
        readonly roles?: ClaimPath | undefined;
      }
    | undefined;
  /** Default `subject`. Of type `oidc` only: Keycloak's service accounts are known by Keycloak's own claims. */
  readonly appOnly?: AppOnlyRule | undefined;
}

export type IssuerSettings = EntraSettings | OidcSettings;
