import type { TSchema } from 'typebox';
import type { KeyValuePair } from '#domain';
import { CANONICAL, type IndicatorFormat } from './indicators.js';
import { compileSchema, describeSchemaError, schemaProblems } from './json-schema.js';
import { canonicalName } from './names.js';
import type { ActionManifest } from './provider.js';
import { parseStrangersJson } from './vendor-json.js';

export type ParsedParameters =
  | { readonly ok: true; readonly values: Readonly<Record<string, unknown>> }
  /** Each problem is a sentence that names the parameter, the rule and an example. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** Of a text within JSON that is taken for a secret of its own. */
const LEAST_CHARACTERS = 4;

interface ParameterSchema {
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly examples?: readonly unknown[];
  readonly writeOnly?: boolean;
  readonly 'x-aliases'?: readonly string[];
}

/**
 * Turns the name/value strings of a request into the typed, canonical values a plugin sees: names without
 * regard to case and by alias, values coerced by the schema's type (arrays and objects are JSON text), then
 * validated. Pure: no network.
 */
export function parseParameters(action: ActionManifest, given: readonly KeyValuePair[]): ParsedParameters {
  const schemas = action.parameters.properties as Readonly<Record<string, TSchema>> as Readonly<
    Record<string, ParameterSchema>
  >;
  const { names } = spellingsOf(schemas);
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const pair of given) {
    const name = names.get(canonicalName(pair.name));
    if (name === undefined) {
      problems.push(
        `parameter "${pair.name}" is not known; known: ${Object.keys(schemas).join(', ') || 'none'}`,
      );
    } else if (Object.hasOwn(values, name)) {
      problems.push(`parameter "${pair.name}" is given twice (as ${name})`);
    } else if (pair.value === null) {
      problems.push(`parameter "${pair.name}" has no value${example(schemas[name])}`);
    } else {
      const coerced = coerce(pair.value, schemas[name] ?? {});
      if (coerced.ok) values[name] = coerced.value;
      else problems.push(`parameter "${pair.name}" ${coerced.problem}${example(schemas[name])}`);
    }
  }
  if (problems.length > 0) return { ok: false, problems };
  const validate = compileSchema(action.parameters);
  if (!validate(values)) {
    return {
      ok: false,
      problems: schemaProblems(validate).map((error) => {
        const name =
          error.keyword === 'required'
            ? String(error.params['missingProperty'])
            : (error.instancePath.split('/')[1] ?? '');
        return `parameter ${describeSchemaError(error)}${example(schemas[name])}`;
      }),
    };
  }
  for (const [name, value] of Object.entries(values)) values[name] = canonicalise(value, schemas[name] ?? {});
  return { ok: true, values };
}

/** Names of the parameters, in every spelling, whose values must not be logged. */
export function secretParameterNames(action: ActionManifest): ReadonlySet<string> {
  return spellingsOf(action.parameters.properties).secret;
}

interface Spellings {
  /** Each parameter's name by its canonical spellings. */
  readonly names: ReadonlyMap<string, string>;
  /** The canonical spellings of those whose values must not be logged. */
  readonly secret: ReadonlySet<string>;
}

/** By the schemas, which do not change while a plugin is loaded and are asked for with every request. */
const known = new WeakMap<object, Spellings>();

function spellingsOf(schemas: Readonly<Record<string, ParameterSchema>>): Spellings {
  const before = known.get(schemas);
  if (before !== undefined) return before;
  const names = new Map<string, string>();
  const secret = new Set<string>();
  for (const [name, schema] of Object.entries(schemas)) {
    for (const spelling of [name, ...(schema['x-aliases'] ?? [])].map(canonicalName)) {
      names.set(spelling, name);
      if (schema.writeOnly === true) secret.add(spelling);
    }
  }
  known.set(schemas, { names, secret });
  return { names, secret };
}

/**
 * The texts in the typed values of secret parameters, each with its parameter's name: those within an object or array one
 * by one, for that is how a plugin may repeat them; but for the shortest, which cannot be told from any other text.
 */
export function secretTexts(
  action: ActionManifest,
  values: Readonly<Record<string, unknown>>,
): readonly (readonly [name: string, text: string])[] {
  const secret = secretParameterNames(action);
  if (secret.size === 0) return [];
  return Object.entries(values).flatMap(([name, value]) =>
    secret.has(canonicalName(name)) ? textsIn(value).map((text) => [name, text] as const) : [],
  );
}

function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value)
    .flatMap(textsIn)
    .filter(({ length }) => length >= LEAST_CHARACTERS);
}

type Coerced =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: string };

function coerce(text: string, schema: ParameterSchema): Coerced {
  switch (schema.type) {
    case 'integer':
      return /^[+-]?\d{1,15}$/.test(text.trim())
        ? { ok: true, value: Number(text) }
        : { ok: false, problem: 'must be a whole number' };
    case 'number':
      return text.trim() !== '' && Number.isFinite(Number(text))
        ? { ok: true, value: Number(text) }
        : { ok: false, problem: 'must be a number' };
    case 'boolean':
      return /^(?:true|false)$/i.test(text)
        ? { ok: true, value: text.toLowerCase() === 'true' }
        : { ok: false, problem: 'must be true or false' };
    case 'array':
    case 'object': {
      const value = parseStrangersJson(text);
      return value === undefined
        ? { ok: false, problem: `must be JSON text of an ${schema.type}` }
        : { ok: true, value };
    }
    default:
      // Values come out of tables and alerts with stray blanks around them; none of the formats has any.
      return { ok: true, value: schema.format === undefined ? text : text.trim() };
  }
}

function canonicalise(value: unknown, schema: ParameterSchema): unknown {
  if (typeof value !== 'string' || schema.format === undefined || !Object.hasOwn(CANONICAL, schema.format))
    return value;
  return CANONICAL[schema.format as IndicatorFormat](value) ?? value;
}

function example(schema: ParameterSchema | undefined): string {
  const first = schema?.examples?.[0] ?? usualExample(schema ?? {});
  return first === undefined
    ? ''
    : ` (for example ${typeof first === 'string' ? first : JSON.stringify(first)})`;
}

/** For a parameter whose plugin gives none. */
function usualExample({ type, format, enum: allowed, minimum }: ParameterSchema): unknown {
  if (allowed !== undefined) return allowed[0];
  if (format !== undefined && Object.hasOwn(USUAL, format)) return USUAL[format];
  if (type === 'integer' || type === 'number') return minimum ?? 1;
  if (type === 'boolean') return true;
  return undefined;
}

const USUAL: Readonly<Record<string, string>> = {
  ip: '203.0.113.7',
  cidr: '203.0.113.0/24',
  network: '203.0.113.7',
  domain: 'evil.example',
  url: 'https://evil.example/x',
  hash: 'd41d8cd98f00b204e9800998ecf8427e',
  uuid: '11111111-1111-4111-8111-111111111111',
  'date-time': '2026-01-31T18:00:00Z',
  email: 'someone@example.com',
} satisfies Readonly<Record<IndicatorFormat, string>> & Readonly<Record<string, string>>;
