import { createHash } from 'node:crypto';
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  context,
  propagation,
  trace,
  type Context,
  type Span,
} from '@opentelemetry/api';
import { UserError } from '#domain';

/**
 * Spans, as the rest of the product sees them. Only OpenTelemetry's API is imported here, which does nothing until
 * `startTracing` has registered its SDK: without that, `withSpan` calls what it is given and nothing else.
 */

/** By OpenTelemetry's semantic conventions, or `riposte.*`. Never parameters, secrets, or words of a failure. */
type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface SpanFacts {
  /** Default: one within the process. */
  readonly kind?: 'server' | 'client' | 'producer' | 'consumer';
  readonly attributes?: SpanAttributes;
  /** The span it is part of, as a `traceparent` (W3C Trace Context). Null: none. Default: the one that is active. */
  readonly parent?: string | null;
  /** Spans that it has to do with, each as a `traceparent`. */
  readonly links?: readonly string[];
  /** 16 hex digits that another span can know it by before it is there, as {@link spanIdOf} makes them. Default: random. */
  readonly id?: string;
  /** `performance.now()` at its beginning, where that is past. */
  readonly startedAt?: number;
  /** True: without a parent it begins a trace. Default: without a parent there is no span. */
  readonly begins?: boolean;
}

/** A span while it lasts. */
export interface LiveSpan {
  set(attributes: SpanAttributes): void;
  /** Says that it failed, by a low-cardinality name of the reason (`error.type`). */
  failed(type: string): void;
}

const KINDS = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

const NO_SPAN: LiveSpan = { set: () => undefined, failed: () => undefined };

let wantedId: string | undefined;

/** The id that the span that is being started has to have; undefined: any. For the SDK's generator of ids. */
export function wantedSpanId(): string | undefined {
  return wantedId;
}

/**
 * Runs something within a span, which ends with it; what it starts is part of that span. What it throws is thrown on,
 * and noted by its code or class.
 */
export function withSpan<T>(name: string, facts: SpanFacts, run: (span: LiveSpan) => Promise<T>): Promise<T> {
  const parent = contextOf(facts.parent);
  if (facts.begins !== true && trace.getSpan(parent) === undefined) return run(NO_SPAN);
  const span = startSpan(name, facts, parent);
  const live: LiveSpan = {
    set: (attributes) => void span.setAttributes(attributes),
    failed: (type) => fail(span, type),
  };
  return context.with(trace.setSpan(parent, span), async () => {
    try {
      return await run(live);
    } catch (error) {
      if (error instanceof UserError) span.setAttribute('error.type', error.code);
      else fail(span, typeOf(error));
      throw error;
    } finally {
      end(span, facts);
    }
  });
}

/** Notes what is over already, as a part of the active span. */
export function noteSpan(
  name: string,
  facts: Omit<SpanFacts, 'parent' | 'begins'> & { readonly startedAt: number },
): void {
  const parent = context.active();
  if (trace.getSpan(parent) !== undefined) end(startSpan(name, facts, parent), facts);
}

/** Runs something in no span: what outlives the span that it happens to be started in. */
export function outsideSpans<T>(run: () => T): T {
  return context.with(ROOT_CONTEXT, run);
}

/** The function as a part of the span that is active now, whenever and from wherever it is called. */
export function inActiveSpan<Call extends (...args: never[]) => unknown>(call: Call): Call {
  return context.bind(context.active(), call);
}

/**
 * The active span, as a `traceparent` to keep or to hand on; null where there is none, or none that is exported: who
 * is told nothing makes no span either, and the sampler has decided for all of a trace.
 */
export function activeTraceparent(): string | null {
  const span = trace.getActiveSpan()?.spanContext();
  // The lowest bit of the flags says that it is sampled.
  if (span === undefined || (span.traceFlags & 1) === 0) return null;
  return `00-${span.traceId}-${span.spanId}-01`;
}

/** The id of a span that is known by what it is about. */
export function spanIdOf(...about: readonly (string | number)[]): string {
  return createHash('sha256').update(about.join('\n')).digest('hex').slice(0, 16);
}

/** Another span of the same trace, as a `traceparent`. */
export function inTraceOf(traceparent: string, spanId: string): string {
  return `${traceparent.slice(0, 36)}${spanId}${traceparent.slice(52)}`;
}

/** `trace_id` and `span_id` of the active span, for a line of the log; nothing where there is none. */
export function traceFields(): { readonly trace_id?: string; readonly span_id?: string } {
  const span = trace.getActiveSpan()?.spanContext();
  return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId };
}

/** A request that is served. */
export interface ServedRequest {
  readonly method: string;
  /** As the router has it, with names in place of values. */
  readonly route: string;
  readonly scheme: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly attributes: SpanAttributes;
  /** Part of a request that is served already, unless it says that it is of another trace. */
  readonly isInner: boolean;
}

/** The span of a request that is served. */
export interface ServerSpan {
  /** Runs something as a part of it. May be called after its end, too. */
  within<T>(run: () => T): T;
  /** Ends it, once. */
  end(answer: { readonly status: number; readonly attributes: SpanAttributes }): void;
  /** Ends it as one whose caller left before the answer, unless it has ended. */
  abandon(): void;
}

/** Begins the span of a request: in the caller's trace where its `traceparent` is valid, else in a new one. */
export function beginServerSpan(request: ServedRequest): ServerSpan {
  const { method, route, scheme, isInner, headers } = request;
  const { traceparent, tracestate } = headers;
  // Not its baggage: what a stranger says is not handed on.
  const parent = propagation.extract(isInner ? context.active() : ROOT_CONTEXT, { traceparent, tracestate });
  const attributes = {
    'http.request.method': method,
    'http.route': route,
    'url.scheme': scheme,
    ...request.attributes,
  };
  const span = startSpan(`${method} ${route}`, { kind: 'server', attributes }, parent);
  const within = trace.setSpan(parent, span);
  return {
    within: (run) => context.with(within, run),
    end: (answer) => {
      if (!span.isRecording()) return;
      span.setAttributes({ 'http.response.status_code': answer.status, ...answer.attributes });
      if (answer.status >= 500) fail(span, String(answer.status));
      span.end();
    },
    abandon: () => {
      if (!span.isRecording()) return;
      span.setAttribute('error.type', 'callerLeft');
      span.end();
    },
  };
}

/** A request that is about to be sent. */
export interface SentRequest {
  readonly method: string;
  readonly url: URL;
  /** How often it was sent before. */
  readonly resend: number;
}

/** What is done of a request for its span. */
export interface ClientSpan {
  /** To be sent along. */
  readonly headers: Readonly<Record<string, string>>;
  ended(answer: { readonly status?: number; readonly errorType?: string }): void;
}

/**
 * Makes a span of each request that is part of the span that is active now. Undefined where none is.
 * @param propagates whether whom it is sent to is told of the trace
 */
export function clientSpans(propagates: boolean): ((request: SentRequest) => ClientSpan) | undefined {
  const parent = context.active();
  if (trace.getSpan(parent) === undefined) return undefined;
  return ({ method, url, resend }) => {
    const attributes = {
      'http.request.method': method,
      // Not its path: vendors have ids and values of parameters there.
      'server.address': url.hostname,
      'server.port': Number(url.port) || (url.protocol === 'http:' ? 80 : 443),
      'url.scheme': url.protocol.slice(0, -1),
      ...(resend === 0 ? {} : { 'http.request.resend_count': resend }),
    };
    const span = startSpan(method, { kind: 'client', attributes }, parent);
    const headers: Record<string, string> = {};
    if (propagates) propagation.inject(trace.setSpan(ROOT_CONTEXT, span), headers);
    return {
      headers,
      ended: ({ status, errorType }) => {
        if (status !== undefined) span.setAttribute('http.response.status_code', status);
        const failure = errorType ?? (status !== undefined && status >= 400 ? String(status) : undefined);
        if (failure !== undefined) fail(span, failure);
        span.end();
      },
    };
  };
}

function contextOf(parent: string | null | undefined): Context {
  if (parent === undefined) return context.active();
  return parent === null ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, { traceparent: parent });
}

function startSpan(name: string, facts: SpanFacts, parent: Context): Span {
  const links = (facts.links ?? []).flatMap((link) => {
    const linked = trace.getSpanContext(contextOf(link));
    return linked === undefined ? [] : [{ context: linked }];
  });
  // Only while the span is made, in which nothing else can run.
  wantedId = facts.id;
  try {
    return trace.getTracer('riposte').startSpan(
      name,
      {
        ...(facts.kind === undefined ? {} : { kind: KINDS[facts.kind] }),
        ...(facts.attributes === undefined ? {} : { attributes: facts.attributes }),
        ...(facts.startedAt === undefined ? {} : { startTime: facts.startedAt }),
        links,
      },
      parent,
    );
  } finally {
    wantedId = undefined;
  }
}

/** By the clock of its beginning: the SDK's default is a coarser one where that was given. */
function end(span: Span, { startedAt }: Pick<SpanFacts, 'startedAt'>): void {
  span.end(startedAt === undefined ? undefined : performance.now());
}

function fail(span: Span, type: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

function typeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : error instanceof Error ? error.name : 'unknown';
}
