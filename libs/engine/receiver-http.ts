import { createHmac } from 'node:crypto';
import {
  AddressRefused,
  ProviderError,
  vendorHttp,
  type NetworkPolicy,
  type VendorHttp,
  type VendorHttpOptions,
} from '#provider-sdk';

/** Milliseconds beyond a request's own bound after which it is ended from outside. */
const MARGIN_MS = 1000;
const ANSWERED_WITHIN_MS = 10_000;
const MOST_ANSWER_BYTES = 65_536;

/** Where notifications may go, and how names are found there. */
export interface ReceiverNetwork {
  readonly policy: NetworkPolicy;
  /** Default: by the system. */
  readonly resolve?: VendorHttpOptions['resolve'];
}

/**
 * For one request to an address that a subscriber gave: guarded as a plugin's calls are, and bound by no vendor's quota.
 * @param withinMs milliseconds that the request is given
 * @param secrets texts that are to stand in no error
 */
export function receiverHttp(
  { policy, resolve }: ReceiverNetwork,
  withinMs: number,
  secrets: readonly string[] = [],
): VendorHttp {
  return vendorHttp({
    network: policy,
    signal: AbortSignal.timeout(withinMs + MARGIN_MS),
    spend: () => Promise.resolve(),
    secrets,
    ...(resolve === undefined ? {} : { resolve }),
  });
}

/** What is delivered. */
export interface Post {
  readonly url: string;
  /** JSON. */
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Null: it goes unsigned. */
  readonly signingSecret: string | null;
  /** Besides address and signing secret, what is to stand in no error. */
  readonly secrets: readonly string[];
}

/**
 * Delivers it, signed at this time.
 * @throws ProviderError where it was not taken by a 2xx in 10 seconds
 */
export async function deliver(network: ReceiverNetwork, post: Post, now: Date): Promise<void> {
  const { url, body, headers, signingSecret, secrets } = post;
  const told = [url, ...(signingSecret === null ? [] : [signingSecret]), ...secrets];
  const request = {
    method: 'POST',
    url,
    headers: {
      'content-type': 'application/json',
      ...headers,
      ...(signingSecret === null ? {} : { 'x-riposte-signature': signatureOf(signingSecret, body, now) }),
    },
    body,
    timeoutMs: ANSWERED_WITHIN_MS,
    maxBytes: MOST_ANSWER_BYTES,
  } as const;
  try {
    await receiverHttp(network, ANSWERED_WITHIN_MS, told).request(request);
  } catch (error) {
    // It was taken, whatever else the answer has: too much to read, say.
    if (!(error instanceof ProviderError && isSuccess(error.httpStatus))) throw error;
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299;
}

function signatureOf(secret: string, body: string, now: Date): string {
  const t = String(Math.floor(now.getTime() / 1000));
  return `t=${t},v1=${createHmac('sha256', secret).update(`${t}.${body}`).digest('hex')}`;
}

/** Why, for who operates it: of an address that may not be called also what it stands for. */
export function refusalOf(error: ProviderError): string {
  if (error instanceof AddressRefused) return error.message.replaceAll('network.', 'notifications.network.');
  return isUnreachable(error) ? 'The receiver cannot be reached.' : problemOf(error);
}

/**
 * Why it was not delivered. Of the receiver's own words nothing: they are a stranger's. That a name stands for what may
 * not be called is told as if it could not be reached, or whoever names one learns which names there are inside.
 */
export function problemOf(error: ProviderError): string {
  if (error.httpStatus > 0) return `The receiver answered with HTTP ${error.httpStatus}.`;
  if (isRefusedAsWritten(error)) return 'The address may not be called (notifications.network).';
  return isUnreachable(error)
    ? 'The receiver cannot be reached, or may not be called (notifications.network).'
    : 'The receiver did not answer in time, or broke the connection.';
}

/** Whether an address is refused for how it is written, whatever its name stands for. */
export function isRefusedAsWritten(error: ProviderError): boolean {
  return error instanceof AddressRefused && error.errorClass === 'permanent';
}

function isUnreachable({ httpStatus, errorClass }: ProviderError): boolean {
  return httpStatus === 0 && errorClass === 'unreachable';
}
