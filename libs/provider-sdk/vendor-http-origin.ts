import type { VendorHttpOptions } from './vendor-http-client.js';
import type { VendorHttp } from './vendor-http.js';

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
