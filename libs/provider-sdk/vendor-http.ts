import type { Static, TSchema } from 'typebox';
import type { Json } from '#domain';
import type { ProviderErrorClass } from './errors.js';

/** A request to the vendor. */
export interface VendorRequest<Answer extends TSchema = TSchema> {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string | URL;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** At most one of `json`, `form` and `body`. */
  readonly json?: Json;
  readonly form?: Readonly<Record<string, string>>;
  readonly body?: string;
  /**
   * True where sending it may change something: then a failure after it may have arrived is `unknownOutcome`, and it is
   * not sent again. Default: true unless GET or HEAD.
   */
  readonly changes?: boolean;
  /** Statuses besides 2xx that are an answer and no failure. */
  readonly accept?: readonly number[];
  /** What the vendor's own errors mean, where its status does not say: from status and parsed body. */
  readonly classify?: (failure: {
    readonly status: number;
    readonly body: unknown;
  }) => { readonly errorClass: ProviderErrorClass; readonly message?: string } | undefined;
  /** JSON Schema of the answer's body. Another one is a failure: of a changing request, `unknownOutcome`. */
  readonly answer?: Answer;
  /**
   * Milliseconds from its first sending until it has been answered whole. Default 30,000, of which the answer has to
   * begin within 10,000.
   */
  readonly timeoutMs?: number;
  /** Bytes of the answer's body, after inflating. Default 1 MiB. */
  readonly maxBytes?: number;
}

export interface VendorResponse<Answer extends TSchema = TSchema> {
  readonly status: number;
  /** Names in lower case; of several of one name, joined by comma. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** The parsed body, checked where a schema was given; null where it is empty or no JSON. */
  readonly body: Static<Answer>;
}

/** The way to the vendor. */
export interface VendorHttp {
  /**
   * Sends a request within the vendor's quota. What may pass and cannot have changed anything is sent again, within
   * its time: a connection that was never made, and for requests that change nothing also 502, 503, 504 and broken
   * connections. Redirects are not followed.
   *
   * @throws ProviderError by class: `rateLimited` for 429 (with the vendor's `Retry-After`), `auth` 401, `permission`
   *   403, `targetNotFound` 404, `conflict` 409, `capacity` 507, `invalidInput` for other 4xx but 408 and 425;
   *   `transient` for 503 with `Retry-After`; `unreachable` where nothing was sent; `permanent` for a request that is not
   *   sent at all, because its address is not open to the instance or it is not well formed; `transient`, or
   *   `unknownOutcome` where it may have changed something, for the rest
   * @throws the signal's `StopRequested` when the call was asked to stop and nothing can have changed
   */
  request<Answer extends TSchema = TSchema>(request: VendorRequest<Answer>): Promise<VendorResponse<Answer>>;
}

/** Where calls to a vendor may go, and whom they trust there. Public addresses over TLS always; what else, the operator says. */
export interface NetworkPolicy {
  /** Private, loopback or otherwise special addresses that may be called, as CIDR. Plain http goes to these only. */
  readonly allow: readonly string[];
  /** Ports besides 443; to allowed addresses any. */
  readonly ports: readonly number[];
  /**
   * PEM of the certificates that vouch for the vendor, of authorities or the vendor's own: these and no others. Default:
   * the authorities that Node.js trusts.
   */
  readonly ca?: string;
  /** What a vendor that asks for a certificate is shown, in PEM. Default: none. */
  readonly client?: ClientCertificate;
}

/** A certificate, with those between it and its authority, and its key without a passphrase; both in PEM. */
export interface ClientCertificate {
  readonly certificate: string;
  readonly key: string;
}
