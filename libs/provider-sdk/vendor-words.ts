const MOST_CHARS = 500;
const REDACTED = '[redacted]';

/** Text of a stranger as it may stand in a message: no secrets, markup or control characters, 500 characters at most. */
export function plainWords(text: string, secrets: readonly string[]): string {
  const forms = secrets
    .filter((secret) => secret !== '')
    .flatMap((secret) => [
      secret,
      // A lone surrogate has no percent-encoded form, and would throw.
      encodeURIComponent(Buffer.from(secret).toString()),
      new URLSearchParams({ '': secret }).toString().slice(1),
      JSON.stringify(secret).slice(1, -1),
      Buffer.from(secret).toString('base64'),
    ])
    .toSorted((a, b) => b.length - a.length);
  const redact = (from: string): string =>
    forms.reduce((left, form) => left.replaceAll(form, REDACTED), from);
  // Bounded before the patterns run over it; secrets first, so that none is cut in two and shown by half.
  const some = redact(text).slice(0, 20 * MOST_CHARS);
  const plain = some
    .replaceAll(/<(script|style)\b[^]*?(?:<\/\1>|$)/gi, ' ')
    .replaceAll(/<[^>]*(?:>|$)/g, ' ')
    // oxlint-disable-next-line no-control-regex -- control characters are what is taken out
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff<]+/g, ' ')
    .replaceAll(/ {2,}/g, ' ')
    .trim();
  // Once more: what was taken out may have stood in the middle of one.
  return redact(plain)
    .slice(0, MOST_CHARS)
    .replace(/[\ud800-\udbff]$/, '');
}

/** What a vendor says of a failure: the message in the usual places of its JSON, else its text. */
export function wordsOfFailure(body: unknown, text: string): string {
  return messageIn(body, 3) ?? (typeof body === 'object' && body !== null ? '' : text);
}

const PLACES = [
  'error',
  'errors',
  'message',
  'error_description',
  'detail',
  'title',
  'msg',
  'reason',
] as const;

function messageIn(body: unknown, depth: number): string | null {
  if (typeof body === 'string') return body === '' ? null : body;
  if (typeof body !== 'object' || body === null || depth === 0) return null;
  if (Array.isArray(body)) return messageIn(body[0], depth - 1);
  let code: string | null = null;
  for (const place of PLACES) {
    if (!Object.hasOwn(body, place)) continue;
    const found = messageIn((body as Record<string, unknown>)[place], depth - 1);
    // OAuth's `error` is a code, with its words beside it.
    if (found !== null && (place === 'error' || place === 'title')) code ??= found;
    else if (found !== null) return code === null ? found : `${code}: ${found}`;
  }
  return code;
}
