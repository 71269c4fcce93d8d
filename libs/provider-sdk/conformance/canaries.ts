/** Base64 has three ways to write a text, by where it begins in the whole; the ends depend on the neighbours. */
function base64Forms(secret: string): readonly string[] {
  return [0, 1, 2].flatMap((offset) => {
    const text = Buffer.from(`${'x'.repeat(offset)}${secret}`)
      .toString('base64')
      .replace(/={1,2}$/, '');
    const inner = text.slice(offset === 0 ? 0 : offset + 1, -2);
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

/** Secret values that are looked for in all that a plugin says: plain, in URLs, in JSON and in base64. */
export class Canaries {
  readonly #forms: readonly string[];
  readonly #leaks = new Map<string, string>();

  constructor(secrets: readonly string[]) {
    this.#forms = [
      ...new Set(
        secrets.flatMap((secret) => [
          secret,
          encodeURIComponent(secret),
          JSON.stringify(secret).slice(1, -1),
          ...base64Forms(secret),
        ]),
      ),
    ];
  }

  get isEmpty(): boolean {
    return this.#forms.length === 0;
  }

  isIn(text: string): boolean {
    return this.#forms.some((form) => text.includes(form));
  }

  /** Notes a leak where what was said holds a secret. `where` in words, for example `the result of execute`. */
  hear(where: string, said: unknown): void {
    if (!this.#leaks.has(where) && this.isIn(textOf(said))) this.#leaks.set(where, where);
  }

  /** Where secrets were found so far. */
  get leaks(): readonly string[] {
    return [...this.#leaks.keys()];
  }
}

function textOf(said: unknown): string {
  if (said instanceof Error) return `${said.name}: ${said.message}`;
  try {
    return (
      JSON.stringify(said, (_key, value: unknown) =>
        value instanceof Error ? `${value.name}: ${value.message}` : value,
      ) ?? String(said)
    );
  } catch {
    return String(said);
  }
}
