import type { FileHandle } from 'node:fs/promises';

const LINE_END = '\n'.codePointAt(0) as number;
/** Bytes: MongoDB's largest document, in Extended JSON. Whatever has no line end is not read into memory whole. */
const LONGEST_LINE = 64 << 20;
const CHUNK = 256 << 10;

/**
 * The lines of a file from its beginning, without their line ends. Node's `readline` would also split at what JSON
 * leaves in texts as it is: U+2028, U+2029 and, before that, at CR.
 */
export async function* linesOf(file: FileHandle): AsyncGenerator<Buffer> {
  let position = 0;
  let parts: Buffer[] = [];
  let length = 0;
  for (;;) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(CHUNK), position });
    position += bytesRead;
    let rest = buffer.subarray(0, bytesRead);
    if (bytesRead === 0) break;
    for (let end = rest.indexOf(LINE_END); end !== -1; end = rest.indexOf(LINE_END)) {
      yield Buffer.concat([...parts, rest.subarray(0, end)]);
      rest = rest.subarray(end + 1);
      parts = [];
      length = 0;
    }
    parts.push(rest);
    length += rest.length;
    if (length > LONGEST_LINE) {
      const { BackupError } = await import('#persistence');
      throw new BackupError('It has a line of more than 64 MiB.');
    }
  }
  if (length > 0) yield Buffer.concat(parts);
}
