import { ConfigurationError } from '#domain';
import { checkLogLevel, type Logger } from './logger.js';

/** Exit code for a misconfiguration (sysexits.h EX_CONFIG): starting again cannot help. */
const EX_CONFIG = 78;
const ORPHAN_STOP_WITHIN_MS = 5000;

/**
 * Runs a process of the product: `start` brings it up and returns how to stop it. SIGTERM, SIGINT and the end
 * of the supervisor (its IPC channel) stop it once. A supervisor is told when it is ready, and of a
 * misconfiguration (exit code 78).
 *
 * @param stopWithinMs after that the process ends even if stopping hangs; a function is asked when it stops
 */
export async function runProcess(
  log: Logger,
  stopWithinMs: number | (() => number),
  start: () => Promise<() => Promise<void>>,
): Promise<void> {
  let stopping = false;
  let stop: (() => Promise<void>) | undefined;
  const bound = (): number => (typeof stopWithinMs === 'number' ? stopWithinMs : stopWithinMs());
  const end = (why: string, withinMs = bound()): void => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, 'stopping');
    setTimeout(() => {
      log.error({ withinMs }, 'stopping took too long');
      process.exit(1);
    }, withinMs).unref();
    void (stop?.() ?? Promise.resolve())
      .catch((error: unknown) => log.error({ err: error }, 'stopping failed'))
      .finally(() => process.exit(0));
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => end(signal));
  // Killed; the servers it ran end too, so there may be nobody left to hand over to.
  process.on('disconnect', () => end('the supervisor is gone', Math.min(bound(), ORPHAN_STOP_WITHIN_MS)));
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception');
    process.exit(1);
  });
  try {
    checkLogLevel(process.env);
    stop = await start();
    log.info({}, 'ready');
    process.send?.({ type: 'ready' });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof ConfigurationError) {
      log.fatal({ problem: message }, 'wrong configuration');
      await tell({ type: 'fatal', message });
      process.exit(EX_CONFIG);
    }
    log.fatal({ err: error }, 'start failed');
    process.exit(1);
  }
}

/** A variable that has to be set. */
export function requiredEnv(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '')
    throw new ConfigurationError(`${name} is not set. "npm start" sets it; elsewhere give it yourself.`);
  return value;
}

function tell(message: object): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, () => resolve());
  });
}
