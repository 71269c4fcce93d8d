import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib';
import { ExponentialBackoff, fullJitterGenerator, handleWhen, retry } from 'cockatiel';
import type { Static, TSchema } from 'typebox';
import { DecoratorHandler, request as send, type Dispatcher } from 'undici';
import { certificateProblem } from './certificate-problems.js';
import { AddressRefused, CertificateRefused, ProviderError, type ProviderErrorClass } from './errors.js';
import { compileSchema, describeSchemaError } from './json-schema.js';
import { RefusedAddress, checkedUrl, resolveBySystem } from './network-guard.js';
import { NotConnected, vendorAgent } from './vendor-agent.js';
import type { VendorHttp, VendorRequest, VendorResponse } from './vendor-http.js';
import { madeOf, type VendorHttpOptions } from './vendor-http-origin.js';
import { parseStrangersJson } from './vendor-json.js';
import { plainWords, wordsOfFailure } from './vendor-words.js';

const TIMEOUT_MS = 30_000;
/** Until the answer begins, where a request does not say how long it may take. */
const HEADERS_TIMEOUT_MS = 10_000;
const MOST_BYTES = 1_048_576;
/** Times that a request is sent again. */
const MOST_RETRIES = 2;
const RETRY_DELAY_MS = 100;
const RETRY_MOST_MS = 1000;
const RETRY_AFTER_LEAST_MS = 1000;
/** Headers whose values are no credentials, and of use in a message. */
const HARMLESS_HEADERS: ReadonlySet<string> = new Set(
  'accept accept-charset accept-language cache-control content-disposition content-encoding content-language content-type date idempotency-key if-match if-modified-since if-none-match if-unmodified-since pragma prefer range user-agent webhook-id webhook-timestamp x-request-id'.split(
    ' ',
  ),
);
/** Characters; to take out what is shorter would take words apart and hide nothing. */
const SHORTEST_CREDENTIAL = 6;
const RETRY_AFTER_MOST_MS = 3_600_000;

/** Headers that say where a request goes and how it is framed: not for a plugin to set. */
const OWN_HEADERS: ReadonlySet<string> = new Set(
  'host connection content-length transfer-encoding keep-alive upgrade te trailer expect proxy-authorization proxy-connection accept-encoding'.split(
    ' ',
  ),
);

const CLASS_OF_STATUS: Readonly<Record<number, ProviderErrorClass>> = {
  401: 'auth',
  403: 'permission',
  404: 'targetNotFound',
  409: 'conflict',
  429: 'rateLimited',
  507: 'capacity',
};
/** The vendor's side gave up waiting, or would not look at it yet; says nothing about the request. */
const ABOUT_TIME: ReadonlySet<number> = new Set([408, 425]);
/** Passes, as a rule, within a moment. */
const MOMENTARY: ReadonlySet<number> = new Set([502, 503, 504]);

/** The way to the vendor for one call of a plugin. */
export function vendorHttp(options: VendorHttpOptions): VendorHttp {
  return madeOf({ request: (request) => new VendorCall(request, options).answer() }, options);
}

/** A failure that may pass and changed nothing: the request is sent again while there is time. */
class MayPass extends Error {
  constructor(readonly failure: ProviderError) {
    super(failure.message);
  }
}

/** How a request ended that was cut off from here. */
class CutOff extends Error {
  constructor(readonly why: 'stopped' | 'time') {
    super(why);
  }
}

interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Null: it is too long, or encoded in a way that cannot be read. */
  readonly text: string | null;
}

/** One request, with what is sent again of it. */
class VendorCall<Answer extends TSchema> {
  readonly #request: VendorRequest<Answer>;
  readonly #options: VendorHttpOptions;
  readonly #changes: boolean;
  /** The instance's, and what may authorise the request itself: a vendor may repeat either in its words. */
  readonly #secrets: readonly string[];
  /** `performance.now()` by which it has to be answered; null until it is first sent. */
  #endAt: number | null = null;
  /** Why it is sent again. */
  #failure: ProviderError | null = null;
  /** How often it was sent. */
  #sends = 0;

  constructor(request: VendorRequest<Answer>, options: VendorHttpOptions) {
    this.#request = request;
    this.#options = options;
    this.#secrets = [...options.secrets, ...credentialsIn(request.headers ?? {})];
    this.#changes = request.changes ?? !['GET', 'HEAD'].includes(request.method);
  }

  async answer(): Promise<VendorResponse<Answer>> {
    this.#options.signal.throwIfAborted();
    const url = this.#checkedUrl();
    const wire = this.#wire();
    const once = async (): Promise<VendorResponse<Answer>> => {
      try {
        return await this.#once(url, wire);
      } catch (error) {
        if (error instanceof MayPass) this.#failure = error.failure;
        throw error;
      }
    };
    try {
      return await again.execute(once, this.#options.signal);
    } catch (error) {
      if (!(error instanceof MayPass)) throw error;
      // A stop while it waited to be sent again: nothing can have changed.
      this.#options.signal.throwIfAborted();
      throw error.failure;
    }
  }

  #checkedUrl(): URL {
    let url: URL;
    try {
      url = checkedUrl(this.#request.url, this.#options.network);
    } catch (refused) {
      throw refused instanceof RefusedAddress ? this.#refusal(refused) : refused;
    }
    for (const [name, value] of Object.entries(this.#request.query ?? {}))
      if (value !== undefined) url.searchParams.append(name, String(value));
    return url;
  }

  /** Headers and body as they are sent. */
  #wire(): { readonly headers: Record<string, string>; readonly body: string | null } {
    const { json, form, body, headers: given = {}, method } = this.#request;
    const bodies = [json, form, body].filter((one) => one !== undefined).length;
    if (bodies > 1) throw this.#misuse('at most one of json, form and body can be given');
    if (bodies > 0 && (method === 'GET' || method === 'HEAD')) throw this.#misuse(`a ${method} has no body`);
    const headers: Record<string, string> = {
      accept: 'application/json',
      'user-agent': 'riposte',
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
      ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
    };
    for (const [name, value] of Object.entries(given)) {
      const lower = name.toLowerCase();
      if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(lower)) throw this.#misuse('a header has a name that is none');
      if (OWN_HEADERS.has(lower)) throw this.#misuse(`the header ${lower} is not a plugin's to set`);
      if (!/^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value))
        throw this.#misuse(
          `the header ${lower} has a line break or another character that no header can have`,
        );
      headers[lower] = value;
    }
    headers['accept-encoding'] = 'gzip, br, deflate';
    if (json !== undefined) return { headers, body: JSON.stringify(json) };
    if (form !== undefined) return { headers, body: new URLSearchParams(form).toString() };
    return { headers, body: body ?? null };
  }

  /** Sends it once. */
  async #once(
    url: URL,
    wire: { readonly headers: Record<string, string>; readonly body: string | null },
  ): Promise<VendorResponse<Answer>> {
    const { signal, spend } = this.#options;
    const request = { method: this.#request.method, url, resend: this.#sends };
    await spend(signal, request);
    signal.throwIfAborted();
    const now = performance.now();
    this.#endAt ??= now + (this.#request.timeoutMs ?? TIMEOUT_MS);
    if (this.#failure !== null && this.#endAt <= now) throw this.#failure;
    const watched = this.#options.watch?.(request);
    this.#sends += 1;
    const headers = { ...wire.headers, ...watched?.headers };
    let sent = false;
    let raw: RawAnswer;
    try {
      raw = await this.#exchange(url, { ...wire, headers }, this.#endAt - now, () => (sent = true));
    } catch (error) {
      const broken = this.#broken(error, sent, url.hostname);
      watched?.ended({ errorType: classOf(broken) });
      throw broken;
    }
    watched?.ended({ status: raw.status });
    return this.#judge(raw);
  }

  /** Cut off at the end of its time and by the call's signal, also while it connects. */
  async #exchange(
    url: URL,
    { headers, body }: { readonly headers: Record<string, string>; readonly body: string | null },
    timeMs: number,
    onSent: () => void,
  ): Promise<RawAnswer> {
    const { signal, network, resolve = resolveBySystem } = this.#options;
    const ended = new AbortController();
    const stop = (): void => ended.abort(new CutOff('stopped'));
    const timer = setTimeout(() => ended.abort(new CutOff('time')), timeMs);
    signal.addEventListener('abort', stop, { once: true });
    const cutOff = new Promise<never>((_resolve, reject) => {
      ended.signal.addEventListener('abort', () => reject(ended.signal.reason as Error), { once: true });
    });
    const dispatcher = vendorAgent(network, resolve).compose(
      (dispatch) => (options, handler) => dispatch(options, new Sending(handler, onSent)),
    );
    const exchange = async (): Promise<RawAnswer> => {
      const answer = await send(url, {
        dispatcher,
        method: this.#request.method,
        headers,
        body,
        signal: ended.signal,
        headersTimeout: this.#request.timeoutMs ?? HEADERS_TIMEOUT_MS,
        // The time of the whole is what bounds it.
        bodyTimeout: 0,
      });
      return {
        status: answer.statusCode,
        headers: joined(answer.headers),
        text: await textOf(answer, this.#request.maxBytes ?? MOST_BYTES),
      };
    };
    try {
      const running = exchange();
      // Cut off, it fails later than what is thrown here.
      running.catch(() => undefined);
      return await Promise.race([running, cutOff]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  /** What an exchange that did not end with an answer comes to. */
  #broken(error: unknown, sent: boolean, host: string): Error {
    if (error instanceof RefusedAddress) return this.#refusal(error);
    const stopped = error instanceof CutOff && error.why === 'stopped';
    if (stopped && !(sent && this.#changes)) return this.#options.signal.reason as Error;
    const cause = error instanceof NotConnected ? error.cause : error;
    const problem = certificateProblem(reasonOf(cause), host, this.#options.network.ca !== undefined);
    // It does not pass within a moment.
    if (problem !== null) return new CertificateRefused(plainWords(problem, this.#secrets), causeOf(cause));
    const why = stopped
      ? 'The call was stopped before the vendor had answered'
      : error instanceof CutOff
        ? 'The vendor did not answer in time'
        : `${sent ? 'The connection broke before the vendor had answered' : 'The vendor cannot be reached'} (${reasonOf(cause)})`;
    if (sent && this.#changes) return this.#error('unknownOutcome', why, { cause });
    const failure = this.#error(sent ? 'transient' : 'unreachable', sent ? why : `${why}; nothing was sent`, {
      cause,
    });
    return error instanceof CutOff ? failure : new MayPass(failure);
  }

  #judge({ status, headers, text }: RawAnswer): VendorResponse<Answer> {
    const body = text === null || text === '' || !mayBeJson(headers['content-type']) ? null : parsed(text);
    if ((status < 200 || status > 299) && !(this.#request.accept ?? []).includes(status))
      throw this.#failureOf(status, headers, body, text ?? '');
    const doubt = this.#changes ? 'unknownOutcome' : 'transient';
    if (text === null) {
      throw this.#error(
        doubt,
        `The vendor's answer is longer than ${this.#request.maxBytes ?? MOST_BYTES} bytes, or encoded in a way that cannot be read`,
        { httpStatus: status },
      );
    }
    if (this.#request.answer !== undefined && status >= 200 && status <= 299) {
      const validate = compileSchema(this.#request.answer);
      if (!validate(body)) {
        const [problem] = validate.errors ?? [];
        throw this.#error(
          doubt,
          `The vendor answered something that is not its protocol: ${problem === undefined ? '' : describeSchemaError(problem, 'answer')}`,
          { httpStatus: status },
        );
      }
    }
    return { status, headers, text, body: body as Static<Answer> };
  }

  #failureOf(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: unknown,
    text: string,
  ): ProviderError | MayPass {
    const retryAfterMs = retryAfter(headers['retry-after']);
    const details = { httpStatus: status, ...(retryAfterMs === null ? {} : { retryAfterMs }) };
    const words = plainWords(wordsOfFailure(body, text), this.#secrets);
    const told = `The vendor answered with HTTP ${status}${words === '' ? '' : `: ${words}`}`;
    const said = this.#request.classify?.({ status, body });
    if (said !== undefined) return this.#error(said.errorClass, said.message ?? told, details);
    const known = CLASS_OF_STATUS[status];
    if (known !== undefined) return this.#error(known, told, details);
    if (status >= 400 && status <= 499 && !ABOUT_TIME.has(status))
      return this.#error('invalidInput', told, details);
    // With a time to come back at, the vendor says that it did not take it.
    if (status === 503 && retryAfterMs !== null) return this.#error('transient', told, details);
    if (this.#changes) return this.#error('unknownOutcome', told, details);
    const failure = this.#error('transient', told, details);
    return MOMENTARY.has(status) && retryAfterMs === null ? new MayPass(failure) : failure;
  }

  #refusal(refused: RefusedAddress): ProviderError {
    return new AddressRefused(
      refused.forGood ? 'permanent' : 'unreachable',
      plainWords(refused.message, this.#options.secrets),
    );
  }

  #misuse(problem: string): ProviderError {
    return this.#error('permanent', `The plugin's request cannot be sent: ${problem}`);
  }

  /** Every failure goes through here, so that none shows a secret. */
  #error(
    errorClass: ProviderErrorClass,
    message: string,
    details: { httpStatus?: number; retryAfterMs?: number; cause?: unknown } = {},
  ): ProviderError {
    const { cause, ...rest } = details;
    const words = plainWords(message, this.#secrets);
    return new ProviderError(errorClass, /[.!?…]$/.test(words) ? words : `${words}.`, {
      ...rest,
      ...causeOf(cause),
    });
  }
}

const again = retry(
  handleWhen((error) => error instanceof MayPass),
  {
    maxAttempts: MOST_RETRIES,
    backoff: new ExponentialBackoff({
      initialDelay: RETRY_DELAY_MS,
      maxDelay: RETRY_MOST_MS,
      generator: fullJitterGenerator,
    }),
  },
);

/** Tells when a connection is there and the request goes out on it. */
class Sending extends DecoratorHandler implements Dispatcher.DispatchHandler {
  readonly #onSent: () => void;

  constructor(handler: Dispatcher.DispatchHandler, onSent: () => void) {
    super(handler);
    this.#onSent = onSent;
  }

  onRequestStart(...started: Parameters<NonNullable<Dispatcher.DispatchHandler['onRequestStart']>>): void {
    this.#onSent();
    (
      DecoratorHandler.prototype as Required<Pick<Dispatcher.DispatchHandler, 'onRequestStart'>>
    ).onRequestStart.apply(this, started);
  }
}

const INFLATE: Readonly<
  Record<string, (from: Buffer, bound: { maxOutputLength: number }) => Promise<Buffer>>
> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  br: promisify(brotliDecompress),
  // Some servers leave out the zlib header that the standard asks for.
  deflate: (from, bound) =>
    ((from[0] ?? 0) & 0x0f) === 8 ? promisify(inflate)(from, bound) : promisify(inflateRaw)(from, bound),
};

/** The body as text; null where it is longer than allowed, inflated or not, or cannot be inflated. */
async function textOf({ headers, body }: Dispatcher.ResponseData, mostBytes: number): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += (chunk as Buffer).byteLength;
    // Leaving the loop ends the connection.
    if (bytes > mostBytes) return null;
    chunks.push(chunk as Buffer);
  }
  const raw = Buffer.concat(chunks);
  const encoding = String(headers['content-encoding'] ?? '')
    .trim()
    .toLowerCase();
  if (encoding === '' || encoding === 'identity' || bytes === 0) return raw.toString('utf8');
  if (!Object.hasOwn(INFLATE, encoding)) return null;
  try {
    return (await INFLATE[encoding]?.(raw, { maxOutputLength: mostBytes }))?.toString('utf8') ?? null;
  } catch {
    return null;
  }
}

/**
 * Tokens that a plugin got from the vendor, and pairs of user and password in base64, are no secrets of the configuration.
 * They are sent in headers of many names: as a whole, behind a scheme, or as cookies.
 */
function credentialsIn(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !HARMLESS_HEADERS.has(name))
    .flatMap(([name, value]) => {
      if (name === 'cookie') return value.split(/; */).map((pair) => pair.slice(pair.indexOf('=') + 1));
      const behindScheme = value.replace(/^\S+ +/, '');
      return name === 'authorization' ? [behindScheme] : [value, behindScheme];
    })
    .filter((value) => value.length >= SHORTEST_CREDENTIAL);
}

function joined(headers: Dispatcher.ResponseData['headers']): Readonly<Record<string, string>> {
  const all: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) all[name] = Array.isArray(value) ? value.join(', ') : value;
  return all;
}

/** Vendors that call JSON text or script are common; a page or a file is never read as JSON. */
function mayBeJson(contentType: string | undefined): boolean {
  return contentType === undefined || /json|javascript|^text\/plain\b/i.test(contentType);
}

function parsed(text: string): unknown {
  return parseStrangersJson(text.replace(/^\ufeff/, '')) ?? null;
}

/** The class of a failure; `stopped` where the call itself was. */
function classOf(error: Error): string {
  const failure = error instanceof MayPass ? error.failure : error;
  return failure instanceof ProviderError ? failure.errorClass : 'stopped';
}

/** The code alone: messages of a connection may name more than is to be shown. */
function causeOf(cause: unknown): { readonly cause?: Error } {
  return cause === undefined ? {} : { cause: new Error(reasonOf(cause)) };
}

function reasonOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : error instanceof Error ? error.name : 'unknown';
}

/** Milliseconds of a `Retry-After`, in seconds or as a date, from 1 s to 1 h; null where there is none. */
function retryAfter(header: string | undefined): number | null {
  if (header === undefined) return null;
  const ms = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, RETRY_AFTER_LEAST_MS), RETRY_AFTER_MOST_MS);
}
