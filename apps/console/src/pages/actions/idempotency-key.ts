/**
 * A key for each thing that is wanted: the same request, sent again because its answer was lost or its button pressed
 * twice, has the same key and makes no second action; another one has another.
 */
export function idempotencyKeys(): (body: unknown) => string {
  let last: { readonly body: string; readonly key: string } | null = null;
  return (body) => {
    const text = JSON.stringify(body);
    if (last?.body !== text) last = { body: text, key: randomKey() };
    return last.key;
  };
}

/** 128 random bits. Not `randomUUID`, which browsers have over TLS and on loopback only. */
function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}
