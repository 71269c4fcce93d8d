import { createHash } from 'node:crypto';

const MARKER = /\[riposte:([^:\]]+):[0-9a-f]{12}\]\s*$/;

/** Tells ours from others' at Defender, which has no idempotency key: it stands at the end of comments and descriptions. */
export function markerOf(actionId: string, idempotencyKey: string): string {
  const hash = createHash('sha256').update(idempotencyKey).digest('hex').slice(0, 12);
  return `[riposte:${actionId}:${hash}]`;
}

/** The words with the marker at their end. What a caller wrote cannot stand there. */
export function marked(words: string, marker: string): string {
  return `${words} ${marker}`;
}

/** The words of a marked text with another marker at their end. */
export function remarked(text: string, marker: string): string {
  return marked(text.replace(MARKER, '').trimEnd(), marker);
}

/** True for a text that ends with this marker. */
export function hasMarker(text: string | null | undefined, marker: string): boolean {
  return marker !== '' && text?.trimEnd().endsWith(marker) === true;
}

/** The marker at the end of a text, or an empty text. */
export function markerIn(text: string): string {
  return MARKER.exec(text)?.[0].trimEnd() ?? '';
}

/** True for a text that was marked, by whichever installation. */
export function isMarked(text: string | null | undefined): boolean {
  return MARKER.test(text ?? '');
}

/** True for a text that was marked for this action, whatever its key. */
export function isMarkedFor(text: string | null | undefined, actionId: string): boolean {
  return MARKER.exec(text ?? '')?.[1] === actionId;
}
