import { isGuid, type Application, type ApplicationDirectory, type ApplicationSecret } from '#domain';
import type { BuiltinIssuer } from './builtin-issuer.js';
import { candidatesFor } from './client-secret.js';
import { FailedAttempts } from './failed-attempts.js';
import { OAuthError } from './oauth-error.js';
import { SecretProofs } from './secret-proofs.js';
import { SCOPE, type TokenForm } from './token-form.js';

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
  readonly #before: (application: Application, address: string) => Promise<void>;
  readonly #failures = new FailedAttempts();
  readonly #proofs = new SecretProofs();

  /** @param before each token: where it rejects none is given */
  constructor(
    applications: ApplicationDirectory,
    issuer: BuiltinIssuer,
    before: (application: Application, address: string) => Promise<void>,
  ) {
    this.#applications = applications;
    this.#issuer = issuer;
    this.#before = before;
  }

  /**
   * @param tenantId of the path, null where it names none; small letters
   * @param address of the caller, for the limit on failures
   * @throws OAuthError
   * @throws OperationalError without a database; what `before` rejects with
   */
  async grant(form: TokenForm, tenantId: string | null, address: string): Promise<TokenAnswer> {
    const application = await this.#authenticate(form, tenantId, address);
    await this.#before(application, address);
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
    const application = isGuid(clientId) ? await this.#applications.find(clientId) : null;
    // One answer for all of these: whoever has no secret learns nothing about applications.
    if (application === null || (tenantId !== null && application.tenantId !== tenantId))
      throw await refused(NO_CLIENT);
    const candidates = candidatesFor(clientSecret, application.secrets);
    if (candidates.length === 0) throw await refused(NO_CLIENT);
    for (const secret of candidates) {
      if (!(await this.#isRight(clientSecret, secret, clientId, address))) continue;
      if (secret.expiresAt !== null && secret.expiresAt.getTime() <= Date.now())
        throw await refused(`The client secret ${secret.id} has expired. Make a new one.`);
      if (application.disabledAt !== null)
        throw new OAuthError('unauthorized_client', 'The application was revoked; it gets no tokens.');
      return application;
    }
    throw await refused(NO_CLIENT);
  }

  async #isRight(
    given: string,
    secret: ApplicationSecret,
    clientId: string,
    address: string,
  ): Promise<boolean> {
    if (!this.#proofs.knows(given, secret)) {
      // It costs a hash: a guess does not come this far, who has seen how a secret begins does.
      const exceeded = await this.#failures.exceeded(clientId, address);
      if (exceeded !== null) throw exceeded;
    }
    const isRight = await this.#proofs.isRight(given, secret);
    if (!isRight) await this.#failures.hashed(clientId, address);
    return isRight;
  }
}

const NO_CLIENT =
  'The tenant has no such application, or the client secret is not one of its secrets (a secret begins with rps_).';
