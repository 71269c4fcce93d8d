import type { Answer } from './client.js';

/** What `GET /api/v1/session` tells. */
export interface SessionView {
  readonly signedIn: boolean;
  readonly signIn?: { readonly local: boolean; readonly issuers: readonly { id: string; name: string }[] };
  readonly user?: { readonly name: string; readonly displayName: string; readonly kind: string };
  readonly tenant?: { readonly id: string; readonly name: null; readonly role: string };
  readonly tenants?: readonly { readonly id: string; readonly role: string }[];
  readonly operates?: boolean;
  readonly mustChangePassword?: boolean;
  readonly csrfToken?: string;
  readonly idleUntil?: string;
  readonly endsAt?: string;
}

interface SendOptions {
  readonly body?: unknown;
  /** Over those that the console's pages send; undefined: left out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

/** A browser at the console, without the browser: keeps cookies, and sends what the console's pages send. */
export class ConsoleClient {
  readonly cookies = new Map<string, string>();
  csrfToken = '';

  constructor(readonly baseUrl: string) {}

  async send<T = unknown>(method: string, path: string, options: SendOptions = {}): Promise<Answer<T>> {
    const { body, headers = {} } = options;
    const all: Record<string, string | undefined> = {
      origin: this.baseUrl,
      'sec-fetch-site': 'same-origin',
      ...(this.cookies.size === 0
        ? {}
        : { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') }),
      ...(this.csrfToken === '' ? {} : { 'x-csrf-token': this.csrfToken }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    };
    const response = await fetch(new URL(path, this.baseUrl), {
      method,
      redirect: 'manual',
      headers: Object.fromEntries(
        Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
      ),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    for (const cookie of response.headers.getSetCookie()) this.#keep(cookie);
    const text = await response.text();
    const isJson = text !== '' && response.headers.get('content-type')?.includes('json') === true;
    return {
      status: response.status,
      headers: response.headers,
      body: (isJson ? JSON.parse(text) : text) as T,
    };
  }

  /** Signs in by name and password, and keeps what comes of it. */
  async signIn(name: string, password: string): Promise<Answer<SessionView>> {
    const answer = await this.send<SessionView>('POST', '/api/v1/session', { body: { name, password } });
    if (answer.status === 200) this.csrfToken = answer.body.csrfToken ?? '';
    return answer;
  }

  /** Who has signed in; keeps the token against forged requests. */
  async session(): Promise<SessionView> {
    const { body } = await this.send<SessionView>('GET', '/api/v1/session');
    this.csrfToken = body.csrfToken ?? '';
    return body;
  }

  /** Another that holds the same cookies, as a copy of what the browser keeps. */
  copy(baseUrl = this.baseUrl): ConsoleClient {
    const copy = new ConsoleClient(baseUrl);
    for (const [name, value] of this.cookies) copy.cookies.set(name, value);
    copy.csrfToken = this.csrfToken;
    return copy;
  }

  #keep(cookie: string): void {
    const [pair = '', ...attributes] = cookie.split(';').map((part) => part.trim());
    const [name = '', value = ''] = pair.split('=', 2);
    if (attributes.some((attribute) => /^max-age=0$/i.test(attribute))) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}
