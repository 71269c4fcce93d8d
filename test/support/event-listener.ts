import { EventSource, type EventSourceFetchInit } from 'eventsource';
import { eventually } from './eventually.js';

/** An action as the stream of events shows it. */
export interface EventAction {
  readonly id: string;
  readonly status: string;
  readonly phase: string;
  readonly [key: string]: unknown;
}

interface HeardEvent {
  readonly type: string;
  readonly id: string;
  readonly data: { readonly value?: readonly EventAction[]; readonly instances?: readonly string[] };
}

const TYPES = ['actions', 'providers', 'ping', 'reset'] as const;

/** Listens to `/api/v1/events` as a browser does, which connects again by itself. */
export class EventListener {
  readonly heard: HeardEvent[] = [];
  readonly #source: EventSource;
  /** What the last request was answered with. */
  answer: Response | undefined;
  /** How often it connected. */
  connections = 0;

  /**
   * @param as who listens: a client with a token, or a page of the console with its session's cookie
   * @param lastEventId the id to go on from; none: from now on
   */
  constructor(
    as: { readonly baseUrl: string } & ({ readonly token: string } | { readonly cookie: string }),
    { lastEventId }: { readonly lastEventId?: string } = {},
  ) {
    const query = lastEventId === undefined ? '' : `?${new URLSearchParams({ lastEventId }).toString()}`;
    this.#source = new EventSource(`${as.baseUrl}/api/v1/events${query}`, {
      fetch: async (url: string | URL, init: EventSourceFetchInit) => {
        const known = 'cookie' in as ? { cookie: as.cookie } : { authorization: `Bearer ${as.token}` };
        this.answer = await fetch(url, { ...init, headers: { ...init.headers, ...known } });
        this.connections += 1;
        return this.answer;
      },
    });
    for (const type of TYPES)
      this.#source.addEventListener(type, ({ lastEventId: id, data }) => {
        this.heard.push({ type, id, data: JSON.parse(String(data)) as HeardEvent['data'] });
      });
  }

  /** True once it was refused, and does not try again. */
  get isRefused(): boolean {
    return this.#source.readyState === EventSource.CLOSED;
  }

  /** The id to go on from. */
  get lastEventId(): string {
    return this.heard.at(-1)?.id ?? '';
  }

  get types(): readonly string[] {
    return this.heard.map(({ type }) => type);
  }

  /** Provider instances that something was told of. */
  get instances(): readonly string[] {
    return this.heard.flatMap(({ data }) => data.instances ?? []);
  }

  /** What it was told of an action, in order. */
  of(id: string): readonly EventAction[] {
    return this.heard.flatMap(({ data }) => data.value ?? []).filter((action) => action.id === id);
  }

  /** Waits until it has come to the present, since it is listened or again. */
  async present(): Promise<this> {
    await eventually(() => this.types.includes('ping'), 30_000);
    return this;
  }

  /** Waits until it is told that the action has this status. */
  hears(id: string, status: string, timeoutMs = 30_000): Promise<unknown> {
    return eventually(() => this.of(id).at(-1)?.status === status, timeoutMs);
  }

  close(): void {
    this.#source.close();
  }
}
