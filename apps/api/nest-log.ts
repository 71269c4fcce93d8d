import type { LoggerService } from '@nestjs/common';
import type { Logger } from '#telemetry';

/** Nest's own messages in the process's structured log. Its start-up chatter is debug. */
export class NestLog implements LoggerService {
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  log(message: unknown, context?: string): void {
    this.#log.debug({ context }, String(message));
  }

  warn(message: unknown, context?: string): void {
    this.#log.warn({ context }, String(message));
  }

  error(message: unknown, stack?: string, context?: string): void {
    this.#log.error({ context, stack }, String(message));
  }
}
