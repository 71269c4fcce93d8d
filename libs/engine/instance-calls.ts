import { setTimeout as sleep } from 'node:timers/promises';
import type { CallPurpose, EntryLedger, Permit, PermitRequest, VendorPermits, WaitReason } from '#domain';
import { vendorHttp, type InstanceContext, type PluginLog } from '#provider-sdk';
import { NO_METRICS, clientSpans, withoutSecrets, type Logger, type Metrics } from '#telemetry';
import { withGroupSpan } from './action-spans.js';
import { noteCall, resultOf } from './call-notes.js';
import { ProviderCall, type CallResult } from './provider-call.js';
import type { ProviderInstance } from './registry.js';

/** How a call of a plugin ended, or that the vendor was not to be called in the time there was. */
export type InstanceCallResult<T> = CallResult<T> | { readonly kind: 'denied'; readonly reason: WaitReason };

export interface InstanceCall {
  /** What it is for: counts of calls are told apart by it. */
  readonly name: 'health' | 'question' | 'maintain' | 'pollMany';
  readonly instance: ProviderInstance;
  /** The manifest's name of the action that it is about; empty where it is about none. */
  readonly actionName: string;
  /** Milliseconds it may take, the wait for the vendor's quota included. */
  readonly timeoutMs: number;
  /** Milliseconds of these that it may wait for the quota. Default all. */
  readonly permitWithinMs?: number;
  /** Which tenant's question it is: it counts in that one's share of the quota. Default none: it counts as a poll. */
  readonly tenantId?: string;
  /** Values of secret parameters; those of the instance are known. */
  readonly secrets?: readonly string[];
  /** Its abort stops the call. */
  readonly shutdown: AbortSignal;
  readonly facts: Readonly<Record<string, unknown>>;
  /** Spans of the actions that are asked about, as `traceparent`. Default none: the call is not traced. */
  readonly asking?: readonly string[];
}

/**
 * Calls of a plugin that belong to no claimed action: health, questions, polls of many. They read only. In the vendor's
 * quota they count as polls, but questions as their tenant's.
 */
export class InstanceCalls {
  readonly #permits: Pick<VendorPermits, 'take' | 'note' | 'vendorBusy'> | null;
  readonly #log: Logger;
  readonly #ledger: ((instance: string) => EntryLedger) | undefined;
  readonly #propagatesTrace: boolean;
  readonly #metrics: Metrics;

  constructor(parts: {
    /** Default: nobody limits them. */
    readonly permits?: Pick<VendorPermits, 'take' | 'note' | 'vendorBusy'>;
    readonly log: Logger;
    /** Default: plugins have none. */
    readonly ledger?: (instance: string) => EntryLedger;
    /** Whether vendors are told of the trace that a request is part of. Default false. */
    readonly propagatesTrace?: boolean;
    /** Default: nothing is counted. */
    readonly metrics?: Metrics;
  }) {
    this.#metrics = parts.metrics ?? NO_METRICS;
    this.#propagatesTrace = parts.propagatesTrace ?? false;
    this.#ledger = parts.ledger;
    this.#permits = parts.permits ?? null;
    this.#log = parts.log;
  }

  /** Never rejects. A failed one tells the breaker and the vendor's `Retry-After` to all. */
  async run<T>(
    call: InstanceCall,
    made: (context: InstanceContext) => Promise<T>,
  ): Promise<InstanceCallResult<T>> {
    const { instance, actionName, tenantId, shutdown } = call;
    const endsAt = performance.now() + call.timeoutMs;
    const purpose: CallPurpose =
      tenantId === undefined ? { purpose: 'poll' } : { purpose: 'question', tenantId };
    const request = { instance: instance.id, actionName, calls: 1, ...purpose };
    const permitBy = performance.now() + (call.permitWithinMs ?? call.timeoutMs);
    const granted = await this.#permit(request, Math.min(endsAt, permitBy), shutdown);
    if (typeof granted === 'string') return { kind: 'denied', reason: granted };
    const providerCall = new ProviderCall();
    const stop = (): void => providerCall.stop('shutdown');
    if (shutdown.aborted) stop();
    shutdown.addEventListener('abort', stop, { once: true });
    let spent = 0;
    const calledAt = performance.now();
    try {
      const result = await withGroupSpan(call.asking ?? [], instance.id, () =>
        providerCall.run(Math.max(1, endsAt - performance.now()), (signal) =>
          made(
            this.#context(call, signal, async (until) => {
              await granted?.spend(until);
              spent += 1;
            }),
          ),
        ),
      );
      if (this.#permits !== null) noteCall(this.#permits, instance.id, result);
      this.#metrics.vendorCalls.add(1, instance.id, call.name, resultOf(result));
      this.#metrics.vendorCallSeconds.observe(performance.now() - calledAt, instance.id, call.name);
      return result;
    } finally {
      shutdown.removeEventListener('abort', stop);
      // A plugin that goes another way than `http` has made one, as far as anybody knows.
      granted?.settle(Math.max(1, spent));
    }
  }

  /** Null: nobody limits. A text: why it was not to be had in time. */
  async #permit(
    request: PermitRequest,
    endsAt: number,
    shutdown: AbortSignal,
  ): Promise<Permit | WaitReason | null> {
    if (this.#permits === null) return null;
    for (;;) {
      const answer = await this.#permits.take(request);
      if (answer.kind === 'granted') return answer.permit;
      if (shutdown.aborted || performance.now() + answer.waitMs >= endsAt) return answer.reason;
      await sleep(answer.waitMs, undefined, { signal: shutdown }).catch(() => undefined);
    }
  }

  #context(
    { instance: { config, network }, secrets: ofParameters = [], facts }: InstanceCall,
    signal: AbortSignal,
    spend: (signal: AbortSignal) => Promise<void>,
  ): InstanceContext {
    const secrets = [...Object.values(config.secrets), ...ofParameters];
    const write = (level: 'info' | 'warn') => (extra: Readonly<Record<string, unknown>>, event: string) =>
      this.#log[level](
        { instance: config.id, ...facts, plugin: withoutSecrets(extra, secrets) },
        String(withoutSecrets(event, secrets)),
      );
    const log: PluginLog = { info: write('info'), warn: write('warn') };
    return {
      instance: config.id,
      settings: config.settings,
      secrets: config.secrets,
      signal,
      http: vendorHttp({
        network,
        signal,
        spend,
        secrets,
        watch: clientSpans(this.#propagatesTrace),
      }),
      ...(this.#ledger === undefined ? {} : { ledger: this.#ledger(config.id) }),
      log,
    };
  }
}
