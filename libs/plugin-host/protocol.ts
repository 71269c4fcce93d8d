import {
  AddressRefused,
  ProviderError,
  Type,
  isProviderErrorClass,
  type NetworkPolicy,
  type ProviderErrorClass,
  type StopRequested,
  type Static,
} from '#provider-sdk';

/**
 * What host and child say to each other: JSON, one message a line, over a socket of its own. The child is not trusted:
 * what it says is held against these schemas.
 */

/** Bytes of one message. */
export const MESSAGE_LIMIT = 1024 * 1024;

const id = Type.Integer({ minimum: 1 });
const closed = { additionalProperties: false };

const failure = Type.Object(
  {
    /** Null: no ProviderError, so a defect of the plugin. */
    errorClass: Type.Union([Type.String({ maxLength: 50 }), Type.Null()]),
    message: Type.String(),
    httpStatus: Type.Number(),
    retryAfterMs: Type.Union([Type.Number(), Type.Null()]),
    code: Type.Number(),
    /** Where it was to go is refused by Riposte, not by the vendor. */
    addressRefused: Type.Boolean(),
  },
  closed,
);
export type Failure = Static<typeof failure>;

/** What a child may say. */
export const fromChild = Type.Union([
  Type.Object(
    { type: Type.Literal('ready'), manifest: Type.Unknown(), calls: Type.Array(Type.String()) },
    closed,
  ),
  Type.Object({ type: Type.Literal('refused'), message: Type.String() }, closed),
  Type.Object({ type: Type.Literal('returned'), id, value: Type.Unknown() }, closed),
  Type.Object({ type: Type.Literal('threw'), id, failure }, closed),
  Type.Object(
    {
      type: Type.Literal('ask'),
      id,
      ask: id,
      what: Type.Enum(['saveOperation', 'heartbeat', 'spend']),
      value: Type.Unknown(),
    },
    closed,
  ),
  /** How a request ended that was spent for by this question, and is watched. */
  Type.Object(
    {
      type: Type.Literal('ended'),
      id,
      ask: id,
      status: Type.Union([Type.Integer({ minimum: 100, maximum: 999 }), Type.Null()]),
      errorType: Type.Union([Type.String({ maxLength: 50 }), Type.Null()]),
    },
    closed,
  ),
  Type.Object(
    {
      type: Type.Literal('log'),
      id,
      level: Type.Enum(['info', 'warn']),
      facts: Type.Record(Type.String(), Type.Unknown()),
      event: Type.String(),
    },
    closed,
  ),
  Type.Object({ type: Type.Literal('pong') }, closed),
]);
export type FromChild = Static<typeof fromChild>;

/** The value of a `spend` whose request is watched. Of its URL, no more than a span tells. */
export const toldRequest = Type.Object(
  {
    method: Type.Enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']),
    origin: Type.String({ pattern: '^https?://', maxLength: 300 }),
    resend: Type.Integer({ minimum: 0, maximum: 100 }),
  },
  closed,
);
export type ToldRequest = Static<typeof toldRequest>;

/** Facts of a call that cross. Dates are ISO texts. */
export interface CallFacts {
  readonly instance: string;
  readonly settings: unknown;
  readonly secrets: Readonly<Record<string, string>>;
  readonly action: {
    readonly actionId: string;
    readonly tenantId: string;
    readonly attempt: number;
    readonly idempotencyKey: string;
    readonly issuedAt: string | null;
    readonly deadlineAt: string;
  } | null;
  readonly lastCheckpoint: unknown;
  readonly network: NetworkPolicy;
  /** Values that never appear in an error. */
  readonly hidden: readonly string[];
  /** Whether the host watches requests to the vendor, and is to be told of them. */
  readonly watched: boolean;
}

/** What the host says. */
export type ToChild =
  | {
      readonly type: 'call';
      readonly id: number;
      readonly call: string;
      readonly facts: CallFacts;
      readonly args: readonly unknown[];
    }
  | { readonly type: 'abort'; readonly id: number; readonly why: StopRequested['why'] }
  | {
      readonly type: 'answer';
      readonly ask: number;
      readonly problem: string | null;
      /** Sent along with the request that was spent for; null: it is not watched. */
      readonly headers: Readonly<Record<string, string>> | null;
    }
  | { readonly type: 'ping' };

/** A failure in the form it crosses in. A plugin that brought an SDK of its own has another class of the same name. */
export function failureOf(error: unknown): Failure {
  if (error instanceof ProviderError) {
    const { errorClass, message, httpStatus, retryAfterMs } = error;
    return {
      errorClass,
      message: cut(message),
      httpStatus,
      retryAfterMs,
      code: error.toErrorInfo().code,
      addressRefused: error instanceof AddressRefused,
    };
  }
  // Where it was thrown: its author sees nothing but the log.
  const at = error instanceof Error ? /\n +at (.+)/.exec(String(error.stack))?.[1] : undefined;
  const message = cut(
    error instanceof Error
      ? `${error.name}: ${error.message}${at === undefined ? '' : ` (at ${at})`}`
      : String(error),
  );
  return { errorClass: null, message, httpStatus: 0, retryAfterMs: null, code: 0, addressRefused: false };
}

/** The failure as the engine takes it; an error of no class stands for a defect. */
export function errorOf(told: Failure): Error {
  const { errorClass, message, httpStatus, retryAfterMs, code, addressRefused } = told;
  if (!isProviderErrorClass(errorClass))
    return Object.assign(new Error(message), { name: 'thrown by the plugin' });
  if (addressRefused && (errorClass === 'unreachable' || errorClass === 'permanent'))
    return new AddressRefused(errorClass, message);
  const known: ProviderErrorClass = errorClass;
  return new ProviderError(known, message, {
    httpStatus,
    code,
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
  });
}

/** Cuts a stream of chunks into lines. @throws RangeError for a line over `limit` bytes */
export function lineSplitter(limit: number, onLine: (line: string) => void): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let bytes = 0;
  return (chunk) => {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      if (bytes + end > limit) throw new RangeError(`a line over ${limit} bytes`);
      const line = Buffer.concat([...parts, rest.subarray(0, end)]).toString('utf8');
      parts = [];
      bytes = 0;
      rest = rest.subarray(end + 1);
      onLine(line);
    }
    if (rest.length === 0) return;
    bytes += rest.length;
    if (bytes > limit) throw new RangeError(`a line over ${limit} bytes`);
    parts.push(rest);
  };
}

function cut(text: string): string {
  return text.length > 4000 ? `${text.slice(0, 4000)}…` : text;
}
