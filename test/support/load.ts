import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningVendor } from '../simulators/mock-vendor/start.js';
import { mockAction, type Client, type GraphAction, type GraphError } from './client.js';
import { eventually } from './eventually.js';

/** What one create was answered. */
export interface LoadAnswer {
  readonly status: number;
  readonly ms: number;
  readonly code: string | null;
  readonly message: string | null;
  readonly retryAfter: string | null;
}

const AT_A_TIME = 4;
const GUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

/**
 * Callers that create actions one after the other, as fast as they are answered, while a test breaks things. It
 * goes on until it is stopped.
 */
export class Load {
  /** The acknowledged ones. */
  readonly ids: string[] = [];
  readonly answers: LoadAnswer[] = [];
  /** Ids that an answer named as perhaps recorded. */
  readonly unknown: string[] = [];
  readonly #client: () => Client;
  readonly #subProviders: readonly string[];
  readonly #callers: readonly Promise<void>[];
  #made = 0;
  #stopped = false;

  /** @param subProviders mock instances, each of which gets its turn */
  constructor(client: Client | (() => Client), subProviders: readonly string[] = []) {
    this.#client = typeof client === 'function' ? client : () => client;
    this.#subProviders = subProviders;
    this.#callers = Array.from({ length: AT_A_TIME }, () => this.#call());
  }

  /** Creates one action now. A request that got no answer at all has status 0. */
  async create(): Promise<LoadAnswer> {
    const turn = this.#made;
    this.#made += 1;
    const subProvider = this.#subProviders[turn % this.#subProviders.length];
    const body = mockAction(
      'BlockIp',
      { IP: `10.${(turn >> 16) & 255}.${(turn >> 8) & 255}.${turn & 255}` },
      subProvider === undefined
        ? {}
        : { vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider } },
    );
    const asked = performance.now();
    const answer = await this.#client()
      .post<GraphAction & Partial<GraphError>>(body)
      .catch((error: unknown) => String(error));
    const ms = performance.now() - asked;
    const noted: LoadAnswer =
      typeof answer === 'string'
        ? { status: 0, ms, code: null, message: answer, retryAfter: null }
        : {
            status: answer.status,
            ms,
            code: answer.body.error?.code ?? null,
            message: answer.body.error?.message ?? null,
            retryAfter: answer.headers.get('retry-after'),
          };
    this.answers.push(noted);
    if (typeof answer !== 'string' && answer.status === 201) this.ids.push(answer.body.id);
    const named = noted.code === 'outcomeUnknown' ? GUID.exec(noted.message ?? '')?.[0] : undefined;
    if (named !== undefined) this.unknown.push(named);
    return noted;
  }

  /** Waits until this many more actions were acknowledged. */
  async accepted(more: number, timeoutMs = 30_000): Promise<void> {
    const enough = this.ids.length + more;
    await eventually(() => this.ids.length >= enough, timeoutMs);
  }

  /** Lets every caller have its answer, and no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
  }

  /** Answers that say neither "recorded", nor "perhaps, look for this id", nor "not recorded, come again". */
  untrue(): readonly LoadAnswer[] {
    return this.answers.filter(({ status, code, message, retryAfter }) => {
      if (status === 201) return false;
      if (status === 500) return code !== 'outcomeUnknown' || !GUID.test(message ?? '');
      return status !== 503 || code !== 'serviceNotAvailable' || retryAfter === null;
    });
  }

  /**
   * Waits for the end of every action that was acknowledged, or recorded after all, and says, by the vendors'
   * ledgers, what was not done exactly as it is told.
   */
  async misdone(vendors: readonly RunningVendor[], timeoutMs = 60_000): Promise<readonly string[]> {
    const client = this.#client();
    const perhaps = await Promise.all(
      this.unknown.map(async (id) => ((await client.get(id)).id === id ? [id] : [])),
    );
    const wrong: string[] = [];
    const recorded = new Set([...this.ids, ...perhaps.flat()]);
    const ended = new Map<string, string>();
    for (const id of recorded) {
      const { status, phase } = await client.ended(id, timeoutMs);
      ended.set(id, status === 'Completed' ? status : phase);
    }
    const done = new Map<string, number>();
    for (const { event, key } of vendors.flatMap((vendor) => vendor.ledger()))
      if (event === 'executed') done.set(key, (done.get(key) ?? 0) + 1);
    for (const [id, times] of done) if (times > 1) wrong.push(`${id} was done ${times} times`);
    for (const [id, how] of ended) {
      const times = done.get(id) ?? 0;
      if (how === 'Completed' && times !== 1) wrong.push(`${id} is Completed and was done ${times} times`);
      if (how !== 'Completed' && how !== 'outcomeUnknown') wrong.push(`${id} ended as ${how}`);
    }
    return wrong;
  }

  async #call(): Promise<void> {
    while (!this.#stopped) {
      const { status } = await this.create();
      if (status === 0) await sleep(50);
    }
  }
}
