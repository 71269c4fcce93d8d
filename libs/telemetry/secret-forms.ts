/** A secret as it is, and as URLs, forms, JSON and `Authorization` headers have it; each form has a name. */
export function secretForms(secret: string): readonly (readonly [text: string, form: string])[] {
  const bytes = Buffer.from(secret);
  return [
    [secret, ''],
    // A lone surrogate has no percent-encoded form, and would throw.
    [encodeURIComponent(bytes.toString()), 'uri'],
    [new URLSearchParams({ '': secret }).toString().slice(1), 'form'],
    [JSON.stringify(secret).slice(1, -1), 'json'],
    [bytes.toString('base64'), 'base64'],
  ];
}

/** Matches any of these, the longest first: one secret may be a part of another. None: nothing. */
export function anyOf(texts: Iterable<string>): RegExp {
  const escaped = [...texts]
    .filter((text) => text !== '')
    .toSorted((a, b) => b.length - a.length)
    .map((text) => text.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`));
  // oxlint-disable-next-line security/detect-non-literal-regexp -- escaped, and no repetition
  return new RegExp(escaped.length === 0 ? '(?!)' : escaped.join('|'), 'g');
}
