/** Levels of nesting that are taken: what walks the value later is not written for more. */
const MOST_DEPTH = 64;

/**
 * What JSON text of a stranger says, or undefined where it is no JSON or nested more than 64 deep. Keys that could
 * reach a prototype when the value is copied (`__proto__`, and `constructor` with a `prototype` in it) are left out.
 * The size is for the caller to bound.
 */
export function parseStrangersJson(text: string): unknown {
  if (tooDeep(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  // A key may be written with escapes; most answers have neither.
  if (/__proto__|constructor|\\u/i.test(text)) dropPrototypeKeys(value);
  return value;
}

function tooDeep(text: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === 0x5c) at++;
      else if (code === 0x22) quoted = false;
    } else if (code === 0x22) quoted = true;
    else if (code === 0x5b || code === 0x7b) {
      if (++depth > MOST_DEPTH) return true;
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  return false;
}

function dropPrototypeKeys(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const keys = value as Record<string, unknown>;
  Reflect.deleteProperty(keys, '__proto__');
  if (Object.hasOwn(keys, 'constructor')) {
    const made = keys['constructor'];
    if (typeof made === 'object' && made !== null && Object.hasOwn(made, 'prototype'))
      delete keys['constructor'];
  }
  for (const item of Object.values(keys)) dropPrototypeKeys(item);
}
