/** What would change the line, its direction, or what is seen of it: controls, invisible marks, halves of characters. */
const UNSEEN =
  // oxlint-disable-next-line no-control-regex -- control characters are what is taken out
  /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Cs}/gu;

/** A stranger's text as one line of at most `most` UTF-16 units that shows all there is. */
export function plainLine(text: string, most: number): string {
  const line = text
    .slice(0, 20 * most)
    .replaceAll(UNSEEN, ' ')
    .replaceAll(/ {2,}/g, ' ')
    .trim();
  return line.length <= most ? line : `${line.slice(0, most - 1).replace(/\p{Cs}$/u, '')}…`;
}
