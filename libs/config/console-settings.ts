import { ConfigurationError } from '#domain';
import { Type, type Static } from '#provider-sdk';
import { GUID } from './guid.js';
import { resolveSecrets } from './secrets.js';

const closed = { additionalProperties: false };
const tenant = Type.String({ pattern: GUID });
const name = Type.String({ minLength: 1 });
const claim = Type.Union([name, Type.Array(name, { minItems: 1 })]);
const role = Type.Enum(['Viewer', 'Operator', 'Administrator']);

/** Who vouches for people, by OpenID Connect. */
const consoleIssuer = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$', examples: ['entra'] }),
    name,
    issuer: Type.String({ minLength: 1, examples: ['https://kc.example/realms/soc'] }),
    clientId: name,
    clientSecret: Type.Optional(
      Type.String({ pattern: '^(env|file):.+$', examples: ['env:CONSOLE_CLIENT_SECRET'] }),
    ),
    scopes: Type.Array(name, { default: ['openid', 'profile', 'email'] }),
    tenant: Type.Optional(tenant),
    tenantClaim: Type.Optional(claim),
    tenants: Type.Optional(Type.Array(tenant, { minItems: 1 })),
    claims: Type.Object(
      {
        name: Type.Optional(claim),
        displayName: Type.Optional(claim),
        roles: Type.Optional(claim),
      },
      { ...closed, default: {} },
    ),
    roles: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Union([role, Type.Array(Type.Object({ tenant, role }, closed), { minItems: 1 })]),
      ),
    ),
    operators: Type.Array(name, { default: [] }),
    operatorTenants: Type.Optional(Type.Array(tenant)),
  },
  closed,
);

/** `console` of the configuration. */
export const consoleSchema = Type.Object(
  {
    localAccounts: Type.Optional(Type.Boolean()),
    issuers: Type.Array(consoleIssuer, { default: [] }),
    session: Type.Object(
      {
        idleMinutes: Type.Number({ minimum: 0.01, maximum: 1440, default: 30 }),
        hours: Type.Number({ minimum: 0.001, maximum: 168, default: 12 }),
      },
      { ...closed, default: {} },
    ),
    plainHttp: Type.Boolean({ default: false }),
    firstTenant: Type.String({ pattern: GUID, default: '11111111-1111-4111-8111-111111111111' }),
    tenants: Type.Record(Type.String({ pattern: GUID }), Type.String({ minLength: 1, maxLength: 100 }), {
      ...closed,
      default: {},
    }),
    apps: Type.Record(Type.String({ pattern: GUID }), Type.String({ minLength: 1, maxLength: 100 }), {
      ...closed,
      default: {},
    }),
    queues: Type.Object({ writable: Type.Boolean({ default: false }) }, { ...closed, default: {} }),
  },
  { ...closed, default: {} },
);

type ConsoleConfig = Static<typeof consoleSchema>;

/** As `console: {}` reads. */
export const CONSOLE_DEFAULT: ConsoleConfig = {
  issuers: [],
  session: { idleMinutes: 30, hours: 12 },
  plainHttp: false,
  firstTenant: '11111111-1111-4111-8111-111111111111',
  tenants: {},
  apps: {},
  queues: { writable: false },
};

/** What the console calls tenants, by their ids in small letters. */
export function tenantNamesOf({ console }: { readonly console: ConsoleConfig }): ReadonlyMap<string, string> {
  return namesIn(console.tenants);
}

/** What the console calls applications, by their ids in small letters. */
export function appNamesOf({ console }: { readonly console: ConsoleConfig }): ReadonlyMap<string, string> {
  return namesIn(console.apps);
}

function namesIn(labels: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(Object.entries(labels).map(([id, label]) => [id.toLowerCase(), label]));
}

/** An issuer with its secret in place of the reference to it; null: it takes none. */
export type ConsoleIssuerConfig = Omit<ConsoleConfig['issuers'][number], 'clientSecret'> & {
  readonly clientSecret: string | null;
};

/** True where people sign in with accounts that are kept here: on without an outside issuer, and off with one unless turned on. */
export function usesLocalAccounts({ console }: { readonly console: ConsoleConfig }): boolean {
  return console.localAccounts ?? console.issuers.length === 0;
}

/**
 * The issuers that vouch for people, with their secrets.
 * @param env where references are looked up
 * @throws ConfigurationError for an id that is there twice, and for a secret that cannot be had
 */
export async function consoleIssuersOf(
  { console: { issuers } }: { readonly console: ConsoleConfig },
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly ConsoleIssuerConfig[]> {
  return Promise.all(
    issuers.map(async ({ clientSecret: reference, ...issuer }, index) => {
      const key = `console.issuers.${index}`;
      if (issuers.findIndex(({ id }) => id === issuer.id) !== index)
        throw new ConfigurationError(`${key}.id: "${issuer.id}" is there twice`);
      if (reference === undefined) return { ...issuer, clientSecret: null };
      const { clientSecret = '' } = await resolveSecrets(key, { clientSecret: reference }, env);
      return { ...issuer, clientSecret };
    }),
  );
}
