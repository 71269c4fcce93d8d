import { OAuthError } from './oauth-error.js';

/** A token request that is well formed: who asks, and how it said so. */
export interface TokenForm {
  readonly clientId: string;
  readonly clientSecret: string;
  /** True: by HTTP Basic. */
  readonly byHeader: boolean;
  /** Null: none was given. */
  readonly scope: string | null;
}

/** The one scope there is, by any name a client library makes up for it, see {@link parseTokenForm}. */
export const SCOPE = 'api://riposte/.default';
const SCOPE_FORM = /^[^\s/][^\s]*\/\.default$/;
const GRANT_TYPE = 'client_credentials';

/**
 * Reads a request for a token by client credentials (RFC 6749 §4.4). The client authenticates by HTTP Basic or in
 * the body, not both. `scope` may be left out, or be one `<resource>/.default`, whatever the resource: some client
 * libraries derive it from the API's address, and all of an application's roles are granted in any case.
 *
 * @param body `application/x-www-form-urlencoded`
 * @param authorization the request's header of that name
 * @throws OAuthError
 */
export function parseTokenForm(body: string, authorization: string | undefined): TokenForm {
  const form = fieldsOf(body);
  const grantType = form.get('grant_type');
  if (grantType === undefined) throw missing('grant_type');
  if (grantType !== GRANT_TYPE) {
    throw new OAuthError(
      'unsupported_grant_type',
      `The grant_type "${shown(grantType)}" is not supported: applications get their tokens by ${GRANT_TYPE}.`,
    );
  }
  const client = authorization === undefined ? inBody(form) : byHeader(authorization, form);
  const scope = form.get('scope') ?? null;
  if (scope !== null && !SCOPE_FORM.test(scope)) {
    throw new OAuthError(
      'invalid_scope',
      `The scope "${shown(scope)}" is not known: ask for ${SCOPE}, or for none; the roles come from the application.`,
    );
  }
  return { ...client, scope };
}

/** Without what was sent empty, which counts as left out; nothing may come twice (RFC 6749 §3.2). */
function fieldsOf(body: string): ReadonlyMap<string, string> {
  const form = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(body)) {
    if (value === '') continue;
    if (form.has(name))
      throw new OAuthError('invalid_request', `The parameter "${shown(name)}" was sent twice.`);
    form.set(name, value);
  }
  return form;
}

function inBody(form: ReadonlyMap<string, string>) {
  const clientId = form.get('client_id');
  const clientSecret = form.get('client_secret');
  if (clientId === undefined) throw missing('client_id');
  if (clientSecret === undefined) {
    throw form.has('client_assertion')
      ? new OAuthError(
          'invalid_client',
          'A client_assertion is not supported: authenticate by a client secret.',
        )
      : missing('client_secret');
  }
  return { clientId, clientSecret, byHeader: false };
}

function byHeader(authorization: string, form: ReadonlyMap<string, string>) {
  if (form.has('client_secret'))
    throw new OAuthError('invalid_request', 'Authenticate by the header or by client_secret, not by both.');
  const credentials = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1];
  const [, name, password] =
    /^([^:]+):(.+)$/s.exec(Buffer.from(credentials ?? '', 'base64').toString('utf8')) ?? [];
  const clientId = formDecoded(name);
  const clientSecret = formDecoded(password);
  if (clientId === null || clientSecret === null) {
    throw new OAuthError(
      'invalid_client',
      'The Authorization header has to be HTTP Basic, with the client id as name and the client secret as password.',
      { challenge: true },
    );
  }
  if (form.has('client_id') && form.get('client_id') !== clientId)
    throw new OAuthError('invalid_request', 'client_id is another one than that of the header.');
  return { clientId, clientSecret, byHeader: true };
}

/** Both are form-encoded before they are put into the header (RFC 6749 §2.3.1). */
function formDecoded(text: string | undefined): string | null {
  try {
    return text === undefined ? null : decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return null;
  }
}

function missing(parameter: string): OAuthError {
  return new OAuthError('invalid_request', `The parameter "${parameter}" is missing.`);
}

/** What a caller sent, in the characters that RFC 6749 §5.2 allows a description. */
function shown(text: string): string {
  return text.replaceAll(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '?').slice(0, 100);
}
