import { RateLimiterMemory } from 'rate-limiter-flexible';
import { networkOf } from './network-of.js';
import { OAuthError } from './oauth-error.js';

/** Per minute: of one client from one address, and from one address altogether. */
const OF_CLIENT = 10;
const OF_ADDRESS = 60;
const WINDOW_SECONDS = 60;

/**
 * Counts failed attempts to authenticate, per process. It refuses nobody who has the right secret on account of
 * others who have not: a secret of 256 bits is not guessed, while a limit that locks out would let anyone stop any
 * application whose client id is known, and, behind a proxy, all of them. Only those who know how a secret begins,
 * and make us compute hashes for nothing, are stopped before that.
 */
export class FailedAttempts {
  readonly #ofClient = new RateLimiterMemory({ points: OF_CLIENT, duration: WINDOW_SECONDS });
  readonly #hashesOfClient = new RateLimiterMemory({ points: OF_CLIENT, duration: WINDOW_SECONDS });
  readonly #ofAddress = new RateLimiterMemory({ points: OF_ADDRESS, duration: WINDOW_SECONDS });

  /**
   * Counts one. The caller answers with what it gets: the failure itself, or, past the limit, a 429 with how long
   * to wait.
   */
  async failed(clientId: string, address: string, failure: OAuthError): Promise<OAuthError> {
    try {
      // The address first: past its limit, made-up client ids take no memory.
      await this.#ofAddress.consume(networkOf(address));
      await this.#ofClient.consume(placeOf(clientId, address));
      return failure;
    } catch (exceeded) {
      return tooMany(exceeded);
    }
  }

  /** Counts a hash that was computed for a wrong secret of a client there is. */
  async hashed(clientId: string, address: string): Promise<void> {
    await this.#hashesOfClient.penalty(placeOf(clientId, address));
  }

  /** The 429 for a client that cost too many hashes from this address; null while it may try. */
  async exceeded(clientId: string, address: string): Promise<OAuthError | null> {
    const state = await this.#hashesOfClient.get(placeOf(clientId, address));
    return state !== null && state.consumedPoints >= OF_CLIENT ? tooMany(state) : null;
  }
}

function tooMany(state: unknown): OAuthError {
  if (!(typeof state === 'object' && state !== null && 'msBeforeNext' in state)) throw state as Error;
  const retryAfterSeconds = Math.max(1, Math.ceil(Number(state.msBeforeNext) / 1000));
  return new OAuthError(
    'temporarily_unavailable',
    `Too many failed attempts to authenticate. Correct the client id and secret, and try again in ${retryAfterSeconds} s.`,
    { status: 429, retryAfterSeconds },
  );
}

function placeOf(clientId: string, address: string): string {
  return `${clientId.slice(0, 64)} ${networkOf(address)}`;
}
