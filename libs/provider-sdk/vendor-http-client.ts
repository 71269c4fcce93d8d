import { madeOf } from './vendor-http-origin.js';
import type { NetworkPolicy, VendorHttp } from './vendor-http.js';

/** Of what a plugin's way to the vendor is made. */
export interface VendorHttpOptions {
  readonly network: NetworkPolicy;
  /** The call that the requests are part of. */
  readonly signal: AbortSignal;
  /** Waited for before each request. @throws where the vendor may not be called now */
  readonly spend: (signal: AbortSignal) => Promise<void>;
  /** Values that never appear in an error. */
  readonly secrets: readonly string[];
}

/** The way to the vendor for one call of a plugin. */
export function vendorHttp(options: VendorHttpOptions): VendorHttp {
  const http: VendorHttp = {
    request: async () => {
      await options.spend(options.signal);
      throw new Error('not built yet');
    },
  };
  return madeOf(http, options);
}
