import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { ConfigurationError } from '#domain';
import { Type, compileSchema, describeSchemaError, schemaProblems, type Static } from '#provider-sdk';
import { authSchema, issuerProblems, usesBuiltinIssuer } from './auth-settings.js';
import { CONSOLE_DEFAULT, consoleSchema } from './console-settings.js';
import { GUID } from './guid.js';
import { METRICS_DEFAULT, metricsSchema } from './metrics.js';

/** A second, for tests, to a century. */
const keepDays = Type.Number({ minimum: 0.00001, maximum: 36_500 });

/** Actions of a provider instance that may wait to be started. */
const DEFAULT_BACKLOG = 100_000;
/** Requests a second of one application. */
const DEFAULT_PER_APP = 100;

/** Machines that one application may cut off in an hour. */
const DEFAULT_ISOLATIONS = 50;

/** Share of a vendor's quota that is kept for cancels and releases. */
const DEFAULT_RESERVE = 0.2;

const rateWindow = Type.Object(
  {
    calls: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    perSeconds: Type.Integer({ minimum: 1, maximum: 86_400 }),
    actions: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })),
  },
  { additionalProperties: false },
);

/** Where a secret is: never itself. */
const secretReference = Type.String({ pattern: '^(env|file):.+$', examples: ['env:API_KEY'] });

/** Actions of a class that one application may ask for in an hour; 0: as many as it likes. */
const perHour = { minimum: 0, maximum: 10_000 };

/** A plugin that is not shipped: a package, or a description of a simple vendor. */
const outsidePlugin = Type.Object(
  {
    package: Type.Optional(Type.String({ minLength: 1 })),
    definition: Type.Optional(Type.String({ minLength: 1 })),
    memoryMb: Type.Integer({ minimum: 32, maximum: 8192, default: 256 }),
    sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
    watch: Type.Boolean({ default: false }),
  },
  { additionalProperties: false },
);

/** Minutes for which a notification is tried; as Graph does. */
const DEFAULT_NOTIFY_MINUTES = 240;

const notificationsSchema = Type.Object(
  {
    /** Where notifications may go besides public addresses over TLS. */
    network: Type.Object(
      {
        allow: Type.Array(Type.String({ format: 'cidr', examples: ['10.20.0.0/16'] }), { default: [] }),
        ports: Type.Array(Type.Integer({ minimum: 1, maximum: 65_535 }), { default: [] }),
      },
      { additionalProperties: false, default: {} },
    ),
    tryMinutes: Type.Number({ minimum: 0.01, maximum: 10_080, default: DEFAULT_NOTIFY_MINUTES }),
  },
  { additionalProperties: false, default: {} },
);

const schema = Type.Object(
  {
    plugins: Type.Record(Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' }), outsidePlugin, {
      additionalProperties: false,
      default: {},
    }),
    providers: Type.Array(
      Type.Object(
        {
          id: Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$', examples: ['firewall-hq'] }),
          plugin: Type.String(),
          subProvider: Type.Optional(Type.String({ minLength: 1 })),
          tenants: Type.Array(Type.Union([Type.Literal('*'), Type.String({ pattern: GUID })]), {
            minItems: 1,
            default: ['*'],
          }),
          settings: Type.Record(Type.String(), Type.Unknown(), { default: {} }),
          secrets: Type.Record(Type.String(), secretReference, { default: {} }),
          limits: Type.Object(
            {
              concurrency: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
              backlog: Type.Integer({ minimum: 1, maximum: 10_000_000, default: DEFAULT_BACKLOG }),
              windows: Type.Optional(Type.Array(rateWindow, { maxItems: 20 })),
              reserve: Type.Number({ minimum: 0, maximum: 0.9, default: DEFAULT_RESERVE }),
              blastRadius: Type.Optional(
                Type.Object(
                  {
                    isolation: Type.Optional(
                      Type.Object({ perHour: Type.Integer(perHour) }, { additionalProperties: false }),
                    ),
                  },
                  { additionalProperties: false },
                ),
              ),
            },
            { additionalProperties: false, default: {} },
          ),
          network: Type.Object(
            {
              allow: Type.Array(Type.String({ format: 'cidr', examples: ['10.20.0.0/16'] }), { default: [] }),
              ports: Type.Array(Type.Integer({ minimum: 1, maximum: 65_535 }), { default: [] }),
              ca: Type.Optional(Type.String({ minLength: 1, examples: ['./firewall-ca.pem'] })),
              clientCertificate: Type.Optional(Type.String({ minLength: 1, examples: ['./riposte.pem'] })),
              clientKey: Type.Optional(secretReference),
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
      {
        perApp: Type.Integer({ minimum: 0, maximum: 100_000, default: DEFAULT_PER_APP }),
        blastRadius: Type.Object(
          {
            isolation: Type.Object(
              { perHour: Type.Integer({ ...perHour, default: DEFAULT_ISOLATIONS }) },
              { additionalProperties: false, default: {} },
            ),
          },
          { additionalProperties: false, default: {} },
        ),
      },
      { additionalProperties: false, default: {} },
    ),
    auth: Type.Optional(authSchema),
    console: consoleSchema,
    audit: Type.Optional(
      Type.Object(
        { headsFile: Type.Optional(Type.String({ pattern: '^/', examples: ['/mnt/worm/riposte-heads'] })) },
        { additionalProperties: false },
      ),
    ),
    metrics: metricsSchema,
    tracing: Type.Object(
      { propagateToVendors: Type.Boolean({ default: false }) },
      { additionalProperties: false, default: {} },
    ),
    notifications: notificationsSchema,
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
  plugins: {},
  providers: [
    {
      id: 'mock',
      plugin: 'mock',
      tenants: ['*'],
      settings: {},
      secrets: {},
      limits: { backlog: DEFAULT_BACKLOG, reserve: DEFAULT_RESERVE },
      network: { allow: [], ports: [] },
    },
  ],
  limits: { perApp: DEFAULT_PER_APP, blastRadius: { isolation: { perHour: DEFAULT_ISOLATIONS } } },
  console: CONSOLE_DEFAULT,
  metrics: METRICS_DEFAULT,
  tracing: { propagateToVendors: false },
  notifications: { network: { allow: [], ports: [] }, tryMinutes: DEFAULT_NOTIFY_MINUTES },
};

const FILE_NAME = 'riposte.config.yaml';

/** The configuration's file: what is relative in it is so to its folder. It need not be there. */
export function configFileOf(env: Readonly<Record<string, string | undefined>>, workingDir: string): string {
  return path.resolve(workingDir, env['RIPOSTE_CONFIG'] || FILE_NAME);
}

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
  const file = configFileOf(env, workingDir);
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
 * What `make` makes of a configuration, with its file in what it refuses.
 * @throws ConfigurationError naming the file, and the key as `make` does
 */
export async function inFile<T>(file: string, make: () => T | Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof ConfigurationError) || error.message.startsWith(file)) throw error;
    throw new ConfigurationError(`${file}: ${error.message}`, { cause: error });
  }
}

/** What is wrong with a value, with one that would be right where the schema has it. */
function withExample(problem: Parameters<typeof describeSchemaError>[0]): string {
  const examples = problem.parentSchema?.['examples'] as readonly unknown[] | undefined;
  return `${describeSchemaError(problem)}${examples === undefined ? '' : ` (for example ${String(examples[0])})`}`;
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
    throw new ConfigurationError(`${file}: ${schemaProblems(validate).map(withExample).join('; ')}`);
  }
  const config = value as RiposteConfig;
  for (const [name, { package: folder, definition }] of Object.entries(config.plugins)) {
    if ((folder === undefined) === (definition === undefined))
      throw new ConfigurationError(
        `${file}: plugins.${name} needs one of package and definition, for example package: ./plugins/${name}`,
      );
  }
  const problems = issuerProblems(config.auth?.issuers ?? []);
  if (problems.length > 0) throw new ConfigurationError(`${file}: ${problems.join('; ')}`);
  if (config.auth?.issuers.length === 0 && !usesBuiltinIssuer(config)) {
    throw new ConfigurationError(
      `${file}: auth.builtin is false and auth.issuers is empty: nobody could call the API`,
    );
  }
  return config;
}
