import {
  CANONICAL,
  ProviderError,
  Type,
  plainWords,
  type Provider,
  type ProviderErrorClass,
  type Static,
} from '#provider-sdk';
import { deviceHealth } from '../device-health.js';
import type { DeviceEntry, DriverContext, FirewallDriver, NewEntry } from '../driver.js';
import { firewallProvider } from '../firewall-provider.js';
import { readAnswer, showRegistered, uidMessage, type PanosAnswer } from './panos-xml.js';

/**
 * PAN-OS by tags of registered addresses, which its XML API gives and takes without a commit. A dynamic address group
 * that matches the tag, in a rule that denies, is what blocks:
 * https://docs.paloaltonetworks.com/ngfw/api/get-started-with-the-pan-os-xml-api
 */

const SETTINGS = {
  /** Of the management interface of a firewall or a Panorama. */
  baseUrl: Type.String({ format: 'url', examples: ['https://fw.example.com'] }),
  /** The tag that the dynamic address group matches. Nobody else gives it. */
  tag: Type.String({
    pattern: '^[A-Za-z0-9_.:-]{1,127}$',
    default: 'riposte-block',
    examples: ['riposte-block'],
  }),
  /** The virtual system. Default: that of the device. */
  vsys: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,63}$', examples: ['vsys1'] })),
  /** Serial number of the firewall that a Panorama at `baseUrl` passes everything on to. */
  target: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9]{6,32}$', examples: ['007200002517'] })),
} as const;
interface Settings {
  readonly baseUrl: string;
  readonly tag: string;
  readonly vsys?: Static<typeof SETTINGS.vsys>;
  readonly target?: Static<typeof SETTINGS.target>;
}
type Context = DriverContext<Settings>;

const LONGEST_S = 2_592_000;
/** Entries of a page, as the vendor's own library asks for them. */
const PAGE = 500;
/** Entries of one message: well below the 5 MB that a request may have. */
const BATCH = 1000;
const MOST_PAGES = 1000;

/** Keys that were made of a user's password, by instance; they stay good until the password changes. */
type Keys = Map<string, { readonly user: string; readonly password: string; readonly key: Promise<string> }>;

function driverOf(keys: Keys): FirewallDriver<Settings> {
  return {
    listOf: ({ tag }, { kind, value }) =>
      kind === 'ipv6_net' && value.includes('/')
        ? {
            refused: `PAN-OS gives tags to single IPv6 addresses only, and ${value} is a network. Use an external dynamic list (the feed plugin) for it.`,
          }
        : { list: tag },
    expires: true,
    longestMs: LONGEST_S * 1000,
    covers: false,
    vendorHosts: ({ baseUrl }) => [baseUrl],

    async read(context, tag): Promise<readonly DeviceEntry[]> {
      const entries = new Map<string, DeviceEntry>();
      for (let page = 0; page < MOST_PAGES; page += 1) {
        const before = entries.size;
        const cmd = showRegistered(tag, PAGE, page * PAGE + 1);
        const { registered } = await ask(keys, context, { type: 'op', cmd }, false);
        for (const { ip, tags } of registered) {
          const value = CANONICAL.network(ip);
          const own = tags.find((one) => one.tag === tag);
          if (value !== null && own !== undefined) entries.set(value, entryOf(value, own.timeoutS));
        }
        // A release that knows no pages gives all of them each time.
        if (registered.length < PAGE || entries.size === before) break;
      }
      return [...entries.values()];
    },

    async write(context, tag, { remove, add }) {
      const failures = new Map<string, ProviderError>();
      const existing: NewEntry[] = [];
      const send = async (unregister: readonly string[], register: readonly NewEntry[]): Promise<void> => {
        const cmd = uidMessage(
          tag,
          unregister,
          register.map(({ value, leftMs }) => ({ ip: value, timeoutS: secondsOf(leftMs) })),
        );
        const answer = await ask(keys, context, { type: 'user-id', cmd }, true);
        for (const { ip, words } of answer.complaints) {
          const value = CANONICAL.network(ip) ?? ip;
          const entry = register.find((one) => one.value === value);
          if (isThere(words)) existing.push(...(entry === undefined ? [] : [entry]));
          else if (!isGone(words)) failures.set(value, failureOf(words, null, true, context));
        }
      };
      for (let at = 0; at < Math.max(remove.length, add.length); at += BATCH)
        await send(remove.slice(at, at + BATCH), add.slice(at, at + BATCH));
      // What is there keeps the time it has; the order within one message is the device's.
      const again = existing.splice(0);
      for (let at = 0; at < again.length; at += BATCH) {
        const some = again.slice(at, at + BATCH);
        await send(
          some.map(({ value }) => value),
          [],
        );
        await send([], some);
      }
      return failures;
    },

    health: (context) =>
      deviceHealth(async () => {
        const { tag } = context.settings;
        await ask(keys, context, { type: 'op', cmd: showRegistered(tag, 1, 1) }, false);
        return `PAN-OS answers, and lists addresses with the tag ${tag}. They are blocked where a rule that denies has a dynamic address group with it.`;
      }),
  };
}

const secondsOf = (leftMs: number | null): number =>
  leftMs === null ? 0 : Math.min(LONGEST_S, Math.max(1, Math.ceil(leftMs / 1000)));

/** Without a timeout it is not told whether it has none, or whether this release does not tell. */
function entryOf(value: string, timeoutS: number | null): DeviceEntry {
  if (timeoutS === null) return { value };
  return { value, leftMs: timeoutS === 0 ? null : timeoutS * 1000 };
}

// The words are all there is: of single entries it gives no codes. The vendor's own library looks for the same.
const isThere = (words: string): boolean => words.endsWith('already exists, ignore');
const isGone = (words: string): boolean => words.endsWith('does not exist, ignore unreg');

interface Asked {
  readonly type: 'op' | 'user-id';
  readonly cmd: string;
}

/**
 * One request, with a new key where the one that was made is refused.
 *
 * @throws ProviderError where it failed as a whole; what is wrong with single entries is in the answer
 */
async function ask(keys: Keys, context: Context, asked: Asked, changes: boolean): Promise<PanosAnswer> {
  const given = context.secrets['apiKey'];
  if (given !== undefined) return once(context, asked, changes, given);
  const known = keys.has(context.instance);
  try {
    return await once(context, asked, changes, await madeKey(keys, context));
  } catch (error) {
    if (!known || !(error instanceof ProviderError) || error.errorClass !== 'auth') throw error;
    keys.delete(context.instance);
    return once(context, asked, changes, await madeKey(keys, context));
  }
}

async function once(context: Context, asked: Asked, changes: boolean, key: string): Promise<PanosAnswer> {
  const { vsys, target } = context.settings;
  const form = {
    ...asked,
    ...(vsys === undefined ? {} : { vsys }),
    ...(target === undefined ? {} : { target }),
  };
  const { status, answer } = await post(context, form, changes, { 'x-pan-key': key });
  if (answer.succeeded || answer.complaints.length > 0) return answer;
  throw failureOf(answer.words, answer.code ?? status, changes, context, [key]);
}

/** The key of user and password, made once for all calls at the same time. */
function madeKey(keys: Keys, context: Context): Promise<string> {
  const { instance, secrets } = context;
  const { username: user, password } = secrets;
  if (user === undefined || password === undefined)
    throw new ProviderError(
      'auth',
      'PAN-OS needs a key: give secrets.apiKey, or secrets.username and secrets.password, of which one is made.',
    );
  const known = keys.get(instance);
  if (known?.user === user && known.password === password) return known.key;
  const making = (async () => {
    const { status, answer } = await post(context, { type: 'keygen', user, password }, false, {});
    if (answer.succeeded && answer.key !== null) return answer.key;
    throw failureOf(answer.words, answer.code ?? status, false, context);
  })();
  keys.set(instance, { user, password, key: making });
  making.catch(() => {
    if (keys.get(instance)?.key === making) keys.delete(instance);
  });
  return making;
}

/** What has an answer of its own kind though it is refused. */
const ANSWERED = [400, 401, 403, 404, 500];

async function post(
  { settings, http }: Context,
  form: Readonly<Record<string, string>>,
  changes: boolean,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly answer: PanosAnswer }> {
  const { status, text } = await http.request({
    method: 'POST',
    url: `${settings.baseUrl.replace(/(?<!\/)\/+$/, '')}/api/`,
    headers: { accept: 'application/xml', ...headers },
    form,
    changes,
    accept: ANSWERED,
    maxBytes: 8 * 1_048_576,
  });
  const answer = readAnswer(text);
  if (answer !== null) return { status, answer };
  const errorClass: ProviderErrorClass =
    status === 401 || status === 403
      ? 'permission'
      : status === 404
        ? 'permanent'
        : changes
          ? 'unknownOutcome'
          : 'transient';
  throw new ProviderError(
    errorClass,
    `What answers at settings.baseUrl (HTTP ${status}) does not speak the XML API of PAN-OS. Give the address of the management interface, and allow the XML API there for this worker.`,
    { httpStatus: status },
  );
}

/**
 * What a refusal means.
 *
 * @param code the answer's own, or HTTP's; null of a single entry
 */
function failureOf(
  said: string,
  code: number | null,
  changes: boolean,
  { secrets }: Context,
  more: readonly string[] = [],
): ProviderError {
  const words = plainWords(said, [...Object.values(secrets), ...more]).replace(/\.$/, '');
  const error = (errorClass: ProviderErrorClass, advice: string): ProviderError =>
    new ProviderError(errorClass, `PAN-OS says: ${words === '' ? `code ${code}` : words}. ${advice}`, {
      httpStatus: code ?? 0,
    });
  // It gives no code for a full table.
  if (/\bmax(?:imum)?\b/i.test(words) && /\b(?:reached|exceeded)\b/i.test(words))
    return error(
      'capacity',
      'The firewall holds as many registered addresses as its model can; release some.',
    );
  switch (code) {
    case 401:
    case 22:
      return error('auth', NEW_KEY);
    case 403:
      // One code for a key that is wrong and for a role that may not.
      return /not authorized|privilege|permission/i.test(words)
        ? error('permission', ROLE)
        : error('auth', NEW_KEY);
    case 15:
    case 16:
      return error('permission', ROLE);
    // Internal errors: nobody knows what was done.
    case 2:
    case 3:
    case 4:
    case 5:
    case 11:
    case 21:
    case 500:
      return error(changes ? 'unknownOutcome' : 'transient', 'It is looked at again.');
    case null:
      return error('invalidInput', 'Networks and ranges need PAN-OS 10.0.');
    default:
      return error(
        'permanent',
        'Check settings.vsys and settings.target, and the release: PAN-OS 9.0 or later.',
      );
  }
}

const NEW_KEY =
  'Make a new key (the docs of this plugin say how) and put it into secrets.apiKey, or correct secrets.username and secrets.password.';
const ROLE =
  'Give the administrator of the key a role that allows "Operational Requests" and "User-ID Agent" in its XML API tab.';

const ADDRESSES_ONLY = (what: string): string =>
  `A tag of PAN-OS is given to an address, not to a ${what}. Use an external dynamic list (the feed plugin) for it.`;

/** A provider with a memory of its own. */
export const panos = (): Provider =>
  firewallProvider({
    vendor: 'Palo Alto Networks',
    provider: 'PAN-OS',
    version: '0.1.0',
    title: 'Blocks addresses and networks by a tag of a dynamic address group.',
    docUrl: 'https://docs.paloaltonetworks.com/ngfw/api',
    settings: SETTINGS,
    secrets: { optional: ['apiKey', 'username', 'password'] },
    // The list, the message, the list again.
    calls: 3,
    concurrency: 100,
    targets: { ip: true, domain: ADDRESSES_ONLY('domain'), url: ADDRESSES_ONLY('URL') },
    driver: driverOf(new Map()),
  });
