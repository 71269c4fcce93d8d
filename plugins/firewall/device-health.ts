import { ProviderError, type HealthReport } from '#provider-sdk';

/** What to look at where a device does not answer at all, behind what `context.http` says of it. */
const UNREACHABLE =
  'Check settings.baseUrl; that this worker may reach the web interface of the device; network.allow of the instance, which has to list a private address; and NODE_EXTRA_CA_CERTS where the certificate is of an authority of your own.';

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
    const advice = error.errorClass === 'unreachable' ? ` ${UNREACHABLE}` : '';
    return { ok: false, message: `${error.message}${advice}` };
  }
}
