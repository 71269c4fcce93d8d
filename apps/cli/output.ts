import type { ApiOptions } from './api-client.js';

type Cell = string | number | null | undefined;

/**
 * Prints JSON, or for people tables: by default these where stdout is a terminal.
 * @param tables each the heads of its columns, then its rows
 */
export function print(
  { output }: Pick<ApiOptions, 'output'>,
  value: unknown,
  ...tables: readonly (() => readonly (readonly Cell[])[])[]
): void {
  const form = output ?? (process.stdout.isTTY ? 'table' : 'json');
  process.stdout.write(
    form === 'json' ? `${JSON.stringify(value)}\n` : tables.map((table) => aligned(table())).join('\n'),
  );
}

/** Columns as wide as their widest cell, the last one as it comes. */
function aligned(rows: readonly (readonly Cell[])[]): string {
  const cells = rows.map((row) => row.map(shown));
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => (row[column] ?? '').length)),
  );
  return cells
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** What comes from elsewhere may not steer the terminal. */
function shown(cell: Cell): string {
  return cell === null || cell === undefined || cell === '' ? '-' : String(cell).replaceAll(/\p{Cc}+/gu, ' ');
}

/** One line on a terminal's stderr that is written over; nothing elsewhere. */
export class Progress {
  #last = '';

  show(text: string): void {
    const line = shown(text);
    if (!process.stderr.isTTY || line === this.#last) return;
    this.#last = line;
    process.stderr.write(`\r\u001B[K${line}`);
  }

  clear(): void {
    if (this.#last !== '') process.stderr.write('\r\u001B[K');
    this.#last = '';
  }
}
