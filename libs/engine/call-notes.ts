import type { VendorPermits } from '#domain';
import { AddressRefused, ProviderError } from '#provider-sdk';
import type { CallResult } from './provider-call.js';

/** Milliseconds a vendor is left alone that says "too many" and not for how long. */
const BUSY_MS = 1000;

/** Tells the breaker, and the vendor's `Retry-After`, what a call of a plugin says of the vendor. */
export function noteCall(
  permits: Pick<VendorPermits, 'note' | 'vendorBusy'>,
  instance: string,
  result: CallResult<unknown>,
): void {
  if (result.kind === 'stopped') {
    if (result.why === 'deadline') permits.note(instance, 'failed');
    return;
  }
  const error = result.kind === 'threw' ? result.error : failureIn(result.value);
  if (error === null) return permits.note(instance, 'answered');
  // A plugin's own defect says nothing of the vendor, nor does an address that is refused here.
  if (!(error instanceof ProviderError) || error instanceof AddressRefused) return;
  switch (error.errorClass) {
    case 'rateLimited':
      permits.vendorBusy(instance, error.retryAfterMs ?? BUSY_MS);
      return permits.note(instance, 'answered');
    case 'unreachable':
      return permits.note(instance, 'unreachable');
    case 'transient':
    case 'unknownOutcome':
      return permits.note(instance, 'failed');
    default:
      return permits.note(instance, 'answered');
  }
}

/** What a call came to, in one of few words: for metrics. */
export function resultOf(result: CallResult<unknown>): string {
  if (result.kind === 'stopped') return result.why === 'deadline' ? 'timeout' : 'stopped';
  const error = result.kind === 'threw' ? result.error : failureIn(result.value);
  if (error === null) return 'answered';
  return error instanceof ProviderError ? error.errorClass : 'defect';
}

function failureIn(value: unknown): unknown {
  const outcome = value as { readonly kind?: unknown; readonly error?: unknown } | null | undefined;
  return typeof outcome === 'object' && outcome?.kind === 'failed' ? outcome.error : null;
}
