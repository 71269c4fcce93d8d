import type { AuditSpool, Drained, RecordedEvent } from '#audit';
import type { Logger } from '#telemetry';

const PERIOD_MS = 5000;

/** Takes what commands on this data dir did into the record, soon after. */
export class SpoolIntake {
  readonly #spool: AuditSpool;
  readonly #record: { recordLate(events: readonly RecordedEvent[]): Promise<void> };
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #taking: Promise<unknown> = Promise.resolve();
  #stopped = false;
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
  }

  start(): void {
    this.#taking = this.#spool
      .drain((events) => this.#record.recordLate(events))
      .then(({ left }) => this.#tell(left))
      .catch((error: unknown) =>
        this.#log.warn({ error: String(error) }, 'what commands did is not on record yet'),
      )
      .finally(() => {
        if (!this.#stopped) this.#timer = setTimeout(() => this.start(), PERIOD_MS);
      });
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

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#taking;
  }
}
