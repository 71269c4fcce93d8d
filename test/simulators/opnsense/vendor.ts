import { randomUUID } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type { SimulatedVendor, VendorEffect } from '#provider-sdk/conformance';
import { SimulatorServer, answerJson, type Incoming } from '../simulator-server.js';

const TYPES = ['host', 'network', 'external', 'urltable', 'port'] as const;
type AliasType = (typeof TYPES)[number];

interface Alias {
  readonly uuid: string;
  readonly name: string;
  readonly type: AliasType;
  readonly enabled: '0' | '1';
  /** Of the configuration; in an alias of type `network` with a mask. */
  content: readonly string[];
}

/** What a user may be kept from. */
type Area = 'alias' | 'alias_util' | 'diagnostics';

interface Answer {
  readonly status: number;
  readonly body: unknown;
}
const ok = (body: unknown): Answer => ({ status: 200, body });

/**
 * The alias API of OPNsense over HTTP, as its AliasController and AliasUtilController are written: aliases in the
 * configuration, tables in the running filter, and `reconfigure` between the two. It says HTTP 200 where it failed, reads a
 * table that is not there as an empty one, and takes IPv6 in lower case only.
 */
export class OpnsenseSimulator implements SimulatedVendor {
  /** Secrets of the API keys. */
  readonly keys = new Map<string, string>();
  readonly forbidden = new Set<Area>();
  readonly aliases = new Map<string, Alias>();
  /** Addresses that connections are from. */
  states: string[] = [];
  /** The next answers, instead of what would be done. */
  readonly next: Answer[] = [];
  /** Says done to changes and does nothing. */
  isLying = false;
  /** Answers a table's list as old releases did: the values alone. */
  isOld = false;
  readonly #tables = new Map<string, Set<string>>();
  #effects: VendorEffect[] = [];
  readonly requests: string[] = [];
  #server: SimulatorServer | undefined;

  /**
   * @param keys secrets by key
   * @param tls certificate and key. Default: plain HTTP
   */
  static async start(
    keys: Readonly<Record<string, string>>,
    tls?: { readonly cert: string; readonly key: string },
  ): Promise<OpnsenseSimulator> {
    const vendor = new OpnsenseSimulator();
    for (const [key, secret] of Object.entries(keys)) vendor.keys.set(key, secret);
    vendor.reset();
    vendor.#server = await SimulatorServer.start(
      (incoming, response) => {
        const { status, body } = vendor.#answer(incoming);
        answerJson(response, status, body);
      },
      0,
      tls,
    );
    return vendor;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  get baseUrl(): string {
    return this.#server?.baseUrl ?? '';
  }

  /** One alias of type `network`, `riposte_block`, empty and loaded. */
  reset(): void {
    this.aliases.clear();
    this.#tables.clear();
    this.forbidden.clear();
    this.next.length = 0;
    this.states = [];
    this.isLying = false;
    this.isOld = false;
    this.#effects = [];
    this.requests.length = 0;
    this.define('riposte_block', 'network');
    this.#load();
  }

  effects(): readonly VendorEffect[] {
    return this.#effects;
  }

  calls(): number {
    return this.requests.length;
  }

  preexisting(_action: string, sample: Readonly<Record<string, unknown>>): void {
    this.block('riposte_block', String(sample['IP']));
  }

  /** An alias of the configuration. `reboot` or `reconfigure` loads it. */
  define(name: string, type: AliasType, enabled: '0' | '1' = '1'): void {
    this.aliases.set(name, { uuid: randomUUID(), name, type, enabled, content: [] });
  }

  /** Somebody adds it by hand. */
  block(alias: string, address: string): void {
    this.#change('add', alias, address);
    this.#effects = [];
  }

  /** The table of the running filter, as pfctl shows it. */
  table(name: string): readonly string[] {
    return [...(this.#tables.get(name) ?? [])].toSorted((a, b) => a.localeCompare(b));
  }

  /** Tables are made anew from the configuration; external ones are empty. */
  reboot(): void {
    this.#tables.clear();
    this.#load();
  }

  #load(): void {
    for (const { name, type, enabled, content } of this.aliases.values())
      if (enabled === '1' && (type !== 'external' || !this.#tables.has(name)))
        this.#tables.set(name, new Set(type === 'external' ? [] : content.map(shown)));
  }

  #answer({ method, url, headers, body }: Incoming): Answer {
    const [api, module, controller = '', command, argument = ''] = url.pathname.slice(1).split('/');
    this.requests.push(`${method} ${url.pathname}`);
    const planned = this.next.shift();
    if (planned !== undefined) return planned;
    if (!this.#mayIn(String(headers.authorization)))
      return { status: 401, body: { status: 401, message: 'Authentication Failed' } };
    const area = `${module}` === 'diagnostics' ? 'diagnostics' : controller;
    if (this.forbidden.has(area as Area)) return { status: 403, body: { status: 403, message: 'Forbidden' } };
    const sent = (body === '' ? {} : JSON.parse(body)) as Readonly<Record<string, unknown>>;
    const isPost = method === 'POST';
    switch (`${api}/${module}/${controller}/${command}`) {
      case 'api/firewall/alias_util/list':
        return ok(this.#list(argument));
      case 'api/firewall/alias_util/add':
      case 'api/firewall/alias_util/delete':
        return ok(
          isPost && typeof sent['address'] === 'string'
            ? this.#change(command as 'add' | 'delete', argument, sent['address'])
            : { status: 'failed' },
        );
      case 'api/firewall/alias/getAliasUUID':
      case 'api/firewall/alias/get_alias_u_u_i_d': {
        const alias = this.aliases.get(argument);
        return ok(alias === undefined ? [] : { uuid: alias.uuid });
      }
      case 'api/firewall/alias/getItem':
      case 'api/firewall/alias/get_item':
        return ok(this.#item(argument));
      case 'api/firewall/alias/addItem':
      case 'api/firewall/alias/add_item':
        return ok(isPost ? this.#addItem(sent['alias'] as Alias) : { result: 'failed' });
      case 'api/firewall/alias/reconfigure':
        if (isPost) this.#load();
        return ok({ status: isPost ? 'ok' : 'failed' });
      case 'api/diagnostics/firewall/kill_states': {
        if (!isPost) return ok({ result: '' });
        const left = this.states.filter((from) => !within(from, String(sent['filter'])));
        const dropped = this.states.length - left.length;
        this.states = left;
        return ok({ result: 'ok', dropped_states: dropped });
      }
      default:
        return { status: 404, body: { status: 404, message: 'Endpoint not found' } };
    }
  }

  #mayIn(authorization: string): boolean {
    const [key = '', secret] = Buffer.from(authorization.replace(/^Basic /, ''), 'base64')
      .toString()
      .split(':');
    return secret !== undefined && this.keys.get(key) === secret;
  }

  #list(name: string): unknown {
    const rows = this.table(name);
    if (this.isOld) return rows;
    return { total: rows.length, rowCount: 9999, current: 1, rows: rows.map((ip) => ({ ip })) };
  }

  #item(uuid: string): unknown {
    const alias = [...this.aliases.values()].find((one) => one.uuid === uuid);
    if (alias === undefined) return [];
    const type = Object.fromEntries(
      TYPES.map((one) => [one, { value: one, selected: one === alias.type ? 1 : 0 }]),
    );
    return { alias: { enabled: alias.enabled, name: alias.name, type } };
  }

  #addItem({ name, type, enabled }: Alias): unknown {
    if (this.aliases.has(name))
      return {
        result: 'failed',
        validations: { 'alias.name': 'An alias with this name already exists.' },
      };
    this.define(name, type, enabled);
    return { result: 'saved', uuid: this.aliases.get(name)?.uuid };
  }

  #change(command: 'add' | 'delete', name: string, address: string): unknown {
    const alias = this.aliases.get(name);
    if (command === 'add' && /[^0-9a-f:./_]/.test(address)) return { status: 'not_an_address' };
    if (alias === undefined)
      return command === 'add'
        ? { status: 'failed', status_msg: `nonexistent alias ${name}` }
        : { status: 'done' };
    if (this.isLying) return { status: 'done' };
    const masked = address.includes('/') ? address : `${address}/${address.includes(':') ? 128 : 32}`;
    const kept = alias.type === 'network' ? masked : address;
    const table = this.#tables.get(name) ?? new Set<string>();
    this.#tables.set(name, table);
    if (command === 'add') {
      // The first entry of the configuration is not looked at, so that it may stand there twice.
      if (alias.type !== 'external' && !alias.content.slice(1).includes(kept))
        alias.content = [...alias.content, kept];
      if (!table.has(shown(address))) this.#effects.push({ what: 'did', target: shown(address) });
      table.add(shown(address));
    } else {
      alias.content = alias.content.filter((one) => one !== masked && one !== address);
      if (table.delete(shown(address))) this.#effects.push({ what: 'undid', target: shown(address) });
    }
    return { status: 'done' };
  }
}

/** As pfctl shows an entry: hosts without their mask. */
function shown(address: string): string {
  const [host = '', prefix] = address.split('/');
  const parsed = ipaddr.parse(host);
  const text = parsed instanceof ipaddr.IPv6 ? parsed.toRFC5952String() : parsed.toString();
  return prefix === undefined || Number(prefix) === parsed.toByteArray().length * 8
    ? text
    : `${text}/${prefix}`;
}

function within(address: string, filter: string): boolean {
  const one = ipaddr.parse(address);
  const range = filter.includes('/')
    ? ipaddr.parseCIDR(filter)
    : ipaddr.parseCIDR(`${filter}/${filter.includes(':') ? 128 : 32}`);
  return one.kind() === range[0].kind() && one.match(range);
}
