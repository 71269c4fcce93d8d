import { createHash } from 'node:crypto';
import { TokenCache, Type, type InstanceContext, type KeptToken } from '#provider-sdk';
import { endpointsOf, type DefenderSettings } from './settings.js';

type Context = InstanceContext<DefenderSettings>;

/** An access token with what it says of itself. */
export interface AccessToken {
  readonly value: string;
  /** Application permissions that an administrator consented to; null where the token cannot be read. */
  readonly roles: readonly string[] | null;
}

/** Tokens live an hour; one is renewed this long before its end, or after half its life where that is short. */
const RENEW_EARLY_MS = 300_000;
const DEFAULT_LIFE_S = 3599;

const answerSchema = Type.Object({
  access_token: Type.String({ pattern: '^[\\x21-\\x7e]+$' }),
  expires_in: Type.Optional(Type.Union([Type.Number(), Type.String()])),
});

/** Access tokens by OAuth 2.0 client credentials, kept in memory per instance, login host, tenant, client and scope. */
export class AccessTokens {
  readonly #cache = new TokenCache<AccessToken>();

  /**
   * The kept token, or a new one; calls at the same time ask once.
   * @throws ProviderError `auth` saying which of tenant, application and secret is wrong and what to do
   */
  get(context: Context): Promise<AccessToken> {
    return this.#cache.get(keyOf(context), context.signal, () => ask(context));
  }

  /** Drops a token that was refused, unless it has been replaced meanwhile. */
  forget(context: Context, refused: AccessToken): void {
    this.#cache.forget(keyOf(context), ({ value }) => value === refused.value);
  }
}

async function ask(context: Context): Promise<KeptToken<AccessToken>> {
  const { login, scope } = endpointsOf(context.settings);
  const { tenantId, clientId } = context.settings;
  const { body } = await context.http.request({
    method: 'POST',
    url: `${login}/${encodeURIComponent(tenantId)}/oauth2/v2.0/token`,
    form: {
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: context.secrets['clientSecret'] ?? '',
      scope,
    },
    changes: false,
    answer: answerSchema,
    classify: ({ status, body: refusal }) =>
      status >= 400 && status < 500 && status !== 429 && status !== 408
        ? { errorClass: 'auth', message: whyRefused(refusal, context) }
        : undefined,
  });
  const token = { value: body.access_token, roles: rolesIn(body.access_token) };
  const seconds = Number(body.expires_in ?? DEFAULT_LIFE_S);
  const lifeMs = seconds * 1000;
  return { token, until: Date.now() + lifeMs - Math.min(RENEW_EARLY_MS, lifeMs / 2) };
}

/** Two instances never share a token, and one with another secret or other settings starts anew. */
function keyOf({ instance, settings, secrets }: Context): string {
  const { login, scope } = endpointsOf(settings);
  const secret = secrets['clientSecret'] ?? '';
  return createHash('sha256')
    .update(JSON.stringify([instance, login, settings.tenantId, settings.clientId, scope, secret]))
    .digest('hex');
}

/** Entra's codes, see https://learn.microsoft.com/entra/identity-platform/reference-error-codes. */
function whyRefused(body: unknown, { instance, settings }: Context): string {
  const { tenantId, clientId } = settings;
  const code = entraCode(body);
  const secret = `providers[${instance}].secrets.clientSecret`;
  const where = 'Entra admin center > App registrations > Certificates & secrets';
  switch (code) {
    case 7000215:
      return `Entra ID refused the client secret of application ${clientId} as wrong (AADSTS7000215). Put the secret's value, not its id, where ${secret} points, and restart the workers.`;
    case 7000222:
      return `The client secret of application ${clientId} has expired (AADSTS7000222). Make a new one in ${where}, put it where ${secret} points, and restart the workers.`;
    case 700016:
      return `Application ${clientId} is not in tenant ${tenantId} (AADSTS700016). Check settings.clientId and settings.tenantId: the app registration has to be in that tenant, or an administrator of it has to consent to it.`;
    case 90002:
    case 900023:
      return `Entra ID knows no tenant ${tenantId} (AADSTS${code}). Check settings.tenantId, and settings.cloud for a tenant of a government cloud.`;
    default:
      return `Entra ID refused a token to application ${clientId} of tenant ${tenantId}${code === null ? '' : ` (AADSTS${code})`}. Check settings.tenantId, settings.clientId, settings.scope and ${secret}.`;
  }
}

function entraCode(body: unknown): number | null {
  if (typeof body !== 'object' || body === null) return null;
  const { error_codes: codes, error_description: description } = body as Readonly<Record<string, unknown>>;
  const [listed] = Array.isArray(codes) ? (codes as readonly unknown[]) : [];
  if (typeof listed === 'number' && Number.isSafeInteger(listed)) return listed;
  const told = /AADSTS(\d{4,9})/.exec(typeof description === 'string' ? description : '')?.[1];
  return told === undefined ? null : Number(told);
}

/** Not verified: it is the API that does; here they only make messages better. */
function rolesIn(token: string): readonly string[] | null {
  const [, payload] = token.split('.');
  if (payload === undefined) return null;
  try {
    const { roles } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { roles?: unknown };
    if (roles === undefined) return [];
    return Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : null;
  } catch {
    return null;
  }
}
