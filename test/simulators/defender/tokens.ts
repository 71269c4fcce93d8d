import { randomBytes, randomUUID } from 'node:crypto';
import { SignJWT, errors, jwtVerify } from 'jose';
import { Refusal } from './refusal.js';

/** An application registered in a tenant. */
export interface App {
  readonly secret: string;
  /** Default false. */
  readonly secretExpired?: boolean;
  /** The permissions consented to. Default: all that the simulator knows. */
  readonly roles?: readonly string[];
}

/** The tenants there are, and their applications by client id. */
export type Directory = Readonly<Record<string, Readonly<Record<string, App>>>>;

/** Whom a token speaks for. */
export interface Caller {
  readonly tenantId: string;
  readonly appId: string;
  readonly roles: readonly string[];
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

export const ALL_ROLES = [
  'Machine.Read.All',
  'Machine.ReadWrite.All',
  'Machine.Isolate',
  'Machine.RestrictExecution',
  'Machine.Scan',
  'Machine.StopAndQuarantine',
  'Machine.CollectForensics',
  'Machine.Offboard',
  'Machine.LiveResponse',
  'Alert.ReadWrite.All',
  'Ti.ReadWrite.All',
] as const;

/** What a token has to be for. One for api.security.microsoft.com is given out, and refused by the API. */
const AUDIENCES = [
  'https://api.securitycenter.microsoft.com',
  'https://securitycenter.onmicrosoft.com/windowsatpservice',
  'https://api-gcc.securitycenter.microsoft.us',
  'https://api-gov.securitycenter.microsoft.us',
];

/** Gives out tokens for client credentials, with Entra's refusals, and reads them again. */
export class Tokens {
  #key = randomBytes(32);
  #directory: Directory;
  #issued = 0;

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  get directory(): Directory {
    return this.#directory;
  }

  /** How many were given out. */
  get issued(): number {
    return this.#issued;
  }

  register(tenantId: string, appId: string, app: App): void {
    this.#directory = {
      ...this.#directory,
      [tenantId]: { ...this.#directory[tenantId], [appId]: app },
    };
  }

  /** Answers a request at the token endpoint of a tenant. */
  async answer(tenantId: string, form: URLSearchParams, holdsSeconds: number): Promise<Answer> {
    const apps = this.#directory[tenantId.toLowerCase()];
    const appId = form.get('client_id') ?? '';
    const scope = form.get('scope') ?? '';
    const app = apps?.[appId.toLowerCase()];
    if (apps === undefined) return refuse(400, 'invalid_request', 90_002, `Tenant '${tenantId}' not found.`);
    if (appId === '')
      return refuse(400, 'invalid_request', 900_144, "The request body must contain 'client_id'.");
    if (form.get('grant_type') !== 'client_credentials')
      return refuse(400, 'unsupported_grant_type', 70_003, 'The grant type is not supported.');
    if (app === undefined)
      return refuse(
        400,
        'unauthorized_client',
        700_016,
        `Application with identifier '${appId}' was not found in the directory '${tenantId}'.`,
      );
    if (form.get('client_secret') !== app.secret)
      return refuse(401, 'invalid_client', 7_000_215, `Invalid client secret provided for app '${appId}'.`);
    if (app.secretExpired === true)
      return refuse(
        401,
        'invalid_client',
        7_000_222,
        `The provided client secret keys for app '${appId}' are expired.`,
      );
    if (!scope.endsWith('/.default'))
      return refuse(400, 'invalid_scope', 1_002_012, `The scope '${scope}' is not valid.`);
    this.#issued += 1;
    const token = await new SignJWT({
      tid: tenantId.toLowerCase(),
      appid: appId.toLowerCase(),
      roles: app.roles ?? ALL_ROLES,
    })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuer(`https://sts.windows.net/${tenantId}/`)
      .setAudience(scope.slice(0, -'/.default'.length))
      .setIssuedAt()
      .setExpirationTime(Math.floor(Date.now() / 1000) + holdsSeconds)
      .sign(this.#key);
    return {
      status: 200,
      body: {
        token_type: 'Bearer',
        expires_in: holdsSeconds,
        ext_expires_in: holdsSeconds,
        access_token: token,
      },
    };
  }

  /** @throws Refusal 401 for one that does not hold; 403 for one that is for another API */
  async read(authorization: string | undefined): Promise<Caller> {
    const unauthorized = new Refusal(401, 'Unauthorized', 'Invalid or expired token');
    const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) throw unauthorized;
    try {
      const { payload } = await jwtVerify(token, this.#key);
      if (!AUDIENCES.includes(String(payload.aud)))
        throw new Refusal(403, 'Forbidden', 'The token is not for this resource');
      return {
        tenantId: String(payload['tid']),
        appId: String(payload['appid']),
        roles: payload['roles'] as readonly string[],
      };
    } catch (error) {
      throw error instanceof errors.JOSEError ? unauthorized : error;
    }
  }

  /** None of the tokens given out holds any longer. */
  expireAll(): void {
    this.#key = randomBytes(32);
  }
}

function refuse(status: number, error: string, code: number, description: string): Answer {
  const traceId = randomUUID();
  const correlationId = randomUUID();
  const timestamp = new Date().toISOString().replace('T', ' ').replace(/\.\d+/, '');
  return {
    status,
    body: {
      error,
      error_description: `AADSTS${code}: ${description} Trace ID: ${traceId} Correlation ID: ${correlationId} Timestamp: ${timestamp}`,
      error_codes: [code],
      timestamp,
      trace_id: traceId,
      correlation_id: correlationId,
    },
  };
}
