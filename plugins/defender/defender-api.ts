import {
  AddressRefused,
  ProviderError,
  Type,
  type InstanceContext,
  type Json,
  type ProviderErrorClass,
  type Static,
} from '#provider-sdk';
import type { AccessToken, AccessTokens } from './access-tokens.js';
import { endpointsOf, type DefenderSettings } from './settings.js';

export type Context = InstanceContext<DefenderSettings>;
type Schema = NonNullable<Parameters<Context['http']['request']>[0]['answer']>;

export interface DefenderRequest<Answer extends Schema = Schema> {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Below /api, percent-encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly json?: Json;
  readonly answer?: Answer;
  readonly accept?: readonly number[];
  readonly maxBytes?: number;
  /** Application permissions any one of which suffices for it; named where the vendor refuses. */
  readonly needs: readonly string[];
}

export interface DefenderAnswer<Answer extends Schema = Schema> {
  readonly status: number;
  readonly body: Static<Answer>;
}

/** A failure that Defender gave a code; messages are free text, so that codes are what to branch on. */
export class DefenderError extends ProviderError {
  constructor(
    errorClass: ProviderErrorClass,
    message: string,
    readonly vendorCode: string,
    from: ProviderError,
  ) {
    super(errorClass, message, {
      httpStatus: from.httpStatus,
      ...(from.retryAfterMs === null ? {} : { retryAfterMs: from.retryAfterMs }),
      ...(from.cause === undefined ? {} : { cause: from.cause }),
    });
  }
}

/** Codes that mean something besides their status. See https://learn.microsoft.com/defender-endpoint/api/common-errors. */
const CLASS_OF_CODE: Readonly<Record<string, ProviderErrorClass>> = {
  OsPlatformNotSupported: 'unsupported',
  ClientVersionNotSupported: 'unsupported',
  // What to do about it depends on what is under way there; who asks finds out.
  ActiveRequestAlreadyExists: 'conflict',
};

/** Defender's API for one plugin: tokens and failures are the same for all its calls. */
export class DefenderApi {
  constructor(readonly tokens: AccessTokens) {}

  /**
   * Sends one request. A token that is refused is dropped and another tried once.
   * @throws ProviderError with a message that says what to do; `DefenderError` where the vendor gave a code
   */
  async request<Answer extends Schema = Schema>(
    context: Context,
    request: DefenderRequest<Answer>,
  ): Promise<DefenderAnswer<Answer>> {
    const token = await this.#token(context);
    try {
      return await this.#send(context, token, request);
    } catch (error) {
      if (!isRefused(error)) throw error;
      this.tokens.forget(context, token);
    }
    const fresh = await this.#token(context);
    try {
      return await this.#send(context, fresh, request);
    } catch (error) {
      if (!isRefused(error)) throw error;
      this.tokens.forget(context, fresh);
      const { api, scope } = endpointsOf(context.settings);
      throw new ProviderError(
        'auth',
        `Defender at ${hostOf(api)} refused a token that Entra ID had just given for scope ${scope}. Check settings.cloud, settings.baseUrl and settings.scope: they have to be of one cloud.`,
        { httpStatus: 401, cause: error },
      );
    }
  }

  async #token(context: Context): Promise<AccessToken> {
    try {
      return await this.tokens.get(context);
    } catch (error) {
      throw reaching(error, hostOf(endpointsOf(context.settings).login));
    }
  }

  async #send<Answer extends Schema>(
    context: Context,
    token: AccessToken,
    { path, query = {}, needs, ...rest }: DefenderRequest<Answer>,
  ): Promise<DefenderAnswer<Answer>> {
    const { api } = endpointsOf(context.settings);
    // Not by URLSearchParams: its `+` for a blank is not one in every OData parser.
    const asked = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    let failure: Failure = NO_FAILURE;
    try {
      const { status, body } = await context.http.request<Answer>({
        ...rest,
        url: `${api}/api${path}${asked.length === 0 ? '' : `?${asked.join('&')}`}`,
        headers: { authorization: `Bearer ${token.value}` },
        classify: ({ body: told }) => {
          failure = failureIn(told);
          const errorClass = CLASS_OF_CODE[failure.code];
          return errorClass === undefined ? undefined : { errorClass };
        },
      });
      return { status, body };
    } catch (error) {
      if (error instanceof ProviderError && error.errorClass === 'permission')
        throw forbidden(error, failure, context, token, needs);
      throw coded(reaching(error, hostOf(api)), failure);
    }
  }
}

interface Failure {
  readonly code: string;
  /** Microsoft's correlation id; their support asks for it. */
  readonly target: string;
}
const NO_FAILURE: Failure = { code: '', target: '' };

function failureIn(body: unknown): Failure {
  const { error } = (typeof body === 'object' && body !== null ? body : {}) as { readonly error?: unknown };
  if (typeof error !== 'object' || error === null) return NO_FAILURE;
  const { code, target } = error as Readonly<Record<string, unknown>>;
  const plain = (value: unknown): string =>
    typeof value === 'string' && /^[\w|.-]{1,100}$/.test(value) ? value : '';
  return { code: plain(code), target: plain(target) };
}

function isRefused(error: unknown): error is ProviderError {
  return error instanceof DefenderError && error.httpStatus === 401;
}

/** Where the vendor cannot be reached, the message says from where to where. */
function reaching(error: unknown, host: string): unknown {
  if (!(error instanceof ProviderError) || error instanceof AddressRefused) return error;
  if (error.errorClass !== 'unreachable') return error;
  return new ProviderError(
    'unreachable',
    `${host} cannot be reached from this worker. ${error.message} Check its DNS, proxy and firewall rules: https to that host has to be open.`,
    { cause: error.cause },
  );
}

function coded(error: unknown, failure: Failure): unknown {
  if (!(error instanceof ProviderError) || error.httpStatus === 0) return error;
  const correlation = failure.target === '' ? '' : ` (correlation id ${failure.target})`;
  return new DefenderError(error.errorClass, `${error.message}${correlation}`, failure.code, error);
}

function forbidden(
  error: ProviderError,
  failure: Failure,
  { settings }: Context,
  { roles }: AccessToken,
  needs: readonly string[],
): DefenderError {
  const permission = needs.join(' or ');
  const missing = roles !== null && !needs.some((name) => roles.includes(name));
  const advice =
    roles === null || missing
      ? `Application ${settings.clientId} ${missing ? 'lacks' : 'probably lacks'} the application permission ${permission} of WindowsDefenderATP: add it in Entra admin center > App registrations > API permissions, and grant admin consent.`
      : `Its token has ${needs.filter((name) => roles.includes(name)).join(', ')}, so look at what else forbids it: a feature that is off in Defender's settings, the licence, or a device group.`;
  return new DefenderError(
    'permission',
    `Defender forbids it. ${advice} ${error.message}`,
    failure.code,
    error,
  );
}

const hostOf = (url: string): string => new URL(url).host;

/** `'` doubled, as OData wants it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A text that the vendor may leave out or give as null. */
export const maybeText = Type.Optional(Type.Union([Type.String(), Type.Null()]));

export const READ_MACHINES = ['Machine.Read.All', 'Machine.ReadWrite.All'] as const;
export const INDICATORS = ['Ti.ReadWrite.All', 'Ti.ReadWrite'] as const;
