import type { AuditSpool, Drained, RecordedEvent } from '#audit';
import { Rounds } from '#rounds';
import type { Logger } from '#telemetry';

const PERIOD_MS = 5000;

/** Takes what commands on this data dir did into the record, soon after. */
export class SpoolIntake {
  readonly #spool: AuditSpool;
  readonly #record: { recordLate(events: readonly RecordedEvent[]): Promise<void> };
  readonly #log: Logger;
  readonly #rounds: Rounds;
  /** The files left lying that the log has told of. */
  readonly #told = new Set<string>();

  constructor(
    spool: AuditSpool,
    record: { recordLate(events: readonly RecordedEvent[]): Promise<void> },
    log: Logger,
  ) {
    this.#spool = spool;
    this.#record = record;
    this.#log = log;
    this.#rounds = new Rounds({
      periodMs: PERIOD_MS,
      firstMs: 0,
      round: () => this.#take(),
      failed: 'what commands did is not on record yet',
      log,
    });
  }

  start(): void {
    this.#rounds.start();
  }

  /** Waits for what is being taken. */
  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  async #take(): Promise<void> {
    const { left } = await this.#spool.drain((events) => this.#record.recordLate(events));
    this.#tell(left);
  }

  #tell(left: Drained['left']): void {
    const news = left.filter(({ file }) => !this.#told.has(file));
    if (news.length === 0) return;
    for (const { file } of news) this.#told.add(file);
    this.#log.warn(
      { count: left.length, files: news },
      'what commands did cannot be taken into the audit record: look at these files',
    );
  }
}
