import { ProviderError, type Json } from '#provider-sdk';

/**
 * Templates: text with places like `{parameters.IP}`. A value is put in as data, for the place it goes to, and never read
 * again: what it holds is not a template, a path separator or a header.
 */

/** What stands for the names, by their first word and their second. */
export type Values = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const PLACE = /\{([a-z]+\.[A-Za-z][A-Za-z0-9_]*)\}/g;
const WHOLE = /^\{([a-z]+\.[A-Za-z][A-Za-z0-9_]*)\}$/;

/** Every name that a template uses, at any depth. */
export function namesIn(template: unknown): string[] {
  if (typeof template === 'string') return [...template.matchAll(PLACE)].map((match) => match[1] ?? '');
  if (typeof template !== 'object' || template === null) return [];
  return Object.values(template).flatMap(namesIn);
}

/** Text with its places filled; undefined when the whole of it is a name without a value. */
export function filledText(template: string, values: Values): string | undefined {
  const whole = WHOLE.exec(template)?.[1];
  if (whole !== undefined && valueOf(whole, values) === undefined) return undefined;
  return template.replace(PLACE, (_place, name: string) => textOf(valueOf(name, values)));
}

/** A path with each value as part of one segment. */
export function filledPath(template: string, values: Values): string {
  return template
    .split('/')
    .map((segment) => {
      const text = filledText(segment, values) ?? '';
      if (segment === text) return segment;
      // A segment of dots would be resolved away, percent-encoded or not, and name another resource.
      if (text === '' || text === '.' || text === '..')
        throw new ProviderError('invalidInput', `The path ${template} cannot be made with "${text}".`);
      return segment.replace(PLACE, (_place, name: string) =>
        encodeURIComponent(textOf(valueOf(name, values))),
      );
    })
    .join('/');
}

/** A header's value. @throws ProviderError where a value could end the header */
export function filledHeader(template: string, values: Values): string | undefined {
  const text = filledText(template, values);
  if (text !== undefined && !/^[\t\x20-\x7e]*$/.test(text))
    throw new ProviderError('invalidInput', 'A value that goes into a header may hold printable ASCII only.');
  return text;
}

/** JSON with values of their own type; a member whose value is missing is left out. */
export function filledJson(template: unknown, values: Values): Json {
  if (typeof template === 'string') {
    const whole = WHOLE.exec(template)?.[1];
    return whole === undefined
      ? (filledText(template, values) ?? null)
      : ((valueOf(whole, values) ?? null) as Json);
  }
  if (Array.isArray(template)) return template.map((item: unknown) => filledJson(item, values));
  if (typeof template !== 'object' || template === null) return template as Json;
  return Object.fromEntries(
    Object.entries(template)
      .filter(([, item]) => typeof item !== 'string' || !isMissing(item, values))
      .map(([name, item]) => [name, filledJson(item, values)]),
  );
}

function isMissing(template: string, values: Values): boolean {
  const whole = WHOLE.exec(template)?.[1];
  return whole !== undefined && valueOf(whole, values) === undefined;
}

function valueOf(name: string, values: Values): unknown {
  const [group = '', key = ''] = name.split('.');
  const held = values[group];
  return held !== undefined && Object.hasOwn(held, key) ? held[key] : undefined;
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : JSON.stringify(value);
}
