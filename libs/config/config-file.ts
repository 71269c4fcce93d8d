import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { ConfigurationError } from '#domain';
import { Type, compileSchema, describeSchemaError, type Static } from '#provider-sdk';

const GUID = '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$';

/** A second, for tests, to a century. */
const keepDays = Type.Number({ minimum: 0.00001, maximum: 36_500 });

/** Actions of a provider instance that may wait to be started. */
const DEFAULT_BACKLOG = 100_000;
/** Requests a second of one application. */
const DEFAULT_PER_APP = 100;

const schema = Type.Object(
  {
    providers: Type.Array(
      Type.Object(
        {
          id: Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' }),
          plugin: Type.String(),
          subProvider: Type.Optional(Type.String({ minLength: 1 })),
          tenants: Type.Array(Type.Union([Type.Literal('*'), Type.String({ pattern: GUID })]), {
            minItems: 1,
            default: ['*'],
          }),
          settings: Type.Record(Type.String(), Type.Unknown(), { default: {} }),
          secrets: Type.Record(Type.String(), Type.String({ pattern: '^(env|file):.+$' }), { default: {} }),
          limits: Type.Object(
            {
              concurrency: Type.Integer({ minimum: 1, maximum: 1000, default: 16 }),
              backlog: Type.Integer({ minimum: 1, maximum: 10_000_000, default: DEFAULT_BACKLOG }),
            },
            { additionalProperties: false, default: {} },
          ),
          deadlineMs: Type.Optional(Type.Integer({ minimum: 1000, maximum: 604_800_000 })),
          attemptTimeoutMs: Type.Optional(Type.Integer({ minimum: 100, maximum: 600_000 })),
        },
        { additionalProperties: false },
      ),
    ),
    limits: Type.Object(
      { perApp: Type.Integer({ minimum: 0, maximum: 100_000, default: DEFAULT_PER_APP }) },
      { additionalProperties: false, default: {} },
    ),
    retention: Type.Optional(
      Type.Object(
        {
          keepDays: Type.Optional(keepDays),
          archiveDir: Type.Optional(Type.String({ pattern: '^/' })),
          tenants: Type.Record(
            Type.String({ pattern: GUID }),
            Type.Object({ keepDays }, { additionalProperties: false }),
            { additionalProperties: false, default: {} },
          ),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);

/** The installation's configuration, as written: secrets are references. */
export type RiposteConfig = Static<typeof schema>;

/** What runs when `npm start` finds no configuration: the mock provider, for every tenant. */
export const EMBEDDED_DEFAULT: RiposteConfig = {
  providers: [
    {
      id: 'mock',
      plugin: 'mock',
      tenants: ['*'],
      settings: {},
      secrets: {},
      limits: { concurrency: 16, backlog: DEFAULT_BACKLOG },
    },
  ],
  limits: { perApp: DEFAULT_PER_APP },
};

const FILE_NAME = 'riposte.config.yaml';

/**
 * The configuration from `RIPOSTE_CONFIG`, else `riposte.config.yaml` in the working directory, else (for
 * `npm start`, which sets `RIPOSTE_EMBEDDED=1`) the embedded default.
 *
 * @throws ConfigurationError naming file and key
 */
export async function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  workingDir: string,
): Promise<RiposteConfig> {
  const named = env['RIPOSTE_CONFIG'];
  const file = path.resolve(workingDir, named === undefined || named === '' ? FILE_NAME : named);
  try {
    return parseConfig(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing && (named === undefined || named === '')) {
      if (env['RIPOSTE_EMBEDDED'] === '1') return EMBEDDED_DEFAULT;
      throw new ConfigurationError(
        `no configuration: set RIPOSTE_CONFIG, or put ${FILE_NAME} into ${workingDir}`,
        { cause: error },
      );
    }
    throw new ConfigurationError(`RIPOSTE_CONFIG: ${file} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/**
 * Parses and checks a configuration.
 * @param file named in messages
 * @throws ConfigurationError naming file, line (of what is no YAML) or key (of what is not known or not valid)
 */
export function parseConfig(text: string, file: string): RiposteConfig {
  const document = parseDocument(text, { lineCounter: new LineCounter(), uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) throw new ConfigurationError(`${file}: ${error.message}`);
  const value: unknown = document.toJS({ maxAliasCount: 20 });
  const validate = compileSchema(schema);
  if (!validate(value)) {
    throw new ConfigurationError(
      `${file}: ${(validate.errors ?? []).map((problem) => describeSchemaError(problem)).join('; ')}`,
    );
  }
  return value as RiposteConfig;
}
