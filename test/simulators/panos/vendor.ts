import { randomBytes } from 'node:crypto';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { SimulatedVendor, VendorEffect } from '#provider-sdk/conformance';
import { SimulatorServer, type Incoming } from '../simulator-server.js';

interface Answer {
  readonly status: number;
  readonly xml: string;
}

interface Entry {
  readonly '@ip': string;
  readonly tag: { readonly member: readonly { readonly '#text': string; readonly '@timeout'?: string }[] };
}
interface Message {
  readonly 'uid-message'?: {
    readonly payload: Readonly<
      Partial<Record<'register' | 'unregister', { readonly entry: readonly Entry[] }>>
    >;
  };
  readonly show?: {
    readonly object: {
      readonly 'registered-ip': {
        readonly limit?: { readonly '#text': string };
        readonly 'start-point'?: { readonly '#text': string };
        readonly tag: { readonly entry: readonly { readonly '@name': string }[] };
      };
    };
  };
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  alwaysCreateTextNode: true,
  parseTagValue: false,
  isArray: (name) => name === 'entry' || name === 'member',
});

const LONGEST_S = 2_592_000;

/**
 * The XML API of PAN-OS over HTTP, as far as tags of registered addresses go: `keygen`, `type=user-id` and
 * `show object registered-ip`. Made from its documentation, pan-os-python and what others saw of it: a refusal comes with
 * HTTP 200, a second registration is an error that is none, only what was refused is named, and pages are of `limit`.
 */
export class PanosSimulator implements SimulatedVendor {
  readonly users = new Map<string, string>();
  readonly keys = new Set<string>();
  /** Types of requests that the role does not allow. */
  readonly forbidden = new Set<'op' | 'user-id'>();
  /** The next answers, instead of what would be done. */
  readonly next: Answer[] = [];
  /** Says of a second registration that it exists, and keeps the time it had. */
  isStrict = false;
  /** Tells the seconds that are left of a tag. */
  tellsTimeouts = true;
  /** Networks came with 10.0. */
  release = 11;
  most = 1000;
  isLying = false;
  readonly requests: string[] = [];
  /** By virtual system, address and tag: when it is dropped, on `now`; null: never. */
  readonly #registered = new Map<string, Map<string, Map<string, number | null>>>();
  #effects: VendorEffect[] = [];
  #skippedMs = 0;
  #server: SimulatorServer | undefined;

  static async start(keys: readonly string[]): Promise<PanosSimulator> {
    const vendor = new PanosSimulator();
    for (const key of keys) vendor.keys.add(key);
    vendor.#server = await SimulatorServer.start((incoming, response) => {
      const { status, xml } = vendor.#answer(incoming);
      response.writeHead(status, { 'content-type': 'application/xml; charset=UTF-8' }).end(xml);
    });
    return vendor;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  get baseUrl(): string {
    return this.#server?.baseUrl ?? '';
  }

  reset(): void {
    this.#registered.clear();
    this.#effects = [];
    this.#skippedMs = 0;
    this.requests.length = 0;
    this.next.length = 0;
    this.forbidden.clear();
    this.isStrict = false;
    this.tellsTimeouts = true;
    this.release = 11;
    this.most = 1000;
    this.isLying = false;
  }

  effects(): readonly VendorEffect[] {
    return this.#effects;
  }

  calls(): number {
    return this.requests.length;
  }

  preexisting(_action: string, sample: Readonly<Record<string, unknown>>): void {
    this.give(String(sample['IP']), 'riposte-block');
  }

  /** Somebody else gives a tag. */
  give(ip: string, tag: string, vsys = 'vsys1'): void {
    this.#tagsOf(vsys, ip).set(tag, null);
  }

  /** The device's clock goes on. */
  skip(ms: number): void {
    this.#skippedMs += ms;
  }

  /** Addresses with a tag, and the seconds left of it. */
  tagged(tag: string, vsys = 'vsys1'): Readonly<Record<string, number>> {
    this.#expire();
    return Object.fromEntries(
      [...this.#of(vsys)].flatMap(([ip, tags]) => {
        const until = tags.get(tag);
        return until === undefined ? [] : [[ip, this.#left(until)]];
      }),
    );
  }

  get #now(): number {
    return Date.now() + this.#skippedMs;
  }

  #left(until: number | null): number {
    return until === null ? 0 : Math.ceil((until - this.#now) / 1000);
  }

  #of(vsys: string): Map<string, Map<string, number | null>> {
    const all = this.#registered.get(vsys) ?? new Map<string, Map<string, number | null>>();
    this.#registered.set(vsys, all);
    return all;
  }

  #tagsOf(vsys: string, ip: string): Map<string, number | null> {
    const all = this.#of(vsys);
    const tags = all.get(ip) ?? new Map<string, number | null>();
    all.set(ip, tags);
    return tags;
  }

  #expire(): void {
    for (const all of this.#registered.values())
      for (const [ip, tags] of all) {
        for (const [tag, until] of tags) if (until !== null && until <= this.#now) tags.delete(tag);
        if (tags.size === 0) all.delete(ip);
      }
  }

  #answer({ method, url, headers, body }: Incoming): Answer {
    const asked = new URLSearchParams(body);
    for (const [name, value] of url.searchParams) asked.append(name, value);
    const type = String(asked.get('type'));
    this.requests.push(type);
    const planned = this.next.shift();
    if (planned !== undefined) return planned;
    if (url.pathname !== '/api/' || method !== 'POST') return { status: 404, xml: '<html>Not Found</html>' };
    this.#expire();
    if (type === 'keygen') return this.#keygen(asked);
    if (!this.keys.has(String(headers['x-pan-key'] ?? asked.get('key')))) return invalidCredential;
    if (type !== 'op' && type !== 'user-id') return refused(400, 'Invalid type');
    if (this.forbidden.has(type)) return refused(403, `Type [${type}] not authorized for user role.`);
    const cmd = String(asked.get('cmd'));
    if (XMLValidator.validate(cmd) !== true) return refused(17, 'command is not well formed');
    const vsys = asked.get('vsys') ?? 'vsys1';
    if (vsys !== 'vsys1' && vsys !== 'vsys2') return refused(17, `Invalid vsys ${vsys}`);
    const message = parser.parse(cmd) as Message;
    return type === 'op' ? this.#show(message, vsys) : this.#update(message, vsys);
  }

  #keygen(asked: URLSearchParams): Answer {
    const password = this.users.get(String(asked.get('user')));
    if (password === undefined || password !== asked.get('password')) return invalidCredential;
    const key = randomBytes(24).toString('base64');
    this.keys.add(key);
    return success(`<result><key>${key}</key></result>`);
  }

  #show({ show }: Message, vsys: string): Answer {
    if (show === undefined) return refused(17, 'show is missing');
    const { tag, limit, 'start-point': start } = show.object['registered-ip'];
    const name = tag.entry[0]?.['@name'] ?? '';
    const all = [...this.#of(vsys)].filter(([, tags]) => tags.has(name));
    const from = Number(start?.['#text'] ?? 1) - 1;
    const some = all.slice(from, from + Number(limit?.['#text'] ?? all.length));
    const entries = some.map(([ip, tags]) => {
      const left = this.#left(tags.get(name) ?? null);
      const timeout = this.tellsTimeouts && left > 0 ? ` timeout="${left}"` : '';
      return `<entry ip="${ip}" from_agent="0" persistent="1"><tag><member${timeout}>${name}</member></tag></entry>`;
    });
    return success(`<result>${entries.join('')}<count>${some.length}</count></result>`);
  }

  #update({ 'uid-message': message }: Message, vsys: string): Answer {
    if (message === undefined) return refused(17, 'uid-message is missing');
    const { register, unregister } = message.payload;
    const given = register?.entry ?? [];
    for (const { tag } of given)
      for (const { '@timeout': timeout = '0' } of tag.member)
        if (Number(timeout) > LONGEST_S)
          return refused(12, `timeout ${timeout} is invalid. Maximum is ${LONGEST_S}`);
    const complaints = {
      register: this.isLying ? [] : given.flatMap((entry) => this.#register(vsys, entry)),
      unregister: this.isLying
        ? []
        : (unregister?.entry ?? []).flatMap((entry) => this.#unregister(vsys, entry)),
    };
    const section = (name: 'register' | 'unregister'): string =>
      message.payload[name] === undefined ? '' : `<${name}>${complaints[name].join('')}</${name}>`;
    const said = `<uid-response><version>2.0</version><payload>${section('register')}${section('unregister')}</payload></uid-response>`;
    return complaints.register.length + complaints.unregister.length === 0
      ? success(`<result>${said}</result>`)
      : { status: 200, xml: `<response status="error"><msg><line>${said}</line></msg></response>` };
  }

  #register(vsys: string, { '@ip': ip, tag }: Entry): readonly string[] {
    const complain = (words: string): string => `<entry ip="${ip}" message="${words}"/>`;
    if (ip.includes('/') && (this.release < 10 || ip.includes(':'))) return [complain(`invalid ip ${ip}`)];
    if (!this.#of(vsys).has(ip) && this.#of(vsys).size >= this.most)
      return [complain('max registered-ip for the platform reached')];
    const tags = this.#tagsOf(vsys, ip);
    return tag.member.flatMap(({ '#text': name, '@timeout': timeout = '0' }) => {
      const isKnown = tags.has(name);
      if (isKnown && this.isStrict) return [complain(`tag ${name} already exists, ignore`)];
      if (!isKnown) this.#effects.push({ what: 'did', target: ip });
      tags.set(name, timeout === '0' ? null : this.#now + Number(timeout) * 1000);
      return [];
    });
  }

  #unregister(vsys: string, { '@ip': ip, tag }: Entry): readonly string[] {
    const tags = this.#of(vsys).get(ip);
    return tag.member.flatMap(({ '#text': name }) => {
      if (tags?.delete(name) !== true)
        return [`<entry ip="${ip}" message="tag ${name} does not exist, ignore unreg"/>`];
      if (tags.size === 0) this.#of(vsys).delete(ip);
      this.#effects.push({ what: 'undid', target: ip });
      return [];
    });
  }
}

const success = (inner: string): Answer => ({
  status: 200,
  xml: `<response status="success">${inner}</response>`,
});
const refused = (code: number, words: string): Answer => ({
  status: 200,
  xml: `<response status="error" code="${code}"><result><msg>${words}</msg></result></response>`,
});
const invalidCredential: Answer = { ...refused(403, 'Invalid Credential'), status: 403 };
