/** An id that a caller gave, as it may stand in a message and a log. */
export function printableId(id: string): string {
  return id.slice(0, 64).replaceAll(/[^\w.-]/g, '?');
}
