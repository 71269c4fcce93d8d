import { Type, compileSchema, describeSchemaError, schemaProblems, type Static } from '#provider-sdk';
import { GUID } from './guid.js';

const tenant = Type.String({ pattern: GUID });
const tenants = Type.Array(Type.String({ pattern: `^\\*$|${GUID}` }), { minItems: 1 });
const name = Type.String({ minLength: 1 });
const url = Type.String({ minLength: 1 });
const oneOrMore = Type.Union([name, Type.Array(name, { minItems: 1 })]);

const common = {
  audience: oneOrMore,
  requireIdtyp: Type.Optional(Type.Boolean()),
  roles: Type.Optional(Type.Record(Type.String(), oneOrMore)),
  operatorTenants: Type.Optional(Type.Array(tenant)),
};

const oidc = {
  ...common,
  issuer: url,
  tenant: Type.Optional(tenant),
  tenantClaim: Type.Optional(oneOrMore),
  tenants: Type.Optional(tenants),
  claims: Type.Optional(
    Type.Object(
      {
        app: Type.Optional(oneOrMore),
        user: Type.Optional(oneOrMore),
        roles: Type.Optional(oneOrMore),
      },
      { additionalProperties: false },
    ),
  ),
};

const closed = { additionalProperties: false };

/** Per type, so that a message is about the type that was meant. */
const SCHEMAS = {
  entra: Type.Object(
    {
      type: Type.Literal('entra'),
      ...common,
      tenants,
      authority: Type.Optional(url),
      v1Issuer: Type.Optional(url),
    },
    closed,
  ),
  keycloak: Type.Object({ type: Type.Literal('keycloak'), ...oidc }, closed),
  oidc: Type.Object(
    {
      type: Type.Literal('oidc'),
      ...oidc,
      appOnly: Type.Optional(
        Type.Union([
          Type.Enum(['subject', 'always']),
          Type.Object({ claim: oneOrMore, value: Type.String() }, closed),
        ]),
      ),
    },
    closed,
  ),
};

type IssuerConfig = Static<(typeof SCHEMAS)[keyof typeof SCHEMAS]>;

/** `auth` of the configuration. What else an issuer has to be, {@link issuerProblems} tells. */
export const authSchema = Type.Object(
  {
    builtin: Type.Optional(Type.Boolean()),
    issuers: Type.Array(
      Type.Unsafe<IssuerConfig>(Type.Object({ type: Type.Enum(['entra', 'keycloak', 'oidc']) })),
      { default: [] },
    ),
  },
  closed,
);

/** What is wrong with the issuers, each naming its key; none where all is well. */
export function issuerProblems(issuers: readonly IssuerConfig[]): readonly string[] {
  return issuers.flatMap((issuer, index) => {
    const validate = compileSchema(SCHEMAS[issuer.type]);
    if (validate(issuer)) return [];
    return schemaProblems(validate).map((problem) => describeSchemaError(problem, `auth.issuers.${index}`));
  });
}

/** True where the built-in issuer's tokens are accepted: on without an outside issuer, and off with one unless turned on. */
export function usesBuiltinIssuer({
  auth,
}: {
  readonly auth?: Static<typeof authSchema> | undefined;
}): boolean {
  return auth?.builtin ?? (auth?.issuers ?? []).length === 0;
}
