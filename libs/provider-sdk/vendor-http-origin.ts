import type { ResolveName } from './network-guard.js';
import type { NetworkPolicy, VendorHttp } from './vendor-http.js';

/** A request that is about to be sent. */
export interface SentRequest {
  readonly method: string;
  /** Its path may hold what is not to be shown. */
  readonly url: URL;
  /** How often it was sent before. */
  readonly resend: number;
}

/** What who watches a request does for it. */
export interface WatchedRequest {
  /** Sent along; they go before the plugin's own. */
  readonly headers: Readonly<Record<string, string>>;
  /** Called once: with the answer's status, or the class of the failure. Neither throws. */
  readonly ended: (answer: { readonly status?: number; readonly errorType?: string }) => void;
}

/** Of what a plugin's way to the vendor is made. */
export interface VendorHttpOptions {
  readonly network: NetworkPolicy;
  /** The call that the requests are part of. */
  readonly signal: AbortSignal;
  /**
   * Waited for before each request.
   * @param request what it is for, as `watch` is told then; a host whose plugin runs elsewhere may not know
   * @throws where the vendor may not be called now
   */
  readonly spend: (signal: AbortSignal, request?: SentRequest) => Promise<void>;
  /** Values that never appear in an error. */
  readonly secrets: readonly string[];
  /**
   * Told of each request before it is sent, for the host's traces: of the very object that `spend` was told of. Undefined:
   * this one is not watched. Default: none is.
   */
  readonly watch?: ((request: SentRequest) => WatchedRequest | undefined) | undefined;
  /** How names are resolved. Default: by the system. */
  readonly resolve?: ResolveName;
}

const origins = new WeakMap<VendorHttp, VendorHttpOptions>();

/** Notes of what a way to the vendor was made, for a host that has to make the like elsewhere. Returns it. */
export function madeOf(http: VendorHttp, options: VendorHttpOptions): VendorHttp {
  origins.set(http, options);
  return http;
}

/** Of what `vendorHttp` made it: a plugin in a process of its own gets one like it there. Null for any other. */
export function vendorHttpOrigin(http: VendorHttp): VendorHttpOptions | null {
  return origins.get(http) ?? null;
}
