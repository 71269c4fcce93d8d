import { createHash } from 'node:crypto';

/** Tells ours from others' at Defender, which has no idempotency key: it stands at the end of comments and descriptions. */
export function markerOf(actionId: string, idempotencyKey: string): string {
  const hash = createHash('sha256').update(idempotencyKey).digest('hex').slice(0, 12);
  return `[riposte:${actionId}:${hash}]`;
}

/** The words with the marker at their end. What a caller wrote cannot stand there. */
export function marked(words: string, marker: string): string {
  return `${words} ${marker}`;
}

/** True for a text that ends with this marker. */
export function hasMarker(text: string | null | undefined, marker: string): boolean {
  return text?.trimEnd().endsWith(marker) === true;
}

/** True for a text that was marked for this action, whatever its key. */
export function isMarkedFor(text: string | null | undefined, actionId: string): boolean {
  const end = /\[riposte:([^:\]]+):[0-9a-f]{12}\]\s*$/.exec(text ?? '');
  return end?.[1] === actionId;
}
