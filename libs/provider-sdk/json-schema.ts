import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { CANONICAL } from './indicators.js';

const ajv = new Ajv2020({
  allErrors: true,
  strict: true,
  strictRequired: false,
  useDefaults: true,
  verbose: true,
  // Polishing what it generates is a third of what a schema costs a start; V8 makes the same of it.
  code: { optimize: false },
});
addFormats.default(ajv, ['uuid', 'date-time', 'email']);
ajv.addVocabulary(['x-aliases']);
for (const [format, canonical] of Object.entries(CANONICAL)) {
  ajv.addFormat(format, { type: 'string', validate: (text: string) => canonical(text) !== null });
}

const compiled = new WeakMap<object, ValidateFunction>();

/**
 * Compiles a JSON Schema 2020-12, once per schema object. Defaults are filled in; formats are ours
 * (`ip`, `cidr`, `domain`, `url`, `hash`) and `uuid`, `date-time`, `email`.
 * @throws Error when the schema does not compile; unknown keywords and formats count
 */
export function compileSchema(schema: object): ValidateFunction {
  const known = compiled.get(schema);
  if (known !== undefined) return known;
  // Its verdict would be a promise, which everybody here would take for a yes.
  if ('$async' in schema) throw new Error('unknown keyword: "$async"');
  const validate = ajv.compile(schema);
  compiled.set(schema, validate);
  return validate;
}

/**
 * What is to be told of a validation's errors: of a value that may be one of several, that alone, and not each of them;
 * nothing twice.
 */
export function schemaProblems(validate: ValidateFunction): readonly ErrorObject[] {
  const errors = validate.errors ?? [];
  const unions = errors.filter(({ keyword }) => keyword === 'anyOf');
  const within = (union: ErrorObject): readonly ErrorObject[] =>
    errors.filter(
      ({ schemaPath, instancePath }) =>
        schemaPath.startsWith(`${union.schemaPath}/`) && instancePath.startsWith(union.instancePath),
    );
  // Of objects it is told what is wrong in them.
  const plain = unions.filter((union) =>
    within(union).every(
      ({ instancePath, keyword }) =>
        instancePath === union.instancePath && !['required', 'additionalProperties'].includes(keyword),
    ),
  );
  const told = new Set(errors);
  for (const union of unions)
    for (const error of plain.includes(union) ? within(union) : [union]) told.delete(error);
  return [...told];
}

/** One schema error as a sentence with the place of the wrong value, e.g. `limits.concurrency must be >= 1`. */
export function describeSchemaError(error: ErrorObject, root = ''): string {
  const place = [root, ...error.instancePath.split('/').slice(1)].filter((part) => part !== '').join('.');
  if (error.keyword === 'additionalProperties') {
    const known = Object.keys((error.parentSchema?.['properties'] ?? {}) as object);
    const key = [place, String(error.params['additionalProperty'])].filter((part) => part !== '').join('.');
    return `${key} is not known${known.length > 0 ? `; known: ${known.join(', ')}` : ''}`;
  }
  if (error.keyword === 'required') {
    return `${[place, String(error.params['missingProperty'])].filter((part) => part !== '').join('.')} is missing`;
  }
  if (error.keyword === 'enum')
    return `${place} must be one of ${(error.params['allowedValues'] as unknown[]).map(String).join(', ')}`;
  if (error.keyword === 'anyOf')
    return `${place} must be ${(error.schema as readonly object[]).map(alternative).join(' or ')}`;
  if (error.keyword === 'const') return `${place} must be ${JSON.stringify(error.params['allowedValue'])}`;
  if (error.keyword === 'format') return `${place} is not a valid ${String(error.params['format'])}`;
  return `${place === '' ? 'the value' : place} ${error.message ?? 'is not valid'}`;
}

/** One of the schemas that a value may have, in words. */
function alternative(schema: {
  readonly const?: unknown;
  readonly pattern?: string;
  readonly format?: string;
  readonly type?: unknown;
}): string {
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.pattern !== undefined) return `a text that matches "${schema.pattern}"`;
  if (schema.format !== undefined) return `a valid ${schema.format}`;
  return typeof schema.type === 'string' ? schema.type : 'of another allowed form';
}
