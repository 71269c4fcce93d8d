import { createHash } from 'node:crypto';
import { ProviderError, TokenCache, type InstanceContext, type KeptToken } from '#provider-sdk';
import type { HttpDefinition } from './definition.js';
import { filledText, type Values } from './template.js';

type Grant = NonNullable<NonNullable<HttpDefinition['auth']>['clientCredentials']>;

/** A token is not used in its last minute, in which clocks and slow requests would have it refused. */
const MARGIN_MS = 60_000;
const DEFAULT_LIFE_S = 300;

/** Access tokens by OAuth 2.0 client credentials (RFC 6749 §4.4), kept per instance and credentials. */
export class AccessTokens {
  readonly #cache = new TokenCache<string>();

  /** The kept token, or a new one; calls at the same time ask once. */
  get(context: InstanceContext, grant: Grant, values: Values): Promise<string> {
    return this.#cache.get(keyOf(context), context.signal, () => ask(context, grant, values));
  }

  /** Drops the instance's token. @returns whether there was one */
  forget(context: InstanceContext): boolean {
    return this.#cache.forget(keyOf(context));
  }
}

async function ask(context: InstanceContext, grant: Grant, values: Values): Promise<KeptToken<string>> {
  const scope = grant.scope === undefined ? undefined : filledText(grant.scope, values);
  const { body } = await context.http.request({
    method: 'POST',
    url: filledText(grant.tokenUrl, values) ?? '',
    form: {
      grant_type: 'client_credentials',
      client_id: filledText(grant.clientId, values) ?? '',
      client_secret: context.secrets[grant.clientSecret] ?? '',
      ...(scope === undefined ? {} : { scope }),
    },
    changes: false,
    // RFC 6749 §5.2: wrong credentials are a 400 or a 401.
    classify: ({ status }) =>
      status === 400 || status === 401
        ? { errorClass: 'auth', message: 'The token endpoint refused the client credentials.' }
        : undefined,
  });
  const answer = (typeof body === 'object' && body !== null ? body : {}) as Readonly<Record<string, unknown>>;
  const { access_token: token, expires_in: life } = answer;
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))
    throw new ProviderError('transient', 'The token endpoint answered without an access_token.');
  const seconds = Number(life ?? DEFAULT_LIFE_S);
  return { token, until: Date.now() + seconds * 1000 - MARGIN_MS };
}

/** Two instances never share a token, and one with other secrets or settings starts anew. */
function keyOf({ instance, settings, secrets }: InstanceContext): string {
  return createHash('sha256')
    .update(JSON.stringify([instance, settings, secrets]))
    .digest('hex');
}
