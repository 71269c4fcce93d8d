import { fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';

/** An append-only record of facts, one JSON line each: on disk before anybody is told. */
export class LedgerFile<Fact extends object> {
  readonly #file: number;

  constructor(file: string) {
    this.#file = openSync(file, 'a');
  }

  write(fact: Fact): void {
    writeSync(this.#file, `${JSON.stringify({ ...fact, at: new Date().toISOString() })}\n`);
    fsyncSync(this.#file);
  }
}

/** The facts so far, with `at`, oldest first. A last line that is still being written is left out. */
export function readLedgerFile(file: string): readonly unknown[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line): unknown => JSON.parse(line));
}
