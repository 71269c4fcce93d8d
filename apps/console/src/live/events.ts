/** How the console hears of changes. */
export type LiveState = 'connecting' | 'live' | 'polling' | 'offline';

/** What an event says of an action that changed. */
export interface ChangedAction {
  readonly id: string;
  readonly status: string;
  readonly phase: string;
  readonly name: string;
  readonly providerInstance: string;
  readonly lastActionDateTime: string;
  readonly createdDateTime: string;
  readonly unresolved: boolean;
}

export interface EventsOptions {
  /** Of the stream, as `/api/v1/events`. */
  readonly url: string;
  /** Where the actions are listed, for when the stream is blocked. Default `/api/v1/actions`. */
  readonly actionsUrl?: string;
  readonly onActions: (actions: readonly ChangedAction[]) => void;
  /** Ids of the instances of which pause or health changed; none: of some, nobody can say which. */
  readonly onProviders: (instances: readonly string[]) => void;
  /** What was missed cannot be told: everything has to be loaded anew. */
  readonly onReset: () => void;
  readonly onState: (state: LiveState) => void;
  /** Default: the document. */
  readonly page?: EventTarget & { readonly hidden: boolean };
  readonly timing?: Partial<Timing>;
}

/** Milliseconds. */
interface Timing {
  /** Until the first event after connecting: what comes later is held back by a proxy. */
  readonly firstMs: number;
  /** Until the next: the service sends one every 15 s. */
  readonly nextMs: number;
  /** Before it connects again where it was refused. */
  readonly againMs: number;
  readonly pollMs: number;
  /** Before it tries the stream again while it polls. */
  readonly retryMs: number;
  /** After which a page that nobody sees lets its connection go: a browser has six for all tabs. */
  readonly hiddenMs: number;
}

const TIMING: Timing = {
  firstMs: 5000,
  nextMs: 40_000,
  againMs: 3000,
  pollMs: 5000,
  retryMs: 60_000,
  hiddenMs: 60_000,
};

/** Failures in a row after which it polls. */
const MOST_FAILURES = 3;
/** Actions of one poll: where more have changed, everything is loaded anew. */
const POLLED = 100;
/** Milliseconds that a change may become visible later than one with a later time. */
const OVERLAP_MS = 3000;

/**
 * Hears of changes by the stream of events, or where that does not come through by asking again and again. The answer
 * closes it.
 */
export function openEvents(options: EventsOptions): () => void {
  const live = new LiveEvents(options);
  live.open();
  return () => live.close();
}

class LiveEvents {
  readonly #options: EventsOptions;
  readonly #timing: Timing;
  readonly #page: EventTarget & { readonly hidden: boolean };
  #source: EventSource | null = null;
  #lastEventId = '';
  #failures = 0;
  #state: LiveState | null = null;
  /** Whether what is shown was loaded before anything was heard. */
  #isStale = true;
  #poll: Poll | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hiding: ReturnType<typeof setTimeout> | undefined;
  readonly #watch = (): void => this.#seen();

  constructor(options: EventsOptions) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#page = options.page ?? document;
  }

  open(): void {
    this.#page.addEventListener('visibilitychange', this.#watch);
    this.#tell('connecting');
    this.#connect();
  }

  close(): void {
    this.#page.removeEventListener('visibilitychange', this.#watch);
    clearTimeout(this.#hiding);
    this.#disconnect();
    this.#stopPolling();
  }

  #connect(): void {
    this.#disconnect();
    const query = this.#lastEventId === '' ? '' : `?lastEventId=${encodeURIComponent(this.#lastEventId)}`;
    const source = new EventSource(`${this.#options.url}${query}`);
    this.#source = source;
    source.addEventListener('ping', (event) => this.#heard(event, () => undefined));
    source.addEventListener('actions', (event) =>
      this.#heard(event, ({ value = [] }) => this.#options.onActions(value)),
    );
    source.addEventListener('providers', (event) =>
      this.#heard(event, ({ instances = [] }) => this.#options.onProviders(instances)),
    );
    source.addEventListener('reset', (event) => {
      this.#isStale = true;
      this.#heard(event, () => undefined);
    });
    source.addEventListener('error', () => this.#failed());
    this.#within(this.#timing.firstMs, () => this.#silent());
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #heard(
    { data, lastEventId }: Pick<MessageEvent<unknown>, 'data' | 'lastEventId'>,
    tell: (data: {
      readonly value?: readonly ChangedAction[];
      readonly instances?: readonly string[];
    }) => void,
  ): void {
    this.#failures = 0;
    if (lastEventId !== '') this.#lastEventId = lastEventId;
    this.#stopPolling();
    this.#tell('live');
    this.#within(this.#timing.nextMs, () => this.#silent());
    if (this.#isStale) {
      this.#isStale = false;
      this.#options.onReset();
    }
    tell(JSON.parse(String(data)) as Parameters<typeof tell>[0]);
  }

  /** Connected, it seems, and nothing comes through: to connect again would not help. */
  #silent(): void {
    this.#failures = MOST_FAILURES;
    this.#fallBack();
  }

  #failed(): void {
    this.#failures += 1;
    if (this.#failures >= MOST_FAILURES || this.#poll !== null) {
      this.#fallBack();
      return;
    }
    this.#tell('connecting');
    // By itself it connects again only where the connection broke, and not where it was refused.
    if (this.#source?.readyState === 2) this.#within(this.#timing.againMs, () => this.#connect());
    else this.#within(this.#timing.firstMs + this.#timing.againMs, () => this.#silent());
  }

  #fallBack(): void {
    this.#disconnect();
    this.#within(this.#timing.retryMs, () => this.#connect());
    if (this.#poll !== null) return;
    this.#tell('polling');
    const { actionsUrl = '/api/v1/actions', onActions, onProviders, onReset } = this.#options;
    this.#poll = new Poll(actionsUrl, this.#timing.pollMs, {
      onActions,
      onReset,
      onAnswer: (isThere) => {
        this.#tell(isThere ? 'polling' : 'offline');
        if (isThere) onProviders([]);
      },
    });
    this.#poll.start();
  }

  #stopPolling(): void {
    this.#poll?.stop();
    this.#poll = null;
  }

  /** Nobody looks: the connection is another tab's, after a while. */
  #seen(): void {
    clearTimeout(this.#hiding);
    if (this.#page.hidden) {
      this.#hiding = setTimeout(() => {
        this.#disconnect();
        this.#stopPolling();
      }, this.#timing.hiddenMs);
    } else if (this.#source === null && this.#poll === null) {
      this.#failures = 0;
      this.#tell('connecting');
      this.#connect();
    }
  }

  #within(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  #tell(state: LiveState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.onState(state);
  }
}

interface PollOptions {
  readonly onActions: (actions: readonly ChangedAction[]) => void;
  readonly onReset: () => void;
  /** False: there was none, or a refusal. */
  readonly onAnswer: (isThere: boolean) => void;
}

/** Asks every so often what has changed. */
class Poll {
  readonly #ended = new AbortController();
  /** Time of the latest change that is known; null: what there is has to be loaded anew. */
  #since: string | null = null;
  /** What is known already of the time before. */
  #known = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly url: string,
    private readonly everyMs: number,
    private readonly options: PollOptions,
  ) {}

  start(): void {
    void this.#ask();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#ended.abort();
  }

  async #ask(): Promise<void> {
    const { onActions, onReset, onAnswer } = this.options;
    try {
      const isFirst = this.#since === null;
      const changed = await this.#read(isFirst ? LATEST : changedSince(this.#since ?? ''));
      if (this.#ended.signal.aborted) return;
      onAnswer(true);
      if (isFirst || changed.length === POLLED) onReset();
      else {
        const news = changed.filter((action) => !this.#known.has(keyOf(action)));
        if (news.length > 0) onActions(news);
      }
      // Where there is no action yet, any is later.
      this.#since =
        changed.length === POLLED
          ? null
          : (changed
              .map(({ lastActionDateTime }) => lastActionDateTime)
              .toSorted()
              .at(-1) ??
            this.#since ??
            NEVER);
      this.#known = new Set(changed.map(keyOf));
    } catch {
      if (this.#ended.signal.aborted) return;
      onAnswer(false);
    }
    this.#timer = setTimeout(() => void this.#ask(), this.everyMs);
  }

  async #read(query: Readonly<Record<string, string>>): Promise<readonly ChangedAction[]> {
    const response = await fetch(`${this.url}?${new URLSearchParams(query).toString()}`, {
      signal: this.#ended.signal,
      headers: { accept: 'application/json' },
    });
    if (!response.ok) throw new Error(`the list of changes was answered with ${response.status}`);
    return ((await response.json()) as { readonly value: readonly ChangedAction[] }).value;
  }
}

const NEVER = new Date(0).toISOString();
const LATEST = { orderby: 'lastActionDateTime desc', top: '1' };

function changedSince(time: string): Readonly<Record<string, string>> {
  const from = new Date(Math.max(0, Date.parse(time) - OVERLAP_MS)).toISOString();
  return { filter: `lastActionDateTime ge ${from}`, orderby: 'lastActionDateTime', top: String(POLLED) };
}

function keyOf({ id, lastActionDateTime, status, phase, unresolved }: ChangedAction): string {
  return [id, lastActionDateTime, status, phase, unresolved].join(' ');
}
