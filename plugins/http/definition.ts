import { LineCounter, isNode, parseDocument } from 'yaml';
import {
  ConfigurationError,
  Type,
  compileSchema,
  describeSchemaError,
  schemaProblems,
  type Static,
} from '#provider-sdk';
import { namesIn } from './template.js';

/** Schema of a provider definition. docs/plugins/declarative.md explains every key. */

const strict = { additionalProperties: false } as const;
const text = Type.String({ minLength: 1 });
const secretName = Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_]{0,62}$' });
/** RFC 6901. The whole document is the empty pointer, which nothing here can use. */
const pointer = Type.String({ pattern: '^(/([^~/]|~[01])*)+$' });
const statuses = Type.Array(Type.Integer({ minimum: 200, maximum: 599 }), { minItems: 1 });

const condition = Type.Object(
  {
    status: Type.Optional(statuses),
    /** By pointer, the value that has to be there, or a list of those that may; null: none is. */
    body: Type.Optional(
      Type.Record(pointer, Type.Unknown(), { minProperties: 1, additionalProperties: false }),
    ),
  },
  { ...strict, minProperties: 1 },
);
const conditions = Type.Array(condition, { minItems: 1 });

const failure = Type.Object(
  {
    status: Type.Optional(statuses),
    body: Type.Optional(
      Type.Record(pointer, Type.Unknown(), { minProperties: 1, additionalProperties: false }),
    ),
    class: Type.Enum([
      'invalidInput',
      'unsupported',
      'auth',
      'permission',
      'targetNotFound',
      'ambiguousTarget',
      'conflict',
      'rateLimited',
      'targetBusy',
      'transient',
      'capacity',
      'unknownOutcome',
      'permanent',
    ]),
    /** Where the vendor says why. */
    message: Type.Optional(pointer),
  },
  { ...strict, minProperties: 2 },
);
const failures = Type.Array(failure, { minItems: 1 });

const request = Type.Object(
  {
    method: Type.Enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
    path: Type.String({ pattern: '^/[^?#\\\\\\s]*$' }),
    query: Type.Optional(Type.Record(text, Type.String(), strict)),
    headers: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z0-9-]{1,100}$' }), Type.String(), strict),
    ),
    json: Type.Optional(Type.Unknown()),
    form: Type.Optional(Type.Record(text, Type.String(), strict)),
    /** True where it may change something. Default: true unless GET. */
    changes: Type.Optional(Type.Boolean()),
  },
  strict,
);

const pending = Type.Object(
  {
    when: conditions,
    operationId: pointer,
    everySeconds: Type.Number({ minimum: 0.05, maximum: 3600, default: 5 }),
  },
  strict,
);

const execute = Type.Object(
  {
    request,
    done: Type.Optional(conditions),
    /** Of those that are done: it was so before. */
    unchanged: Type.Optional(conditions),
    pending: Type.Optional(pending),
    errors: Type.Optional(failures),
    /** Where the vendor's id of what was made stands. */
    id: Type.Optional(pointer),
    /** What the action's result holds, by name. */
    result: Type.Optional(Type.Record(text, pointer, strict)),
  },
  strict,
);

const poll = Type.Object(
  {
    request,
    done: conditions,
    unchanged: Type.Optional(conditions),
    running: conditions,
    failed: Type.Optional(failures),
    stopped: Type.Optional(conditions),
    everySeconds: Type.Number({ minimum: 0.05, maximum: 3600, default: 5 }),
    id: Type.Optional(pointer),
    result: Type.Optional(Type.Record(text, pointer, strict)),
  },
  strict,
);

const lookup = Type.Object(
  {
    request,
    /** `present`: the action makes such an entry; `absent`: it removes it. */
    wants: Type.Enum(['present', 'absent']),
    /** The list that entries stand in. */
    in: pointer,
    /** By pointer, what an entry has to hold. */
    where: Type.Record(pointer, Type.Unknown(), { minProperties: 1, additionalProperties: false }),
    /** By pointer, what only an entry made by this very action holds. */
    ours: Type.Optional(
      Type.Record(pointer, Type.Unknown(), { minProperties: 1, additionalProperties: false }),
    ),
    id: pointer,
    errors: Type.Optional(failures),
  },
  strict,
);

const cancel = Type.Object(
  {
    request,
    cancelled: Type.Optional(conditions),
    requested: Type.Optional(conditions),
    tooLate: Type.Optional(conditions),
  },
  { ...strict, minProperties: 2 },
);

const plain = Type.Object({ request, done: conditions, errors: Type.Optional(failures) }, strict);

const described = {
  title: text,
  aliases: Type.Optional(Type.Array(text)),
  parameters: Type.Record(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_]{0,62}$' }), Type.Unknown(), {
    ...strict,
    default: {},
  }),
  required: Type.Array(text, { default: [] }),
  blastRadius: Type.Optional(Type.Enum(['isolation'])),
  lane: Type.Optional(Type.Enum(['release', 'containment', 'routine'])),
  mutexKey: Type.Optional(Type.Array(text, { minItems: 1 })),
  requiredPermissions: Type.Optional(Type.Array(text)),
  docUrl: Type.Optional(text),
  deadlineMs: Type.Optional(Type.Integer()),
  attemptTimeoutMs: Type.Optional(Type.Integer()),
};

const head = {
  vendor: text,
  provider: text,
  version: Type.String({ pattern: '^\\d+\\.\\d+\\.\\d+' }),
  title: Type.Optional(text),
  docUrl: Type.Optional(text),
  rateLimits: Type.Optional(
    Type.Array(
      Type.Object(
        {
          calls: Type.Integer({ minimum: 1 }),
          perSeconds: Type.Integer({ minimum: 1, maximum: 86_400 }),
          actions: Type.Optional(Type.Array(text, { minItems: 1 })),
        },
        strict,
      ),
    ),
  ),
};

const actionName = Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_]{0,62}$' });

const httpSchema = Type.Object(
  {
    kind: Type.Literal('http', { default: 'http' }),
    ...head,
    settings: Type.Record(secretName, Type.Unknown(), { ...strict, default: {} }),
    requiredSettings: Type.Array(text, { default: [] }),
    secrets: Type.Object(
      {
        required: Type.Array(secretName, { default: [] }),
        optional: Type.Array(secretName, { default: [] }),
      },
      { ...strict, default: {} },
    ),
    baseUrl: text,
    auth: Type.Optional(
      Type.Object(
        {
          bearer: Type.Optional(secretName),
          basic: Type.Optional(Type.Object({ user: text, password: secretName }, strict)),
          header: Type.Optional(
            Type.Object(
              { name: Type.String({ pattern: '^[A-Za-z0-9-]{1,100}$' }), secret: secretName },
              strict,
            ),
          ),
          clientCredentials: Type.Optional(
            Type.Object(
              { tokenUrl: text, clientId: text, clientSecret: secretName, scope: Type.Optional(text) },
              strict,
            ),
          ),
        },
        { ...strict, minProperties: 1, maxProperties: 1 },
      ),
    ),
    errors: Type.Optional(failures),
    health: Type.Optional(plain),
    actions: Type.Record(
      actionName,
      Type.Object(
        {
          ...described,
          idempotency: Type.Enum(['key', 'natural', 'lookup', 'none']),
          lookup: Type.Optional(lookup),
          execute,
          poll: Type.Optional(poll),
          cancel: Type.Optional(cancel),
          revert: Type.Optional(plain),
        },
        strict,
      ),
      { ...strict, minProperties: 1 },
    ),
  },
  strict,
);

const webhookSchema = Type.Object(
  {
    kind: Type.Literal('webhook'),
    ...head,
    actions: Type.Record(
      actionName,
      Type.Object(
        {
          ...described,
          target: Type.Optional(Type.String({ minLength: 1 })),
          cancellable: Type.Boolean({ default: false }),
          revertible: Type.Boolean({ default: false }),
          supportsExpiry: Type.Boolean({ default: false }),
        },
        strict,
      ),
      { ...strict, minProperties: 1 },
    ),
  },
  strict,
);

/** What a request says of when its effect is to be over; a definition that uses one hands it on to the vendor. */
export const EXPIRY_NAMES = ['action.effectUntil', 'action.effectSeconds'] as const;

export type Condition = Static<typeof condition>;
export type Failure = Static<typeof failure>;
export type RequestTemplate = Static<typeof request>;
export type HttpDefinition = Static<typeof httpSchema>;
export type HttpAction = HttpDefinition['actions'][string];

export type WebhookDefinition = Static<typeof webhookSchema>;

/**
 * Parses and checks a provider definition.
 * @param file named in messages
 * @throws ConfigurationError naming file, line, key and rule
 */
export function parseDefinition(source: string, file: string): HttpDefinition | WebhookDefinition {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) throw new ConfigurationError(`${file}: ${error.message}`);
  const value: unknown = document.toJS({ maxAliasCount: 20 });
  const place = (path: readonly string[]): string => {
    for (let length = path.length; length > 0; length -= 1) {
      const node = document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return `${file}:${lines.linePos(node.range[0]).line}`;
    }
    return file;
  };
  const webhook = typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'webhook';
  const validate = compileSchema(webhook ? webhookSchema : httpSchema);
  if (!validate(value)) {
    // Of an enum, TypeBox' own keyword comes along with JSON Schema's: one sentence is enough.
    const said = schemaProblems(validate).map(
      (problem) => `${place(pathOf(problem.instancePath))}: ${describeSchemaError(problem)}`,
    );
    throw new ConfigurationError([...new Set(said)].join('; '));
  }
  if (webhook) return value as WebhookDefinition;
  const definition = value as HttpDefinition;
  const problems = problemsOf(definition).map(
    ({ path, says }) => `${place(path)}: ${path.join('.')} ${says}`,
  );
  // What is written once and used by an alias has the mistake in each place.
  if (problems.length > 0) throw new ConfigurationError([...new Set(problems)].join('; '));
  return definition;
}

const pathOf = (instancePath: string): string[] =>
  instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

interface Problem {
  readonly path: readonly string[];
  readonly says: string;
}

/** What the schema cannot say: names that nothing declares, and steps that need each other. */
function problemsOf(definition: HttpDefinition): Problem[] {
  const secrets = [...definition.secrets.required, ...definition.secrets.optional];
  const everywhere = [
    ...Object.keys(definition.settings).map((name) => `settings.${name}`),
    ...secrets.map((name) => `secrets.${name}`),
    'instance.id',
  ];
  const problems: Problem[] = [
    ...unknownNames(['baseUrl'], definition.baseUrl, everywhere),
    ...unknownNames(['auth'], definition.auth, everywhere),
    ...unknownNames(['health', 'request'], definition.health?.request, everywhere),
  ];
  // One that begins with a placeholder is known with the settings of an instance.
  if (!/^(?:https?:\/\/|\{)/i.test(definition.baseUrl))
    problems.push({
      path: ['baseUrl'],
      says: `"${definition.baseUrl}" is no https or http URL; write for example https://api.example.com/v1`,
    });
  for (const [name, key] of secretsOf(definition.auth)) {
    if (!secrets.includes(name))
      problems.push({
        path: ['auth', ...key],
        says: `names the secret "${name}", which secrets does not declare`,
      });
  }
  for (const [name, action] of Object.entries(definition.actions)) {
    const at = (...rest: string[]): string[] => ['actions', name, ...rest];
    const known = [
      ...everywhere,
      ...Object.keys(action.parameters).map((parameter) => `parameters.${parameter}`),
      'action.id',
      'action.key',
      'action.tenant',
      ...EXPIRY_NAMES,
    ];
    const removes = action.lookup?.wants === 'absent';
    problems.push(
      ...unknownNames(at('lookup'), action.lookup, known),
      ...unknownNames(
        at('execute', 'request'),
        action.execute.request,
        removes ? [...known, 'found.id'] : known,
      ),
      ...unknownNames(at('poll', 'request'), action.poll?.request, [...known, 'operation.id']),
      ...unknownNames(at('cancel', 'request'), action.cancel?.request, [...known, 'operation.id']),
      ...unknownNames(at('revert', 'request'), action.revert?.request, [...known, 'effect.id']),
    );
    const given = new Set([
      ...alwaysThere('parameters', action.parameters, action.required),
      ...alwaysThere('settings', definition.settings, definition.requiredSettings),
    ]);
    for (const key of ['where', 'ours'] as const)
      for (const used of namesIn(action.lookup?.[key]))
        if (/^(?:parameters|settings)\./.test(used) && !given.has(used))
          problems.push({
            path: at('lookup', key),
            says: `uses {${used}}, which need not be given: an entry that has none would be taken for the one meant. Put it under required, or give it a default`,
          });
    for (const key of ['required', 'mutexKey'] as const) {
      for (const parameter of action[key] ?? []) {
        if (!Object.hasOwn(action.parameters, parameter))
          problems.push({ path: at(key), says: `names "${parameter}", which parameters does not declare` });
      }
    }
    if (action.idempotency === 'lookup' && action.lookup === undefined)
      problems.push({ path: at('idempotency'), says: 'is "lookup", so lookup has to say how to find it' });
    if (action.execute.pending !== undefined && action.poll === undefined)
      problems.push({ path: at('execute', 'pending'), says: 'needs poll, which asks how far it is' });
    if (action.execute.done === undefined && action.execute.pending === undefined)
      problems.push({ path: at('execute'), says: 'needs done or pending: no answer would be a success' });
    if (action.idempotency === 'lookup' && action.execute.pending !== undefined)
      problems.push({
        path: at('idempotency'),
        says: 'is "lookup", which tells what is in place and not what is under way: with pending it is "key", "natural" or "none"',
      });
    // Work that was pending is undone by its operation's id where poll names no other.
    if (
      JSON.stringify(action.revert ?? null).includes('{effect.id}') &&
      action.execute.done !== undefined &&
      action.execute.id === undefined
    )
      problems.push({
        path: at('revert'),
        says: 'uses {effect.id}, so execute.id has to say where it stands',
      });
    for (const step of ['execute', 'poll', 'cancel', 'revert', 'lookup'] as const) {
      const sent = action[step]?.request;
      if (sent?.json !== undefined && sent.form !== undefined)
        problems.push({ path: at(step, 'request'), says: 'has both json and form; a request has one body' });
    }
  }
  return problems;
}

/** Names of a group that have a value on every call. */
function alwaysThere(
  group: string,
  schemas: Readonly<Record<string, unknown>>,
  required: readonly string[],
): string[] {
  return Object.entries(schemas)
    .filter(([name, schema]) => required.includes(name) || Object.hasOwn(Object(schema) as object, 'default'))
    .map(([name]) => `${group}.${name}`);
}

function secretsOf(auth: HttpDefinition['auth']): [string, string[]][] {
  return [
    [auth?.bearer, ['bearer']],
    [auth?.basic?.password, ['basic', 'password']],
    [auth?.header?.secret, ['header', 'secret']],
    [auth?.clientCredentials?.clientSecret, ['clientCredentials', 'clientSecret']],
  ].filter((entry): entry is [string, string[]] => entry[0] !== undefined);
}

function unknownNames(path: readonly string[], value: unknown, known: readonly string[]): Problem[] {
  return namesIn(value)
    .filter((name) => !known.includes(name))
    .map((name) => ({ path, says: `uses {${name}}, which is not known; known: ${known.join(', ')}` }));
}
