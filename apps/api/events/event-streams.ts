import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { satisfies, type Identity } from '#auth';
import { OperationalError, UserError } from '#domain';
import type { ActionChanges, ChangedAction, TenantChanges, Told } from '#persistence';
import type { Logger } from '#telemetry';
import { callerOf, knownCallerOf } from '../auth.guard.js';
import { whenLeft } from '../http/when-left.js';
import type { Providers } from '../native/providers.js';
import type { SkipTokens } from '../skip-tokens.js';

/** Milliseconds after which a client hears that there is nothing new, and is asked again who it is. */
const PING_MS = 15_000;
/** Milliseconds that a client waits before it connects again. */
const RETRY_MS = 2000;
/** Streams at a time, of one caller and of all; connections that this process has to spare for them. */
const MOST = { perCaller: 20, all: 5000 };
const TRY_AGAIN_SECONDS = 30;
/** Milliseconds a client has for what is on its way when the service stops. */
const LEAVE_MS = 1000;
/** Actions of one event: more come in several. */
const ACTIONS_OF_ONE = 500;
/** What its positions are signed for, as {@link SkipTokens} want it. */
const QUESTION = ['events'];

export interface EventStreamsParts {
  readonly changes: Pick<ActionChanges, 'follow'>;
  readonly providers: Pick<Providers, 'shows'>;
  readonly positions: SkipTokens;
  readonly log: Logger;
}

/**
 * The open event streams (https://html.spec.whatwg.org/multipage/server-sent-events.html). What a tenant is told is
 * rendered once for all its listeners, and a client takes it at its own pace: no more than one event waits for a slow
 * one. Libraries for such streams push to each client by itself, and keep for a slow one whatever there is.
 */
export class EventStreams {
  readonly #parts: EventStreamsParts;
  readonly #open = new Set<() => void>();
  readonly #byCaller = new Map<string, number>();
  readonly #rendered = new WeakMap<TenantChanges, Buffer>();
  #isClosing = false;

  constructor(parts: EventStreamsParts) {
    this.#parts = parts;
  }

  /**
   * Answers with a stream of what changes for the caller's tenant, until the client leaves, its identity ends, or the
   * service stops.
   * @param after the id of the event that the client had last; null: it begins
   * @throws OperationalError `tooManyRequests` when too many are open
   */
  answer(request: FastifyRequest, reply: FastifyReply, after: string | null): void {
    const leave = this.#enter(callerOf(request));
    const ended = new AbortController();
    const end = (): void => {
      ended.abort();
      setTimeout(() => reply.raw.destroy(), LEAVE_MS).unref();
    };
    this.#open.add(end);
    whenLeft(request, reply, () => {
      this.#open.delete(end);
      ended.abort();
      leave();
      // What the service ends itself is logged as any other answer.
      if (!reply.raw.writableFinished) this.#logLeft(request, reply);
    });
    if (ended.signal.aborted) {
      reply.hijack();
      return;
    }
    if (this.#isClosing) end();
    void reply
      .headers({
        'content-type': 'text/event-stream',
        'cache-control': 'no-cache, no-transform',
        // nginx would gather it.
        'x-accel-buffering': 'no',
      })
      .send(Readable.from(this.#events(request, after, ended.signal), { objectMode: false }));
  }

  /** How many are open. */
  get open(): number {
    return this.#open.size;
  }

  /** Ends all; who comes later is sent away at once, to come again. */
  close(): void {
    this.#isClosing = true;
    for (const end of this.#open) end();
  }

  #logLeft(request: FastifyRequest, reply: FastifyReply): void {
    const { tenantId, appId } = callerOf(request);
    this.#parts.log.info(
      {
        requestId: request.id,
        route: request.routeOptions.url,
        ms: Math.round(reply.elapsedTime),
        tenant: tenantId,
        appId,
      },
      'listener left',
    );
  }

  #enter({ tenantId, appId, user }: Identity): () => void {
    const caller = JSON.stringify([tenantId, appId, user]);
    const own = this.#byCaller.get(caller) ?? 0;
    if (own >= MOST.perCaller || this.#open.size >= MOST.all)
      throw new OperationalError(
        'tooManyRequests',
        own >= MOST.perCaller
          ? `${MOST.perCaller} event streams of this caller are open. Close one, or share it.`
          : 'Too many event streams are open. Try again later, or poll.',
        TRY_AGAIN_SECONDS,
      );
    this.#byCaller.set(caller, own + 1);
    return () => {
      const left = (this.#byCaller.get(caller) ?? 1) - 1;
      if (left === 0) this.#byCaller.delete(caller);
      else this.#byCaller.set(caller, left);
    };
  }

  async *#events(
    request: FastifyRequest,
    after: string | null,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer, void, void> {
    yield Buffer.from(`retry: ${RETRY_MS}\n\n`);
    const position = after === null ? null : this.#positionOf(after);
    let identity = callerOf(request);
    let isReset = after !== null && position === null;
    let checkAt = performance.now() + PING_MS;
    const { tenantId } = identity;
    for await (const told of this.#parts.changes.follow({
      tenantId,
      after: position,
      quietMs: PING_MS,
      signal,
    })) {
      if (performance.now() >= checkAt) {
        const now = await this.#identityNow(request, identity);
        if (now === null) return;
        identity = now;
        checkAt = performance.now() + PING_MS;
      }
      if (isReset && told.kind === 'upToDate') {
        isReset = false;
        yield this.#event('reset', told.position);
      } else yield* this.#rendering(told, identity);
    }
  }

  /** Null: it may not listen any more. While nobody can say, it may. */
  async #identityNow(request: FastifyRequest, before: Identity): Promise<Identity | null> {
    try {
      const now = await knownCallerOf(request).now();
      return now.tenantId === before.tenantId && satisfies(now.roles, 'read') ? now : null;
    } catch (error) {
      if (error instanceof UserError) return null;
      return before;
    }
  }

  *#rendering(told: Told, identity: Identity): Generator<Buffer, void, void> {
    switch (told.kind) {
      case 'waiting':
        yield Buffer.from(': waiting\n\n');
        return;
      case 'upToDate':
        yield this.#event('ping', told.position);
        return;
      case 'lost':
        yield this.#event('reset', told.position);
        return;
      case 'changed': {
        const { changes, position } = told;
        const viewer = { tenantId: identity.tenantId, operates: satisfies(identity.roles, 'operate') };
        const instances = changes.instances.filter((id) => this.#parts.providers.shows(viewer, id));
        const isLast = changes.actions.length === 0;
        if (instances.length > 0) yield this.#event('providers', isLast ? position : null, { instances });
        if (isLast) return;
        let events = this.#rendered.get(changes);
        if (events === undefined) {
          events = this.#actionEvents(changes.actions, position);
          this.#rendered.set(changes, events);
        }
        yield events;
      }
    }
  }

  #actionEvents(actions: readonly ChangedAction[], position: string): Buffer {
    const events: Buffer[] = [];
    for (let index = 0; index < actions.length; index += ACTIONS_OF_ONE) {
      const value = actions.slice(index, index + ACTIONS_OF_ONE).map(shown);
      const isLast = index + ACTIONS_OF_ONE >= actions.length;
      // Who was told a part of them has yet to be told all.
      events.push(this.#event('actions', isLast ? position : null, { value }));
    }
    return Buffer.concat(events);
  }

  /** JSON has no line breaks that would end the line. A client hears of no event without data. */
  #event(name: string, position: string | null, data: object = {}): Buffer {
    const id =
      position === null ? '' : `id: ${this.#parts.positions.issue({ values: [], id: position }, QUESTION)}\n`;
    return Buffer.from(`${id}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** Null: it is none of ours. */
  #positionOf(id: string): string | null {
    try {
      return this.#parts.positions.read(id, QUESTION, { name: 'Last-Event-ID', link: 'the stream' }).id;
    } catch {
      return null;
    }
  }
}

function shown({ id, status, phase, name, instance, lastActionAt, createdAt, unresolved }: ChangedAction) {
  return {
    id,
    status,
    phase,
    name,
    providerInstance: instance,
    lastActionDateTime: lastActionAt.toISOString(),
    createdDateTime: createdAt.toISOString(),
    unresolved,
  };
}
