/// <reference types="node" />
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EventSource } from 'eventsource';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openEvents, type ChangedAction, type LiveState } from './events.ts';

/** Plays the API, and what stands before it. */
class Api {
  readonly #server: Server;
  readonly streams: { readonly lastEventId: string; readonly response: ServerResponse }[] = [];
  /** What becomes of a stream: it goes through, is held back, or is refused. */
  streamsAre: 'through' | 'held' | 'refused' = 'through';
  /** Of the list of actions; null: there is no answer. */
  actions: ChangedAction[] | null = [];
  polls = 0;

  constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '', this.url);
    if (pathname === '/actions') {
      this.polls += 1;
      if (this.actions === null) response.writeHead(503).end();
      else response.end(JSON.stringify({ value: listed(this.actions, searchParams) }));
      return;
    }
    if (this.streamsAre === 'refused') {
      response.writeHead(503).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    if (this.streamsAre === 'held') return;
    const lastEventId = String(request.headers['last-event-id'] ?? searchParams.get('lastEventId') ?? '');
    this.streams.push({ lastEventId, response });
    response.write('retry: 20\n\n');
    this.send('ping', {});
  }

  send(event: string, data: object): void {
    this.streams
      .at(-1)
      ?.response.write(`id: ${event}-id\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  breakOff(): void {
    this.streams.at(-1)?.response.destroy();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** As much of the list's options as is asked for. */
function listed(actions: readonly ChangedAction[], query: URLSearchParams): ChangedAction[] {
  const from = /^lastActionDateTime ge (\S+)$/.exec(query.get('filter') ?? '')?.[1] ?? '';
  const inOrder = actions
    .filter(({ lastActionDateTime }) => lastActionDateTime >= from)
    .toSorted((one, other) => one.lastActionDateTime.localeCompare(other.lastActionDateTime));
  if (query.get('orderby') === 'lastActionDateTime desc') inOrder.reverse();
  return inOrder.slice(0, Number(query.get('top')));
}

class Page extends EventTarget {
  hidden = false;

  show(isShown: boolean): void {
    this.hidden = !isShown;
    this.dispatchEvent(new Event('visibilitychange'));
  }
}

function action(id: string, at: string, status = 'Running'): ChangedAction {
  const shown = { phase: 'executing', name: 'BlockIp', providerInstance: 'mock', unresolved: false };
  return { id, status, ...shown, createdDateTime: at, lastActionDateTime: at };
}

let api: Api;
let page: Page;
let close: () => void = () => undefined;
const heard: string[] = [];
const states: LiveState[] = [];

beforeEach(async () => {
  vi.stubGlobal('EventSource', EventSource);
  api = new Api();
  page = new Page();
  await api.start();
  heard.length = 0;
  states.length = 0;
});
afterEach(async () => {
  close();
  await api.stop();
  vi.unstubAllGlobals();
});

function open(): void {
  close = openEvents({
    url: `${api.url}/events`,
    actionsUrl: `${api.url}/actions`,
    onActions: (actions) => heard.push(...actions.map(({ id, status }) => `${id} ${status}`)),
    onProviders: (instances) => heard.push(...instances),
    onReset: () => heard.push('reset'),
    onState: (state) => states.push(state),
    page,
    timing: { firstMs: 500, againMs: 10, pollMs: 20, retryMs: 100, hiddenMs: 20 },
  });
}

const becomes = (state: LiveState): Promise<void> =>
  vi.waitFor(() => expect(states.at(-1)).toBe(state), 5000);
const hears = (what: string): Promise<void> => vi.waitFor(() => expect(heard).toContain(what), 5000);

describe('the stream of events', () => {
  it('has loaded anew what was loaded before it was heard, and tells what changes', async () => {
    open();
    await becomes('live');
    expect(states).toEqual(['connecting', 'live']);
    api.send('actions', { value: [action('one', '2026-01-01T00:00:00.000Z')] });
    api.send('providers', { instances: ['mock'] });
    await hears('mock');
    expect(heard).toEqual(['reset', 'one Running', 'mock']);
    api.send('reset', {});
    await vi.waitFor(() => expect(heard.at(-1)).toBe('reset'));
  });

  it('goes on where it was after the connection broke', async () => {
    open();
    await becomes('live');
    api.breakOff();
    await vi.waitFor(() => expect(api.streams).toHaveLength(2), 5000);
    await becomes('live');
    expect(api.streams[1]?.lastEventId).toBe('ping-id');
    expect(heard).toEqual(['reset']);
  });

  it('is let go by a page that nobody sees, and taken up where it was', async () => {
    open();
    await becomes('live');
    const [first] = api.streams;
    page.show(false);
    await vi.waitFor(() => expect(first?.response.destroyed).toBe(true), 5000);
    page.show(true);
    await becomes('live');
    expect(api.streams[1]?.lastEventId).toBe('ping-id');
  });
});

describe('where the stream does not come through', () => {
  it.each(['held', 'refused'] as const)(
    '(%s), the console asks what has changed, and tries again',
    async (how) => {
      api.streamsAre = how;
      api.actions = [action('old', '2026-01-01T00:00:00.000Z')];
      open();
      await becomes('polling');
      await hears('reset');
      api.actions.push(action('new', '2026-01-01T00:00:10.000Z'));
      await hears('new Running');
      const { polls } = api;
      await vi.waitFor(() => expect(api.polls).toBeGreaterThan(polls + 2), 5000);
      expect(heard.filter((one) => one.startsWith('new'))).toEqual(['new Running']);
      api.actions[1] = action('new', '2026-01-01T00:00:20.000Z', 'Completed');
      await hears('new Completed');
      api.streamsAre = 'through';
      await becomes('live');
      expect(heard.at(-1)).toBe('reset');
    },
  );

  it('and nothing else does, the console is offline until something does', async () => {
    api.streamsAre = 'refused';
    api.actions = null;
    open();
    await becomes('offline');
    api.actions = [];
    await becomes('polling');
  });
});
