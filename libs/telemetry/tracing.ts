import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from './logger.js';
import { checkTracingVariables, isTracingConfigured, type Env } from './tracing-variables.js';

export interface TracingOptions {
  readonly env: Env;
  /** The service's name where `OTEL_SERVICE_NAME` says none. */
  readonly service: string;
  readonly log: Logger;
}

/** The process's tracing. */
export interface Tracing {
  readonly isOn: boolean;
  /** Sends what is there, for at most two seconds. */
  stop(): Promise<void>;
}

/** Milliseconds that a stop waits for the collector. */
const FLUSH_WITHIN_MS = 2000;

const OFF: Tracing = { isOn: false, stop: () => Promise.resolve() };

/**
 * Sends this process's spans to an OTLP collector where the standard variables of OpenTelemetry name one. Where they do
 * not, nothing of its SDK is loaded. A collector that is away costs spans, and nothing else.
 *
 * @throws ConfigurationError naming a variable that is wrong
 */
export async function startTracing({ env, service, log }: TracingOptions): Promise<Tracing> {
  if (!isTracingConfigured(env)) return OFF;
  checkTracingVariables(env);
  const { startSdk } = await import('./tracing-sdk.js');
  let away = false;
  const stop = startSdk(service, (problem) => {
    if ((problem !== null) === away) return;
    away = problem !== null;
    if (problem === null) log.info({}, 'traces are delivered again');
    else log.warn({ problem }, 'traces are not delivered; spans are dropped meanwhile');
  });
  return {
    isOn: true,
    stop: () =>
      Promise.race([stop().catch(() => undefined), sleep(FLUSH_WITHIN_MS, undefined, { ref: false })]),
  };
}
