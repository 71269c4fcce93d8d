import {
  ProviderError,
  blockRails,
  defineProvider,
  refusalError,
  type CallContext,
  type RailRefusal,
  type StepOutcome,
} from '#provider-sdk';
import { actions } from './actions.js';
import { crash } from './crash.js';
import { elapsed, pendingFor } from './long-running.js';
import { settingsSchema, type MockSettings } from './settings.js';
import * as vendor from './vendor-client.js';

/**
 * A provider for trying things out and for tests. It plays the vendor itself, without state of its own: a long
 * operation's start stands in the operation, so that any worker can poll or cancel it. With `baseUrl` it is a
 * client of the mock vendor (test/simulators/mock-vendor) instead.
 */
export const provider = defineProvider({
  manifest: { vendor: 'Mock', provider: 'Mock', version: '1.0.0', settings: settingsSchema, actions },

  idempotencyOf: ({ mode }) => mode,

  validate: (settings, request) => refusalByRails(settings, request),

  async execute(context, request) {
    const calledAt = Date.now();
    const refused = refusalByRails(context.settings, request);
    if (refused !== null) throw refusalError(refused);
    injectFault(context, 'transient');
    switch (request.action) {
      case 'FailAlways':
        throw new ProviderError('permanent', request.parameters.message, { code: request.parameters.code });
      case 'FailTimes':
        if (context.attempt <= request.parameters.times)
          throw new ProviderError('transient', `Failing ${request.parameters.times} times, as told.`);
        return { kind: 'completed' };
      case 'Hang':
        return untilAborted(context.signal);
      case 'Crash':
        return crash(context.settings.crashes, request.parameters.how, request.parameters.durationMs);
      default: {
        const { settings } = context;
        const durationMs = 'durationMs' in request.parameters ? request.parameters.durationMs : 0;
        const outcome = isRemote(settings)
          ? await vendor.submit(context, request.action, request.parameters, durationMs)
          : durationMs > 0
            ? pendingFor(context.actionId, durationMs)
            : ({
                kind: 'completed',
                effect: { changed: true },
                ...(settings.notesCalls ? { result: { calledAt } } : {}),
              } as const);
        injectFault(context, 'unknown');
        return outcome;
      }
    }
  },

  poll(context, operation) {
    return isRemote(context.settings) ? vendor.poll(context, operation) : Promise.resolve(elapsed(operation));
  },

  async revert(context, { action, parameters, effect }) {
    if (effect?.changed === false) return { kind: 'completed', effect: { changed: false } };
    if (isRemote(context.settings)) return vendor.undo(context, action, parameters);
    return { kind: 'completed', effect: { changed: true } };
  },

  async plan(context, { action, parameters }) {
    const inPlace = isRemote(context.settings)
      ? (await vendor.observe(context, action, parameters)).inPlace === true
      : false;
    return {
      summary: `${actions[action].title}: ${JSON.stringify(withoutSecrets(parameters))}`,
      changes: inPlace ? [] : [`${action} takes effect.`],
      warnings: inPlace ? [`${action} is in place already.`] : [],
    };
  },

  async observe(context, { action, parameters }) {
    if (isRemote(context.settings)) return vendor.observe(context, action, parameters);
    return { inPlace: null, message: 'The mock keeps no state of what it did.' };
  },

  async health(context) {
    if (isRemote(context.settings)) return vendor.health(context);
    return { ok: true, message: 'The mock plays the vendor itself.' };
  },

  async reconcile(context, request) {
    return isRemote(context.settings) ? vendor.reconcile(context, request.action) : { kind: 'cannotTell' };
  },

  async cancel(context, operation, request) {
    // Nothing was done yet by what never answers.
    if (request.action === 'Hang') return 'cancelled';
    if (isRemote(context.settings)) return vendor.cancel(context, operation);
    if (operation === null) return 'unknown';
    return elapsed(operation).kind === 'completed' ? 'tooLate' : 'cancelled';
  },
});

function refusalByRails(
  { rails, baseUrl }: MockSettings,
  { action, parameters }: { readonly action: string; readonly parameters: object },
): RailRefusal | null {
  if (rails === undefined || !action.startsWith('Block')) return null;
  const { IP, URL, Domain } = parameters as Readonly<Record<string, string | undefined>>;
  const value = IP ?? URL ?? Domain;
  if (value === undefined) return null;
  return blockRails(rails, { vendorHosts: baseUrl === undefined ? [] : [baseUrl] }).check(value);
}

/** Parameters as they may be shown. */
function withoutSecrets(parameters: object): object {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => name !== 'UnlockPin'));
}

function isRemote(settings: MockSettings): settings is MockSettings & { readonly baseUrl: string } {
  return settings.baseUrl !== undefined;
}

function injectFault({ settings }: CallContext<MockSettings>, kind: 'transient' | 'unknown'): void {
  if (Math.random() >= settings.faultRates[kind]) return;
  throw kind === 'transient'
    ? new ProviderError('transient', 'A transient fault, as configured.')
    : new ProviderError('unknownOutcome', 'The answer was lost, as configured.');
}

function untilAborted(signal: AbortSignal): Promise<StepOutcome> {
  return new Promise((_resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
