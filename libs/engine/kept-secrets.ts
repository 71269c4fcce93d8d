import type { Json } from '#domain';
import { anyOf, secretForms } from '#telemetry';

/** What is shorter cannot be told from any other text, and would take each digit of a result for itself. */
const LEAST_CHARACTERS = 4;
const MARK = '[redacted ';

/**
 * Keeps secrets out of what is stored of a plugin's answers. In the place of each stands its name; a plugin that is
 * given its own operation, checkpoint or effect again finds the secret there, as it is now.
 */
export class KeptSecrets {
  readonly #marks: ReadonlyMap<string, string>;
  readonly #texts: ReadonlyMap<string, string>;
  readonly #toHide: RegExp;
  readonly #toShow: RegExp;

  /** @param secrets each with the name that stands in its place */
  constructor(secrets: readonly (readonly [name: string, secret: string])[]) {
    const marks = new Map<string, string>([[MARK, '[redacted_']]);
    for (const [name, secret] of secrets) {
      if (secret.length < LEAST_CHARACTERS) continue;
      for (const [text, form] of secretForms(secret))
        if (!marks.has(text)) marks.set(text, `${MARK}${name}${form === '' ? '' : `, ${form}`}]`);
    }
    this.#marks = marks;
    this.#texts = new Map([...marks].filter(([text]) => text !== MARK).map(([text, mark]) => [mark, text]));
    this.#toHide = anyOf(this.#marks.keys());
    this.#toShow = anyOf(this.#texts.keys());
  }

  /** Where there are none: what a vendor's answer has of marks is still made to be none. */
  static readonly none = new KeptSecrets([]);

  /** A copy without secrets, for the store. A mark that the vendor wrote itself is made to be none. */
  hide<T>(value: T): T {
    return mapped(value as Json, (text) =>
      text.replaceAll(this.#toHide, (found) => this.#marks.get(found) ?? found),
    ) as T;
  }

  /** What was hidden, for the plugin. */
  show<T>(value: T): T {
    return mapped(value as Json, (text) =>
      text.replaceAll(this.#toShow, (found) => this.#texts.get(found) ?? found),
    ) as T;
  }
}

function mapped(value: Json, change: (text: string) => string): Json {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return (value as readonly Json[]).map((item) => mapped(item, change));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [change(key), mapped(item, change)]));
}
