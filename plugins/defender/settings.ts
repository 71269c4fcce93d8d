import { ProviderError, RAIL_SETTINGS, Type, type Static } from '#provider-sdk';

const url = (what: string) => Type.Optional(Type.String({ pattern: '^https?://', description: what }));

/** Actions that an instance offers only where its settings name them. */
const OFF_BY_DEFAULT: ReadonlySet<string> = new Set(['OffboardMachine', 'StartInvestigation']);

const DEFAULT_POLL_MS = 5000;

/** What riposte.config.yaml may say of a Defender instance. */
export const settingsSchema = Type.Object(
  {
    tenantId: Type.String({
      pattern: '^[0-9A-Za-z.-]{1,253}$',
      description: 'Directory (tenant) id of the Entra tenant whose machines it acts on.',
      examples: ['11111111-1111-4111-8111-111111111111'],
    }),
    clientId: Type.String({
      pattern: '^[0-9A-Za-z.-]{1,253}$',
      description: 'Application (client) id of the app registration.',
      examples: ['22222222-2222-4222-8222-222222222222'],
    }),
    cloud: Type.Union(
      [Type.Literal('commercial'), Type.Literal('gcc'), Type.Literal('gccHigh'), Type.Literal('dod')],
      { default: 'commercial', description: 'The Microsoft cloud the tenant is in.' },
    ),
    geo: Type.Optional(
      Type.Union(
        [
          Type.Literal('us'),
          Type.Literal('eu'),
          Type.Literal('uk'),
          Type.Literal('au'),
          Type.Literal('swa'),
          Type.Literal('ina'),
        ],
        { description: 'Nearest region of the commercial cloud. Absent: Microsoft picks one.' },
      ),
    ),
    baseUrl: url('The API, in place of the one of cloud and geo; without /api.'),
    loginUrl: url('The token endpoint’s host, in place of that of the cloud.'),
    scope: Type.Optional(
      Type.String({ minLength: 1, description: 'Scope to ask a token for, in place of that of the cloud.' }),
    ),
    actions: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description:
          'The actions it offers, by the names of docs/plugins/defender.md. Absent: all but OffboardMachine and StartInvestigation.',
      }),
    ),
    neverBlock: RAIL_SETTINGS.neverBlock,
    pollEveryMs: Type.Integer({
      minimum: 100,
      maximum: 60_000,
      default: DEFAULT_POLL_MS,
      description:
        'Milliseconds between looks at a young machine action; 3 times as many after 30 s, 12 times after 10 min.',
    }),
  },
  { additionalProperties: false },
);

export type DefenderSettings = Static<typeof settingsSchema>;

interface Cloud {
  readonly api: string;
  readonly login: string;
  readonly scope: string;
}

const GCC = 'https://api-gcc.securitycenter.microsoft.us';
const GOVERNMENT = 'https://api-gov.securitycenter.microsoft.us';
const GOVERNMENT_CLOUD: Cloud = {
  api: GOVERNMENT,
  login: 'https://login.microsoftonline.us',
  scope: `${GOVERNMENT}/.default`,
};

const CLOUDS: Readonly<Record<DefenderSettings['cloud'], Cloud>> = {
  commercial: {
    api: 'https://api.security.microsoft.com',
    login: 'https://login.microsoftonline.com',
    // The older host, also where the newer one is called: with the newer one's scope the API answers 403, see
    // https://github.com/TheHive-Project/Cortex-Analyzers/issues/1480.
    scope: 'https://api.securitycenter.microsoft.com/.default',
  },
  gcc: { api: GCC, login: 'https://login.microsoftonline.com', scope: `${GCC}/.default` },
  gccHigh: GOVERNMENT_CLOUD,
  dod: GOVERNMENT_CLOUD,
};

/**
 * Where an instance's API and token endpoint are, without a slash at the end, and the scope to ask for.
 * @throws ProviderError `permanent` for a geo outside the commercial cloud
 */
export function endpointsOf(settings: DefenderSettings): Cloud {
  const cloud = CLOUDS[settings.cloud];
  const { geo } = settings;
  if (geo !== undefined && settings.cloud !== 'commercial')
    throw new ProviderError(
      'permanent',
      `settings.geo "${geo}" is of the commercial cloud only; remove it for cloud "${settings.cloud}".`,
    );
  const api = geo === undefined ? cloud.api : cloud.api.replace('https://', `https://${geo}.`);
  return {
    api: (settings.baseUrl ?? api).replace(/(?<!\/)\/+$/, ''),
    login: (settings.loginUrl ?? cloud.login).replace(/(?<!\/)\/+$/, ''),
    scope: settings.scope ?? cloud.scope,
  };
}

/** True where the instance offers the action. */
export function isOffered({ actions }: DefenderSettings, action: string): boolean {
  return actions === undefined ? !OFF_BY_DEFAULT.has(action) : actions.includes(action);
}
