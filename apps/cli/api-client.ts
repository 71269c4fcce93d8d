import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { recordSignedToken } from './audit-events.js';
import { guid } from './guid.js';

/** What a command on the HTTP API ends with. */
export const EXIT = {
  ok: 0,
  refused: 1,
  usage: 2,
  actionFailed: 3,
  outcomeUnknown: 4,
  unreachable: 5,
} as const;

/** Milliseconds an answer may take: longer than the API takes over its slowest. */
const ANSWER_WITHIN_MS = 30_000;
/** Milliseconds that a read goes on being asked for which is known to have an answer. */
const PATIENCE_MS = 60_000;
/** Milliseconds until it is asked for again where nobody says when, and at most. */
const AGAIN_MS = 1000;
const AGAIN_MOST_MS = 10_000;
const DEFAULT_URL = 'http://127.0.0.1:3000';
/** Seconds a token lives that was signed for one command, which may wait for an action. */
const TOKEN_SECONDS = 24 * 3600;

/** A failure to tell the user in words, with the code to exit with. */
export class CommandError extends Error {
  constructor(
    readonly exitCode: number,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A failure that may pass: a read can be asked for again. */
class PassingError extends CommandError {
  /** @param againInMs milliseconds until then */
  constructor(
    exitCode: number,
    message: string,
    readonly againInMs: number = AGAIN_MS,
    options?: ErrorOptions,
  ) {
    super(exitCode, message, options);
  }
}

/** What every command on the API takes. */
export interface ApiOptions {
  readonly url?: string;
  readonly tenant?: string;
  readonly app?: string;
  readonly output?: 'table' | 'json';
}

/** The HTTP API as one caller. */
export class ApiClient {
  private constructor(
    readonly baseUrl: string,
    readonly token: string,
    readonly withinMs: number,
  ) {}

  /**
   * With the token that the environment has, or that it has the means for: `RIPOSTE_TOKEN`; `RIPOSTE_CLIENT_ID`,
   * `RIPOSTE_CLIENT_SECRET` and `RIPOSTE_TENANT`; or, on the installation's own machine, a tenant and an application.
   *
   * @throws CommandError saying which of them to give
   */
  static async open(
    options: ApiOptions,
    env: Readonly<Record<string, string | undefined>>,
    withinMs = ANSWER_WITHIN_MS,
  ): Promise<ApiClient> {
    const baseUrl = baseUrlOf(options.url ?? (env['RIPOSTE_URL'] || DEFAULT_URL));
    return new ApiClient(baseUrl, await tokenFor(baseUrl, options, env, withinMs), withinMs);
  }

  /** @throws CommandError where there is no answer, or a refusal */
  get<T>(address: string): Promise<T> {
    return this.#request<T>('GET', address);
  }

  /**
   * As {@link get}, of what is known to be there: asked for again, for a minute, while the API, or what it needs, does not
   * answer or has too much to do.
   * @throws CommandError as `get`
   */
  async getAtLast<T>(address: string): Promise<T> {
    for (const endAt = performance.now() + PATIENCE_MS; ;) {
      try {
        return await this.get<T>(address);
      } catch (error) {
        if (!(error instanceof PassingError) || performance.now() + error.againInMs > endAt) throw error;
        await sleep(error.againInMs);
      }
    }
  }

  /**
   * Sent once.
   * @throws CommandError with a code of `outcomeUnknown` and above where nobody can say whether it was done; else it was not
   */
  post<T>(address: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<T> {
    return this.#request<T>('POST', address, body, headers);
  }

  async #request<T>(
    method: string,
    address: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<T> {
    const response = await send(`${this.baseUrl}${address}`, this.withinMs, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = await jsonOf(response);
    if (!response.ok) throw refusal(response, answer);
    if (answer !== UNREADABLE) return answer as T;
    throw new PassingError(
      method === 'GET' ? EXIT.unreachable : EXIT.outcomeUnknown,
      `HTTP ${response.status}: the answer cannot be read. Check RIPOSTE_URL, and what stands between.`,
    );
  }
}

/** A command on the API. */
export function apiCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--url <url>', `the API; else RIPOSTE_URL, else ${DEFAULT_URL}`)
    .option('--tenant <guid>', 'on its own machine: sign a token for this tenant; else RIPOSTE_TENANT', guid)
    .option('--app <guid>', 'on its own machine: sign a token for this application', guid)
    .option('-o, --output <form>', 'table or json; a terminal gets a table, else it is JSON', outputForm);
}

/** Makes wrong usage of a command, and of all below it, tell the right one and end with 2. */
export function tellUsage(command: Command): void {
  command
    .showHelpAfterError()
    .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage));
  for (const below of command.commands) tellUsage(below);
}

function outputForm(text: string): string {
  if (text === 'table' || text === 'json') return text;
  throw new CommandError(EXIT.usage, `-o has to be table or json; it is "${text}".`);
}

async function tokenFor(
  baseUrl: string,
  options: ApiOptions,
  env: Readonly<Record<string, string | undefined>>,
  withinMs: number,
): Promise<string> {
  const tenantId = options.tenant ?? env['RIPOSTE_TENANT'];
  if (options.app !== undefined) {
    if (tenantId === undefined)
      throw new CommandError(EXIT.usage, '--app needs --tenant (or RIPOSTE_TENANT).');
    const { BuiltinIssuer } = await import('#auth');
    const dataDir = path.resolve(env['RIPOSTE_DATA_DIR'] || '.riposte');
    const issuer = await BuiltinIssuer.open(dataDir);
    const wanted = {
      tenantId,
      appId: options.app,
      roles: ['SecurityActions.ReadWrite.All', 'Riposte.Operator'],
    };
    await recordSignedToken(dataDir, wanted);
    return issuer.issue({ ...wanted, expiresInSeconds: TOKEN_SECONDS });
  }
  const token = env['RIPOSTE_TOKEN'];
  if (token) return token;
  const [clientId, secret] = [env['RIPOSTE_CLIENT_ID'], env['RIPOSTE_CLIENT_SECRET']];
  if (clientId && secret) {
    if (tenantId === undefined)
      throw new CommandError(EXIT.usage, 'RIPOSTE_CLIENT_ID needs RIPOSTE_TENANT (or --tenant), a GUID.');
    return tokenOfClient(`${baseUrl}/${encodeURIComponent(tenantId)}`, clientId, secret, withinMs);
  }
  throw new CommandError(
    EXIT.usage,
    'There is no access token. Set RIPOSTE_TOKEN; or RIPOSTE_CLIENT_ID, RIPOSTE_CLIENT_SECRET and RIPOSTE_TENANT; or, on the machine of the installation, give --tenant GUID --app GUID.',
  );
}

async function tokenOfClient(
  issuer: string,
  clientId: string,
  secret: string,
  withinMs: number,
): Promise<string> {
  const response = await send(`${issuer}/oauth2/v2.0/token`, withinMs, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: secret,
      scope: 'api://riposte/.default',
    }),
  });
  const answer = (await jsonOf(response)) as {
    readonly access_token?: string;
    readonly error_description?: string;
  } | null;
  if (response.ok && answer?.access_token !== undefined) return answer.access_token;
  throw new CommandError(
    EXIT.refused,
    `No token for client ${clientId}: ${answer?.error_description ?? `HTTP ${response.status}`}`,
  );
}

async function send(url: string, withinMs: number, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(withinMs) });
  } catch (cause) {
    const { origin } = new URL(url);
    throw new PassingError(
      EXIT.unreachable,
      `${origin} does not answer: ${reasonOf(cause)}. Check RIPOSTE_URL.`,
      AGAIN_MS,
      { cause },
    );
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no answer';
  if (error.name === 'TimeoutError') return 'no answer in time';
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return cause.message || ((cause as NodeJS.ErrnoException).code ?? error.message);
}

const UNREADABLE = Symbol('unreadable');

/** Null: it is empty. `UNREADABLE`: it was cut off, or is no JSON. */
async function jsonOf(response: Response): Promise<unknown> {
  try {
    const text = await response.text();
    return text === '' ? null : JSON.parse(text);
  } catch {
    return UNREADABLE;
  }
}

function refusal(response: Response, answer: unknown): CommandError {
  const { error } = (answer ?? {}) as {
    readonly error?: { readonly code?: string; readonly message?: string };
  };
  const requestId = response.headers.get('request-id');
  const exitCode =
    error?.code === 'outcomeUnknown'
      ? EXIT.outcomeUnknown
      : response.status === 502 || response.status === 503 || response.status === 504
        ? EXIT.unreachable
        : EXIT.refused;
  const what =
    error === undefined
      ? `HTTP ${response.status}: this is no answer of Riposte. Check RIPOSTE_URL`
      : `${error.code ?? response.status}: ${error.message ?? ''}`;
  const message = `${what}${requestId === null ? '' : ` (request-id ${requestId})`}`;
  if (exitCode !== EXIT.unreachable && response.status !== 429) return new CommandError(exitCode, message);
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  const againInMs = Number.isNaN(seconds) ? AGAIN_MS : seconds * 1000;
  return new PassingError(exitCode, message, Math.min(Math.max(againInMs, AGAIN_MS), AGAIN_MOST_MS));
}

function baseUrlOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '')
    throw new CommandError(EXIT.usage, `The API's address has to be a URL, for example ${DEFAULT_URL}.`);
  return url.href.replace(/(?<!\/)\/+$/, '');
}
