import { CertificateRefused, ProviderError, type HealthReport } from '#provider-sdk';

/** What to look at where a device does not answer at all, behind what `context.http` says of it. */
const UNREACHABLE =
  'Check settings.baseUrl; that this worker may reach the web interface of the device; and network.allow of the instance, which has to list a private address.';

/**
 * A health check of a device: what the probe says, or why it fails and what to do.
 *
 * @param probe says in words what was found to be well
 */
export async function deviceHealth(probe: () => Promise<string>): Promise<HealthReport> {
  try {
    return { ok: true, message: await probe() };
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    const isSilent = error.errorClass === 'unreachable' && !(error instanceof CertificateRefused);
    return { ok: false, message: isSilent ? `${error.message} ${UNREACHABLE}` : error.message };
  }
}
