import { vendorHttp, type NetworkPolicy, type VendorHttp } from '#provider-sdk';

/** Milliseconds beyond a request's own bound after which it is ended from outside. */
const MARGIN_MS = 1000;

/**
 * For one request to an address that a subscriber gave: guarded as a plugin's calls are, and bound by no vendor's quota.
 * @param withinMs milliseconds that the request is given
 * @param secrets texts that are to stand in no error
 */
export function receiverHttp(
  network: NetworkPolicy,
  withinMs: number,
  secrets: readonly string[] = [],
): VendorHttp {
  return vendorHttp({
    network,
    signal: AbortSignal.timeout(withinMs + MARGIN_MS),
    spend: () => Promise.resolve(),
    secrets,
  });
}
