import type { SimulatedVendor, VendorEffect } from '#provider-sdk/conformance';
import { SimulatorServer, answerJson, type Incoming } from '../simulator-server.js';

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

interface AddressObject {
  readonly name: string;
  readonly subnet?: string;
  readonly ip6?: string;
  readonly comment?: string;
}

/** One family's address objects and groups. */
class Family {
  readonly addresses = new Map<string, AddressObject>();
  readonly groups = new Map<string, Set<string>>();

  isUsed(name: string): boolean {
    return [...this.groups.values()].some((members) => members.has(name));
  }
}

/**
 * FortiOS's REST API over HTTP: the list of banned addresses (monitor/user/banned) and address groups of the configuration.
 * Made from clients and from what others wrote of it: bodies say `status`, `http_status` and a number in `error` (-5 it is
 * there, -3 it is not, -23 it is used), with HTTP 500, 404 or 424. Much of it is an assumption.
 */
export class FortigateSimulator implements SimulatedVendor {
  readonly tokens = new Set<string>();
  /** Parts of paths that the profile does not allow. */
  readonly forbidden = new Set<'banned' | 'firewall'>();
  /** Where the list of bans is; older releases have it without `select`. */
  select: 'select' | '' | null = 'select';
  readonly next: Answer[] = [];
  isLying = false;
  mostAddresses = 1000;
  /** Every request but reading: method and path. */
  readonly changes: { readonly path: string; readonly body: unknown }[] = [];
  /** By address, when it ends; null: never. By the device's own clock. */
  readonly #bans = new Map<string, number | null>();
  /** Milliseconds by which the device's clock is ahead of ours. */
  aheadMs = 0;
  #skippedMs = 0;
  #effects: VendorEffect[] = [];
  #calls = 0;
  v4 = new Family();
  v6 = new Family();
  #server: SimulatorServer | undefined;

  static async start(tokens: readonly string[]): Promise<FortigateSimulator> {
    const vendor = new FortigateSimulator();
    for (const token of tokens) vendor.tokens.add(token);
    vendor.reset();
    vendor.#server = await SimulatorServer.start((incoming, response) => {
      const { status, body } = vendor.#answer(incoming);
      const date = new Date(vendor.#now).toUTCString();
      answerJson(response, status, body, { date });
    });
    return vendor;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  get baseUrl(): string {
    return this.#server?.baseUrl ?? '';
  }

  /** Nothing is banned; the groups `riposte-block` and `riposte-block6` have one member that is of nobody. */
  reset(): void {
    this.forbidden.clear();
    this.select = 'select';
    this.next.length = 0;
    this.isLying = false;
    this.mostAddresses = 1000;
    this.changes.length = 0;
    this.#bans.clear();
    this.aheadMs = 0;
    this.#skippedMs = 0;
    this.#effects = [];
    this.#calls = 0;
    [this.v4, this.v6] = [new Family(), new Family()];
    this.v4.addresses.set('placeholder', { name: 'placeholder', subnet: '192.0.2.255 255.255.255.255' });
    this.v4.groups.set('riposte-block', new Set(['placeholder']));
    this.v6.addresses.set('placeholder6', { name: 'placeholder6', ip6: '2001:db8:ffff::1/128' });
    this.v6.groups.set('riposte-block6', new Set(['placeholder6']));
  }

  effects(): readonly VendorEffect[] {
    return this.#effects;
  }

  calls(): number {
    return this.#calls;
  }

  preexisting(_action: string, sample: Readonly<Record<string, unknown>>): void {
    const ip = String(sample['IP']);
    this.ban(ip, null);
    this.group(ip);
  }

  /** Somebody else bans it, for so many seconds. */
  ban(ip: string, seconds: number | null): void {
    this.#bans.set(ip, seconds === null ? null : this.#now + seconds * 1000);
  }

  /** Somebody else puts an IPv4 address into the group. */
  group(ip: string): void {
    this.v4.addresses.set(`host ${ip}`, { name: `host ${ip}`, subnet: `${ip} 255.255.255.255` });
    this.v4.groups.get('riposte-block')?.add(`host ${ip}`);
  }

  skip(ms: number): void {
    this.#skippedMs += ms;
  }

  reboot(): void {
    this.#bans.clear();
  }

  /** Seconds left of each ban; null: no end. */
  bans(): Readonly<Record<string, number | null>> {
    this.#expire();
    return Object.fromEntries(
      [...this.#bans].map(([ip, until]) => [
        ip,
        until === null ? null : Math.round((until - this.#now) / 1000),
      ]),
    );
  }

  get #now(): number {
    return Date.now() + this.aheadMs + this.#skippedMs;
  }

  #expire(): void {
    for (const [ip, until] of this.#bans) if (until !== null && until <= this.#now) this.#bans.delete(ip);
  }

  #answer({ method, url, headers, body: text }: Incoming): Answer {
    this.#calls += 1;
    const planned = this.next.shift();
    if (planned !== undefined) return planned;
    const envelope = (status: number, more: object = {}): Answer => ({
      status,
      body: {
        http_method: method,
        vdom: url.searchParams.get('vdom') ?? 'root',
        status: status === 200 ? 'success' : 'error',
        http_status: status,
        ...more,
      },
    });
    if (!this.tokens.has(String(headers.authorization).replace(/^Bearer /, ''))) return envelope(401);
    if (!['root', null].includes(url.searchParams.get('vdom'))) return envelope(424, { error: -651 });
    const path = url.pathname.split('/').slice(3).map(decodeURIComponent);
    if (this.forbidden.has(path[0] === 'monitor' ? 'banned' : 'firewall')) return envelope(403);
    const body: unknown = text === '' ? null : JSON.parse(text);
    if (method !== 'GET') this.changes.push({ path: `${method} ${path.join('/')}`, body });
    if (path[0] === 'monitor') return this.#banned(path.slice(2), method, body, envelope);
    const family = path[2]?.endsWith('6') === true ? this.v6 : this.v4;
    switch (`${method} ${path[2]?.replace(/6$/, '')}`) {
      case 'GET address':
        return envelope(200, { results: [...family.addresses.values()] });
      case 'POST address':
        return this.#addAddress(family, body as AddressObject, envelope);
      case 'DELETE address': {
        const name = path[3] ?? '';
        if (!family.addresses.has(name)) return envelope(404, { error: -3 });
        if (family.isUsed(name)) return envelope(500, { error: -23 });
        family.addresses.delete(name);
        return envelope(200);
      }
      case 'GET addrgrp': {
        const members = family.groups.get(path[3] ?? '');
        return members === undefined
          ? envelope(404, { error: -3 })
          : envelope(200, { results: [{ name: path[3], member: [...members].map((name) => ({ name })) }] });
      }
      case 'POST addrgrp':
      case 'DELETE addrgrp':
        return this.#member(family, path, method, body as { readonly name: string }, envelope);
      default:
        return envelope(404);
    }
  }

  #banned(
    [list, command = '']: readonly string[],
    method: string,
    body: unknown,
    envelope: (status: number, more?: object) => Answer,
  ): Answer {
    this.#expire();
    if (list !== 'banned') return envelope(404);
    if (method === 'GET')
      return command === this.select
        ? envelope(200, {
            results: [...this.#bans].map(([ip_address, until]) => ({
              ip_address,
              ipv6: ip_address.includes(':'),
              source: 'Administrative',
              created: Math.floor(this.#now / 1000),
              ...(until === null ? {} : { expires: Math.floor(until / 1000) }),
            })),
          })
        : envelope(404);
    const { ip_addresses: addresses, expiry = 0 } = body as {
      ip_addresses: readonly string[];
      expiry?: number;
    };
    if (!Array.isArray(addresses) || addresses.some((one: string) => one.includes('/')))
      return envelope(424, { error: -651 });
    for (const ip of this.isLying ? [] : (addresses as readonly string[])) {
      if (command === 'add_users') {
        if (!this.#bans.has(ip)) this.#effects.push({ what: 'did', target: ip });
        this.ban(ip, expiry === 0 ? null : expiry);
      } else if (command === 'clear_users') {
        if (this.#bans.delete(ip)) this.#effects.push({ what: 'undid', target: ip });
      } else return envelope(405);
    }
    return envelope(200);
  }

  #addAddress(
    family: Family,
    object: AddressObject,
    envelope: (status: number, more?: object) => Answer,
  ): Answer {
    if (/[<>()#'"/]/.test(object.name) || object.name.length > 79) return envelope(424, { error: -651 });
    if (family.addresses.has(object.name)) return envelope(500, { error: -5 });
    if (family.addresses.size >= this.mostAddresses) return envelope(500, { error: -4 });
    const [address = '', bits] = object.subnet?.split('/') ?? [];
    const mask = Array.from(
      { length: 4 },
      (_, at) => 256 - 2 ** (8 - Math.min(8, Math.max(0, Number(bits) - at * 8))),
    );
    family.addresses.set(
      object.name,
      object.subnet === undefined ? object : { ...object, subnet: `${address} ${mask.join('.')}` },
    );
    return envelope(200, { mkey: object.name });
  }

  #member(
    family: Family,
    path: readonly string[],
    method: string,
    body: { readonly name: string } | null,
    envelope: (status: number, more?: object) => Answer,
  ): Answer {
    const members = family.groups.get(path[3] ?? '');
    const name = method === 'POST' ? String(body?.name) : (path[5] ?? '');
    if (members === undefined || path[4] !== 'member') return envelope(404, { error: -3 });
    if (this.isLying) return envelope(200);
    if (method === 'POST') {
      if (!family.addresses.has(name)) return envelope(424, { error: -3 });
      if (members.has(name)) return envelope(500, { error: -5 });
      members.add(name);
      this.#effects.push({ what: 'did', target: name });
      return envelope(200, { mkey: name });
    }
    if (!members.has(name)) return envelope(404, { error: -3 });
    // A group is never empty.
    if (members.size === 1) return envelope(500, { error: -1 });
    members.delete(name);
    this.#effects.push({ what: 'undid', target: name });
    return envelope(200);
  }
}
