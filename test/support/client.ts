import { eventually } from './eventually.js';

export interface GraphAction {
  readonly id: string;
  readonly status: string;
  readonly name: string;
  readonly errorInfo: { readonly code: number; readonly subcode: number; readonly message: string } | null;
  readonly states: readonly {
    readonly status: string;
    readonly updatedDateTime: string;
    readonly appId: string;
    readonly user: string | null;
  }[];
  readonly completedDateTime: string | null;
  readonly [key: string]: unknown;
}

export interface NativeAction extends GraphAction {
  readonly phase: string;
  readonly progress: unknown;
  readonly attempts: readonly { readonly number: number; readonly outcome: string }[];
  readonly cancel: { readonly outcome: string | null } | null;
}

export interface Answer<T = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

export interface GraphError {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly innerError: Readonly<Record<string, string | null>>;
  };
}

const PATH = '/beta/security/securityActions';

/** A plain HTTP client of the API. */
export class Client {
  constructor(
    readonly baseUrl: string,
    readonly token: string,
  ) {}

  async request<T = unknown>(
    method: string,
    path: string,
    options: { readonly body?: string | Buffer; readonly headers?: Record<string, string> } = {},
  ): Promise<Answer<T>> {
    const response = await fetch(`${this.baseUrl}${path}`, {
      method,
      headers: {
        ...(this.token === '' ? {} : { authorization: `Bearer ${this.token}` }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: options.body }),
    });
    // A stream of events does not end: its first ones tell what it is.
    const text =
      response.headers.get('content-type') === 'text/event-stream'
        ? await beginning(response)
        : await response.text();
    // Lines of JSON are no JSON.
    const isJson = text !== '' && /\bjson\b/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      headers: response.headers,
      body: (isJson ? JSON.parse(text) : text) as T,
    };
  }

  post<T = GraphAction>(body: unknown, path = PATH): Promise<Answer<T>> {
    return this.request<T>('POST', path, {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
  }

  /** Creates an action at the mock and gives its id. */
  async act(
    name: string,
    parameters: Readonly<Record<string, string | number>> = {},
    extra: object = {},
  ): Promise<string> {
    const answer = await this.post(mockAction(name, parameters, extra));
    if (answer.status !== 201) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body.id;
  }

  async get(id: string): Promise<GraphAction> {
    return (await this.request<GraphAction>('GET', `${PATH}/${id}`)).body;
  }

  async native(id: string): Promise<NativeAction> {
    return (await this.request<NativeAction>('GET', `/api/v1/actions/${id}`)).body;
  }

  cancel(id: string): Promise<Answer<GraphError>> {
    return this.request('POST', `${PATH}/${id}/cancelSecurityAction`);
  }

  /** Waits for the action's end. */
  ended(id: string, timeoutMs = 20_000): Promise<NativeAction> {
    return eventually(async () => {
      const action = await this.native(id);
      return action.status === 'Completed' || action.status === 'Failed' ? action : false;
    }, timeoutMs) as Promise<NativeAction>;
  }

  /** Waits until the action is in this phase. */
  inPhase(id: string, phase: string, timeoutMs = 15_000): Promise<NativeAction> {
    return eventually(async () => {
      const action = await this.native(id);
      return action.phase === phase ? action : false;
    }, timeoutMs) as Promise<NativeAction>;
  }
}

async function beginning({ body }: Response): Promise<string> {
  for await (const chunk of body ?? []) return Buffer.from(chunk as Uint8Array).toString();
  return '';
}

/** A request for an action of the mock provider. */
export function mockAction(
  name: string,
  parameters: Readonly<Record<string, string | number>> = {},
  extra: object = {},
): object {
  return {
    name,
    actionReason: 'Test',
    parameters: Object.entries(parameters).map(([key, value]) => ({ name: key, value: String(value) })),
    vendorInformation: { vendor: 'Mock', provider: 'Mock' },
    ...extra,
  };
}
