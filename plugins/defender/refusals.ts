import { ProviderError, blockRails, type RequestRefusal } from '#provider-sdk';
import { refuseEntraId } from './machines.js';
import { meaningOf, type Request } from './meaning.js';
import { endpointsOf, isOffered, type DefenderSettings } from './settings.js';

const STOPS: ReadonlySet<string> = new Set(['Block', 'BlockAndRemediate', 'Warn']);
const OF_NETWORK: ReadonlySet<string> = new Set(['IpAddress', 'DomainName', 'Url']);

/** What speaks against a request, by settings and values alone. */
export function refusalOf(settings: DefenderSettings, request: Request): RequestRefusal | null {
  const { action } = request;
  if (!isOffered(settings, action))
    return {
      message: `${action} is off at this instance. An operator can turn it on by naming it, besides the others that are wanted, in settings.actions.`,
    };
  try {
    const wanted = meaningOf(request);
    if (wanted.of !== 'indicator') {
      refuseEntraId(wanted.machine);
      return null;
    }
    const { target, verb } = wanted.request;
    if (!('set' in verb) || !STOPS.has(verb.set) || !OF_NETWORK.has(target.type)) return null;
    const { api, login } = endpointsOf(settings);
    return blockRails({ neverBlock: settings.neverBlock }, { vendorHosts: [api, login] }).check(target.value);
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    return { message: error.message, kind: error.errorClass === 'invalidInput' ? 'invalid' : 'forbidden' };
  }
}

/** @throws ProviderError `invalidInput` or `permission` for what `refusalOf` refuses: not every caller asks it before */
export function refuseIfRefused(settings: DefenderSettings, request: Request): void {
  const refusal = refusalOf(settings, request);
  if (refusal !== null)
    throw new ProviderError(refusal.kind === 'invalid' ? 'invalidInput' : 'permission', refusal.message);
}
