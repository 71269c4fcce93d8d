import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { SimulatedVendor, VendorEffect } from '#provider-sdk/conformance';
import { SimulatorServer, answerJson, type Incoming } from '../simulator-server.js';

interface Rule {
  readonly id: string;
  readonly mode: string;
  readonly configuration: { readonly target: string; readonly value: string };
  readonly notes: string;
}

/**
 * Cloudflare's IP Access rules over HTTP: list, create and delete, with its envelope, its codes (10000 wrong token,
 * 10001 no such rule, 10009 a second rule for an address) and, when told to, HTTP 200 with `success: false`. Made from
 * the documentation; the codes and the refusal of a second rule are assumptions.
 */
export class CloudflareSimulator implements SimulatedVendor {
  readonly tokens = new Set<string>();
  readonly rules = new Map<string, Rule>();
  /** The next answers, instead of what would be done. */
  readonly next: { readonly status: number; readonly body: unknown }[] = [];
  #effects: VendorEffect[] = [];
  #calls = 0;
  #server: SimulatorServer | undefined;

  static async start(tokens: readonly string[]): Promise<CloudflareSimulator> {
    const vendor = new CloudflareSimulator();
    for (const token of tokens) vendor.tokens.add(token);
    vendor.#server = await SimulatorServer.start((incoming, response) => vendor.#answer(incoming, response));
    return vendor;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  get baseUrl(): string {
    return this.#server?.baseUrl ?? '';
  }

  reset(): void {
    this.rules.clear();
    this.next.length = 0;
    this.#effects = [];
    this.#calls = 0;
  }

  effects(): readonly VendorEffect[] {
    return this.#effects;
  }

  calls(): number {
    return this.#calls;
  }

  preexisting(_action: string, sample: Readonly<Record<string, unknown>>): void {
    this.add(String(sample['IP']), 'by hand');
  }

  add(ip: string, notes: string): Rule {
    const rule = {
      id: randomUUID().replaceAll('-', ''),
      mode: 'block',
      configuration: { target: 'ip', value: ip },
      notes,
    };
    this.rules.set(rule.id, rule);
    return rule;
  }

  #answer({ method, url, headers, body }: Incoming, response: ServerResponse): void {
    this.#calls += 1;
    const say = (status: number, answer: unknown): void => answerJson(response, status, answer);
    const refuse = (status: number, code: number, message: string): void =>
      say(status, { success: false, errors: [{ code, message }], messages: [], result: null });
    const planned = this.next.shift();
    if (planned !== undefined) return say(planned.status, planned.body);
    if (!this.tokens.has(String(headers.authorization).replace(/^Bearer /, '')))
      return refuse(403, 10000, 'Authentication error');
    const path = /\/(?:accounts|zones)\/[0-9a-f]{32}\/firewall\/access_rules\/rules(?:\/([^/]+))?$/.exec(
      url.pathname,
    );
    if (path === null) return refuse(404, 7003, 'Could not route to the path');
    const done = (result: unknown): void => say(200, { success: true, errors: [], messages: [], result });
    switch (method) {
      case 'GET':
        return done(
          [...this.rules.values()].filter(
            (rule) =>
              rule.configuration.value ===
              (url.searchParams.get('configuration.value') ?? rule.configuration.value),
          ),
        );
      case 'POST': {
        const wanted = JSON.parse(body) as Rule;
        const { value } = wanted.configuration;
        if ([...this.rules.values()].some((rule) => rule.configuration.value === value))
          return refuse(400, 10009, 'firewallaccessrules.api.duplicate_of_existing');
        this.#effects.push({ what: 'did', target: value, key: wanted.notes });
        return done(this.add(value, wanted.notes));
      }
      default: {
        const rule = this.rules.get(path[1] ?? '');
        if (rule === undefined) return refuse(404, 10001, 'firewallaccessrules.api.not_found');
        this.rules.delete(rule.id);
        this.#effects.push({ what: 'undid', target: rule.configuration.value });
        return done({ id: rule.id });
      }
    }
  }
}
