import type { ServerResponse } from 'node:http';
import type { SimulatedVendor, VendorEffect } from '#provider-sdk/conformance';
import { SimulatorServer, answerJson, type Incoming } from '../simulator-server.js';

/** What enforces the rules of a consumer. */
export interface PacketRules {
  add(number: number, value: string, direction: string): Promise<void>;
  remove(number: number): Promise<void>;
}

interface Rule {
  readonly value: string;
  readonly timer: NodeJS.Timeout | null;
}

interface Request {
  readonly action?: string;
  readonly target?: Readonly<Record<string, unknown>>;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly command_id?: string;
}

type Response = {
  readonly status: number;
  readonly status_text?: string;
  readonly results?: unknown;
};

const PAIRS = { deny: ['ipv4_net', 'ipv6_net'], delete: ['slpf:rule_number'], query: ['features'] };

/**
 * A consumer of OpenC2 over HTTP with the profile for stateless packet filtering: open-impl-https v1.1, SLPF v1.0. What it
 * cannot do it does not answer with 200. A command with the id of one before is answered as that was.
 */
export class OpenC2Consumer implements SimulatedVendor {
  #server!: SimulatorServer;
  readonly #tokens: readonly string[];
  readonly #packets: PacketRules | null;
  readonly #rules = new Map<number, Rule>();
  readonly #answered = new Map<string, Response>();
  #next = 1000;
  #effects: VendorEffect[] = [];
  #calls = 0;
  #says: Response | null = null;
  /** Requests as they came. */
  readonly seen: Incoming[] = [];

  private constructor(tokens: readonly string[], packets: PacketRules | null) {
    this.#tokens = tokens;
    this.#packets = packets;
  }

  /** @param packets enforces the rules; none are where it is null */
  static async start(tokens: readonly string[], packets: PacketRules | null = null): Promise<OpenC2Consumer> {
    const consumer = new OpenC2Consumer(tokens, packets);
    consumer.#server = await SimulatorServer.start((incoming, response) =>
      consumer.#handle(incoming, response),
    );
    return consumer;
  }

  get baseUrl(): string {
    return this.#server.baseUrl;
  }

  async stop(): Promise<void> {
    await this.reset();
    await this.#server.stop();
  }

  async reset(): Promise<void> {
    this.#says = null;
    this.inserts = 'asTheProfile';
    await this.loseRules();
    this.#answered.clear();
    this.#effects = [];
    this.#calls = 0;
    this.seen.splice(0);
  }

  effects(): readonly VendorEffect[] {
    return this.#effects;
  }

  calls(): number {
    return this.#calls;
  }

  /** Rules that there are, by their numbers. */
  rules(): ReadonlyMap<number, string> {
    return new Map([...this.#rules].map(([number, { value }]) => [number, value]));
  }

  /** What it makes of `insert_rule`: as the profile has it, refuses it, does as if it were not there, or makes a rule each time. */
  inserts: 'asTheProfile' | 'never' | 'elsewhere' | 'again' = 'asTheProfile';

  /** It forgets its rules, as at a restart without a disk. */
  async loseRules(): Promise<void> {
    for (const number of this.#rules.keys()) await this.#remove(number);
  }

  /** From now on every command but a query is answered so, and nothing done. Null: it works again. */
  say(response: Response | null): void {
    this.#says = response;
  }

  async #handle(incoming: Incoming, response: ServerResponse): Promise<void> {
    this.#calls += 1;
    this.seen.push(incoming);
    const { method, url, headers, body } = incoming;
    if (url.pathname !== '/.well-known/openc2' || method !== 'POST')
      return answerJson(response, 404, { message: 'not here' });
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '';
    const told = this.#tokens.includes(token)
      ? await this.#answer(headers['content-type'] ?? '', body)
      : { status: 401, status_text: 'unauthorized' };
    const status = told.status < 200 ? 200 : told.status;
    answerJson(
      response,
      status,
      { headers: { request_id: headers['x-request-id'] }, body: { openc2: { response: told } } },
      { 'content-type': 'application/openc2+json;version=1.0' },
    );
  }

  async #answer(type: string, body: string): Promise<Response> {
    if (type.replaceAll(' ', '') !== 'application/openc2+json;version=1.0')
      return { status: 400, status_text: `no content type of OpenC2: ${type}` };
    const request = requestIn(body);
    if (request === null) return { status: 400, status_text: 'no command' };
    const id = request.command_id ?? '';
    const before = this.#answered.get(id);
    if (before !== undefined) return before;
    const answer = await this.#carryOut(request);
    if (answer.status === 200 && id !== '') this.#answered.set(id, answer);
    return answer;
  }

  async #carryOut({ action = '', target = {}, args = {} }: Request): Promise<Response> {
    const [kind = '', more] = Object.keys(target);
    if (more !== undefined || kind === '') return { status: 400, status_text: 'one target, please' };
    if (!(PAIRS[action as keyof typeof PAIRS] ?? []).includes(kind))
      return { status: 501, status_text: 'target not supported' };
    if (action === 'query')
      return { status: 200, results: { versions: ['1.0'], profiles: ['slpf'], pairs: PAIRS } };
    if (this.#says !== null) return this.#says;
    const { duration, slpf = {}, response_requested: _wanted, ...others } = args;
    const { direction = 'both', insert_rule, ...unknown } = slpf as Readonly<Record<string, unknown>>;
    if (insert_rule !== undefined && this.inserts === 'never')
      return { status: 501, status_text: 'Option not supported' };
    if (this.inserts === 'asTheProfile' && this.#rules.has(Number(insert_rule)))
      return { status: 501, status_text: 'Rule number currently in use' };
    if (Object.keys(others).length + Object.keys(unknown).length > 0)
      return { status: 501, status_text: 'option not supported' };
    if (action === 'delete') {
      const number = Number(target[kind]);
      if (!this.#rules.has(number))
        return { status: 500, status_text: 'firewall rule not removed or updated' };
      await this.#remove(number);
      this.#effects.push({ what: 'undid', target: String(number) });
      return { status: 200 };
    }
    const isGiven = insert_rule !== undefined && this.inserts !== 'elsewhere';
    const number = isGiven ? Number(insert_rule) : (this.#next += 1);
    const value = String(target[kind]);
    await this.#packets?.add(number, value, String(direction));
    const timer =
      typeof duration === 'number' ? setTimeout(() => void this.#remove(number), duration).unref() : null;
    this.#rules.set(number, { value, timer });
    this.#effects.push({ what: 'did', target: value });
    return { status: 200, results: { slpf: { rule_number: number } } };
  }

  async #remove(number: number): Promise<void> {
    const rule = this.#rules.get(number);
    if (rule === undefined) return;
    if (rule.timer !== null) clearTimeout(rule.timer);
    this.#rules.delete(number);
    await this.#packets?.remove(number);
  }
}

function requestIn(body: string): Request | null {
  try {
    const { openc2 } = (
      JSON.parse(body) as { readonly body: { readonly openc2: { readonly request: Request } } }
    ).body;
    return openc2.request ?? null;
  } catch {
    return null;
  }
}
