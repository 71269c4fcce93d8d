import { StopRequested } from '#provider-sdk';

/** How a call of a plugin ended. */
export type CallResult<T> =
  | { readonly kind: 'returned'; readonly value: T }
  | { readonly kind: 'threw'; readonly error: unknown }
  /** It was asked to stop and threw, or did not come back in time; what it did is not known. */
  | { readonly kind: 'stopped'; readonly why: StopRequested['why'] };

/** Milliseconds a plugin has to come back after its signal was aborted; then nobody waits for it any more. */
const ABANDON_AFTER_MS = 2000;

/** One call of a plugin with its abort signal and its time limit. */
export class ProviderCall {
  readonly #abort = new AbortController();
  #abandon: (() => void) | undefined;

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Asks the plugin to stop. The first reason wins. */
  stop(why: StopRequested['why']): void {
    if (this.signal.aborted) return;
    this.#abort.abort(new StopRequested(why));
    setTimeout(() => this.#abandon?.(), ABANDON_AFTER_MS).unref();
  }

  /**
   * Runs the call. A plugin that was asked to stop and returns all the same is believed: it knows what happened.
   * Never rejects.
   */
  async run<T>(timeoutMs: number, call: (signal: AbortSignal) => Promise<T>): Promise<CallResult<T>> {
    if (this.signal.aborted) return { kind: 'stopped', why: this.#why() };
    const timer = setTimeout(() => this.stop('deadline'), timeoutMs);
    const abandoned = new Promise<CallResult<T>>((resolve) => {
      this.#abandon = () => resolve({ kind: 'stopped', why: this.#why() });
    });
    try {
      return await Promise.race([this.#settled(call), abandoned]);
    } finally {
      clearTimeout(timer);
      this.#abandon = undefined;
    }
  }

  async #settled<T>(call: (signal: AbortSignal) => Promise<T>): Promise<CallResult<T>> {
    try {
      return { kind: 'returned', value: await call(this.signal) };
    } catch (error) {
      return this.signal.aborted ? { kind: 'stopped', why: this.#why() } : { kind: 'threw', error };
    }
  }

  #why(): StopRequested['why'] {
    const reason: unknown = this.signal.reason;
    return reason instanceof StopRequested ? reason.why : 'shutdown';
  }
}
