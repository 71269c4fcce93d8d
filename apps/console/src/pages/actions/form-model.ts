import { Validator, format as formats } from '@cfworker/json-schema';
import type { JsonSchema, NativeAction, Provider, ProviderAction } from '../../api/types.ts';

/** A parameter as a form asks for it. What is typed is text, as the API takes it; empty: it is not given. */
export interface FormField {
  readonly name: string;
  readonly label: string;
  readonly kind: 'text' | 'secret' | 'integer' | 'number' | 'choice' | 'json';
  readonly isRequired: boolean;
  readonly description: string | null;
  readonly example: string | null;
  /** What it has at first: the schema's default. */
  readonly initial: string;
  /** Of a choice. */
  readonly choices: readonly string[];
}

/** What is typed, by the names of the fields. */
export type Typed = Readonly<Record<string, string>>;

/** An example of each format of Riposte's own; a vendor's schema may give a better one. */
const FORMAT_WORDS: Readonly<Record<string, { readonly word: string; readonly example: string }>> = {
  ip: { word: 'an IP address', example: '203.0.113.7' },
  cidr: { word: 'a network', example: '203.0.113.0/24' },
  network: { word: 'an address or a network', example: '203.0.113.0/24' },
  domain: { word: 'a domain', example: 'evil.example' },
  url: { word: 'an address that begins with http:// or https://', example: 'https://evil.example/x' },
  hash: {
    word: 'an MD5, SHA-1 or SHA-256 in hexadecimal digits',
    example: 'd41d8cd98f00b204e9800998ecf8427e',
  },
  uuid: { word: 'a UUID', example: '11111111-1111-4111-8111-111111111111' },
  'date-time': { word: 'a time with an offset', example: '2026-01-31T18:00:00Z' },
  email: { word: 'an email address', example: 'someone@example.com' },
};

teachFormats();

interface PropertySchema {
  readonly type?: unknown;
  readonly title?: unknown;
  readonly description?: unknown;
  readonly format?: unknown;
  readonly enum?: unknown;
  readonly anyOf?: unknown;
  readonly const?: unknown;
  readonly examples?: unknown;
  readonly default?: unknown;
  readonly writeOnly?: unknown;
  readonly 'x-aliases'?: unknown;
}

/** The fields that a schema of parameters asks for: those that are needed first. */
export function fieldsOf(schema: JsonSchema): readonly FormField[] {
  const required = Array.isArray(schema['required']) ? (schema['required'] as unknown[]) : [];
  return Object.entries(propertiesOf(schema))
    .map(([name, property]) => fieldOf(name, property, required.includes(name)))
    .toSorted((a, b) => Number(b.isRequired) - Number(a.isRequired));
}

function fieldOf(name: string, schema: PropertySchema, isRequired: boolean): FormField {
  const choices = choicesOf(schema);
  const { description, title, examples, format } = schema;
  const example = Array.isArray(examples) && examples.length > 0 ? textOf(examples[0]) : null;
  return {
    name,
    label: typeof title === 'string' && title !== '' ? title : name,
    kind: choices.length > 0 ? 'choice' : kindOf(schema),
    isRequired,
    description: typeof description === 'string' ? description : null,
    example: example ?? (typeof format === 'string' ? (FORMAT_WORDS[format]?.example ?? null) : null),
    initial: schema.default === undefined ? '' : textOf(schema.default),
    choices,
  };
}

function kindOf({ type, writeOnly }: PropertySchema): FormField['kind'] {
  if (writeOnly === true) return 'secret';
  if (type === 'integer' || type === 'number') return type;
  return type === 'array' || type === 'object' ? 'json' : 'text';
}

function choicesOf({ type, enum: allowed, anyOf, const: only }: PropertySchema): readonly string[] {
  if (Array.isArray(allowed)) return allowed.map(textOf);
  if (only !== undefined) return [textOf(only)];
  if (Array.isArray(anyOf)) {
    const parts = anyOf as readonly PropertySchema[];
    if (parts.every((part) => part.const !== undefined)) return parts.map((part) => textOf(part.const));
  }
  return type === 'boolean' ? ['true', 'false'] : [];
}

/** The parameters of a create: what was typed, but for what was left empty. */
export function parametersOf(
  fields: readonly FormField[],
  typed: Typed,
): readonly { readonly name: string; readonly value: string }[] {
  return fields.flatMap(({ name }) => {
    const value = typed[name] ?? '';
    return value === '' ? [] : [{ name, value }];
  });
}

/**
 * What is wrong with what was typed, in words, by the names of the fields; under `''` what is wrong with all of it
 * together. The API checks for itself, and knows the formats better.
 */
export function problemsOf(schema: JsonSchema, fields: readonly FormField[], typed: Typed): Typed {
  const problems: Record<string, string> = {};
  const values: Record<string, unknown> = {};
  for (const field of fields) {
    const text = typed[field.name] ?? '';
    if (text === '') {
      if (field.isRequired) problems[field.name] = `This is required${suchAs(field)}.`;
      continue;
    }
    const parsed = parse(text, propertiesOf(schema)[field.name]);
    if (parsed.problem === null) values[field.name] = parsed.value;
    else problems[field.name] = `${parsed.problem}${suchAs(field)}.`;
  }
  const { errors } = new Validator(schema, '2020-12', false).validate(values);
  for (const { instanceLocation, keyword, error } of errors) {
    const [name, ...inside] = instanceLocation.replace(/^#\/?/, '').split('/').map(unescapePointer);
    if (name === undefined || name === '') {
      // Of each field it is told on its own.
      if (!['required', 'properties', 'additionalProperties'].includes(keyword))
        problems[''] ??= `The parameters do not fit together: ${error}`;
      continue;
    }
    const field = fields.find((one) => one.name === name);
    if (field === undefined) continue;
    const place = inside.length === 0 ? '' : `${inside.join('.')}: `;
    problems[name] ??=
      `${place}${inWords(keyword, error, inside.length === 0 ? propertiesOf(schema)[name] : undefined)}${suchAs(field)}.`;
  }
  // With those that are missing or cannot be read it is not known whether the others fit together.
  if (Object.keys(problems).some((name) => name !== '')) delete problems[''];
  return problems;
}

/** What the API said of single parameters, by the names of the fields; what it said besides is in its message. */
export function problemsInMessage(message: string, fields: readonly FormField[]): Typed {
  const problems: Record<string, string> = {};
  for (const [, name, words] of message.matchAll(/parameter "?([^\s"]+)"? ([^;]*)/g)) {
    const field = fields.find((one) => one.name.toLowerCase() === name?.toLowerCase());
    if (field !== undefined && words !== undefined)
      problems[field.name] ??= `It ${words.replace(/\.$/, '')}.`;
  }
  return problems;
}

/** The instance's action of that name or alias, however it is written. */
export function findAction(
  provider: Provider | undefined,
  name: string | undefined,
): ProviderAction | undefined {
  if (name === undefined) return undefined;
  const wanted = canonical(name);
  return provider?.actions.find((action) =>
    [action.name, ...action.aliases].some((one) => canonical(one) === wanted),
  );
}

/** What a form begins with to ask for an action like that one: all but what is secret, which nobody is shown. */
export function typedOf(action: Pick<NativeAction, 'parameters'>, schema: JsonSchema): Typed {
  const typed: Record<string, string> = {};
  for (const [name, property] of Object.entries(propertiesOf(schema))) {
    const aliases = Array.isArray(property['x-aliases']) ? property['x-aliases'].map(String) : [];
    const spellings = [name, ...aliases].map(canonical);
    const given = action.parameters.find((one) => spellings.includes(canonical(one.name)));
    if (given?.value != null) typed[name] = given.value;
  }
  return typed;
}

/** Names are matched as the API does it. */
function canonical(name: string): string {
  return name.toLowerCase().replaceAll(/[_\s-]/g, '');
}

function parse(
  text: string,
  schema: PropertySchema | undefined,
):
  | { readonly problem: string; readonly value?: undefined }
  | { readonly problem: null; readonly value: unknown } {
  switch (schema?.type) {
    case 'integer':
      return /^[+-]?\d{1,15}$/.test(text.trim())
        ? { problem: null, value: Number(text) }
        : { problem: 'It must be a whole number' };
    case 'number':
      return text.trim() !== '' && Number.isFinite(Number(text))
        ? { problem: null, value: Number(text) }
        : { problem: 'It must be a number' };
    case 'boolean':
      return { problem: null, value: text === 'true' };
    case 'array':
    case 'object': {
      try {
        return { problem: null, value: JSON.parse(text) as unknown };
      } catch (error) {
        const why = error instanceof Error ? ` (${error.message})` : '';
        return { problem: `It must be JSON text of an ${schema.type}${why}` };
      }
    }
    default:
      return { problem: null, value: schema?.format === undefined ? text : text.trim() };
  }
}

function inWords(keyword: string, error: string, schema: PropertySchema | undefined): string {
  const rule = (schema as Readonly<Record<string, unknown>> | undefined)?.[keyword];
  switch (keyword) {
    case 'format':
      return `It is not ${(typeof rule === 'string' ? FORMAT_WORDS[rule]?.word : undefined) ?? `of the format ${textOf(rule)}`}`;
    case 'minimum':
      return rule === undefined ? error : `It must be ${textOf(rule)} or more`;
    case 'maximum':
      return rule === undefined ? error : `It must be ${textOf(rule)} or less`;
    case 'minLength':
      return rule === undefined ? error : `It must have ${textOf(rule)} characters or more`;
    case 'maxLength':
      return rule === undefined ? error : `It may have ${textOf(rule)} characters at most`;
    case 'not':
      return 'This one is not allowed';
    case 'enum':
    case 'const':
      return 'It is not one of the choices';
    case 'pattern':
      return 'It does not have the required format';
    default:
      return error.replace(/\.$/, '').replace(/^Instance/, 'It');
  }
}

function suchAs({ example }: FormField): string {
  return example === null
    ? ''
    : `, for example ${example.length > 60 ? `${example.slice(0, 60)}…` : example}`;
}

function propertiesOf(schema: JsonSchema): Readonly<Record<string, PropertySchema>> {
  return (schema['properties'] ?? {}) as Readonly<Record<string, PropertySchema>>;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function unescapePointer(part: string): string {
  return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
}

/** The validator learns the formats that Riposte has beyond JSON Schema's, a little less strict than the API is. */
function teachFormats(): void {
  const isIp = (text: string): boolean =>
    /^\d{1,3}(?:\.\d{1,3}){3}$/.test(text)
      ? formats['ipv4']?.(text) === true
      : formats['ipv6']?.(text) === true;
  const isCidr = (text: string): boolean => /^[^/]+\/\d{1,3}$/.test(text) && isIp(text.replace(/\/.*/, ''));
  Object.assign(formats, {
    ip: isIp,
    cidr: isCidr,
    network: (text: string) => isIp(text) || isCidr(text),
    domain: (text: string) => /^[^\s./@:]+(?:\.[^\s./@:]+)+\.?$/.test(text) && !isIp(text),
    // The validator's own refuses addresses of private networks.
    url: (text: string) => /^https?:\/\/\S+$/i.test(text) && URL.canParse(text),
    hash: (text: string) => /^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})$/i.test(text),
  });
}
