import { BulkheadRejectedError, bulkhead } from 'cockatiel';
import type { Application, ApplicationDirectory } from '#domain';
import type { BuiltinIssuer } from './builtin-issuer.js';
import { candidatesFor, isSecretOf } from './client-secret.js';
import { FailedAttempts } from './failed-attempts.js';
import { OAuthError } from './oauth-error.js';
import { SCOPE, type TokenForm } from './token-form.js';

/** Hashes computed at once: each takes 16 MiB and one of libuv's four threads, which files and DNS need, too. */
const HASHES_AT_ONCE = 2;
const HASHES_WAITING = 20;

/** The answer of RFC 6749 §5.1. */
export interface TokenAnswer {
  readonly token_type: 'Bearer';
  /** Seconds. */
  readonly expires_in: number;
  /** Entra's; the same as `expires_in`. */
  readonly ext_expires_in: number;
  readonly access_token: string;
  /** Only where the request named none. */
  readonly scope?: string;
}

/** Gives applications their tokens for their secrets (RFC 6749 §4.4). */
export class ClientCredentials {
  readonly #applications: ApplicationDirectory;
  readonly #issuer: BuiltinIssuer;
  readonly #failures = new FailedAttempts();
  readonly #hashing = bulkhead(HASHES_AT_ONCE, HASHES_WAITING);

  constructor(applications: ApplicationDirectory, issuer: BuiltinIssuer) {
    this.#applications = applications;
    this.#issuer = issuer;
  }

  /**
   * @param tenantId of the path, null where it names none; small letters
   * @param address of the caller, for the limit on failures
   * @throws OAuthError
   * @throws OperationalError without a database
   */
  async grant(form: TokenForm, tenantId: string | null, address: string): Promise<TokenAnswer> {
    const application = await this.#authenticate(form, tenantId, address);
    const { token, expiresInSeconds } = await this.#issuer.issueFor(application);
    return {
      token_type: 'Bearer',
      expires_in: expiresInSeconds,
      ext_expires_in: expiresInSeconds,
      access_token: token,
      ...(form.scope === null ? { scope: SCOPE } : {}),
    };
  }

  async #authenticate(form: TokenForm, tenantId: string | null, address: string): Promise<Application> {
    const { clientSecret, byHeader } = form;
    const clientId = form.clientId.toLowerCase();
    const refused = async (message: string): Promise<OAuthError> =>
      this.#failures.failed(
        clientId,
        address,
        new OAuthError('invalid_client', message, { challenge: byHeader }),
      );
    const application = GUID.test(clientId) ? await this.#applications.find(clientId) : null;
    // One answer for all of these: whoever has no secret learns nothing about applications.
    if (application === null || (tenantId !== null && application.tenantId !== tenantId))
      throw await refused(NO_CLIENT);
    const candidates = candidatesFor(clientSecret, application.secrets);
    if (candidates.length === 0) throw await refused(NO_CLIENT);
    // From here on it costs: a guess does not come this far, who has seen the hint does.
    const exceeded = await this.#failures.exceeded(clientId, address);
    if (exceeded !== null) throw exceeded;
    for (const secret of candidates) {
      if (!(await this.#hashed(() => isSecretOf(clientSecret, secret)))) continue;
      if (secret.expiresAt !== null && secret.expiresAt.getTime() <= Date.now())
        throw await refused(`The client secret ${secret.id} has expired. Make a new one.`);
      if (application.disabledAt !== null)
        throw new OAuthError('unauthorized_client', 'The application was revoked; it gets no tokens.');
      return application;
    }
    throw await refused(NO_CLIENT);
  }

  async #hashed(check: () => Promise<boolean>): Promise<boolean> {
    try {
      return await this.#hashing.execute(check);
    } catch (cause) {
      if (!(cause instanceof BulkheadRejectedError)) throw cause;
      throw new OAuthError('temporarily_unavailable', 'Too many tokens are asked for at once.', {
        status: 429,
        retryAfterSeconds: 1,
        cause,
      });
    }
  }
}

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const NO_CLIENT =
  'The tenant has no such application, or the client secret is not one of its secrets (a secret begins with rps_).';
