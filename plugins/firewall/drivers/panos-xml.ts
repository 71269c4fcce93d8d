import { XMLBuilder, XMLParser, XMLValidator } from 'fast-xml-parser';

/** The XML that PAN-OS speaks: messages to its User-ID interface, commands, and what it answers to any of them. */

/** An address with a tag, as `show object registered-ip` lists it. */
interface Registered {
  readonly ip: string;
  readonly tags: readonly {
    readonly tag: string;
    /** Seconds until it is dropped; null where none is given. */
    readonly timeoutS: number | null;
  }[];
}

export interface PanosAnswer {
  readonly succeeded: boolean;
  /** As in its documentation, such as 16 for what a role may not do; null where none is given. */
  readonly code: number | null;
  /** All that it says of a failure. */
  readonly words: string;
  /** What it says of single entries of a message. */
  readonly complaints: readonly { readonly ip: string; readonly words: string }[];
  readonly registered: readonly Registered[];
  /** A key that was made. */
  readonly key: string | null;
}

type Node = Readonly<Record<string, unknown>>;

const MULTIPLE = new Set(['entry', 'member', 'line']);
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  alwaysCreateTextNode: true,
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => MULTIPLE.has(name),
});
const builder = new XMLBuilder({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  suppressEmptyNode: true,
});

/** Null where it is no answer of PAN-OS: a page, a part of an answer, nothing. */
export function readAnswer(text: string): PanosAnswer | null {
  // It never sends a document type; with one, entities of the document's own could be defined.
  if (/<!DOCTYPE/i.test(text) || XMLValidator.validate(text) !== true) return null;
  const parsed: unknown = parser.parse(text);
  const response = child(parsed, 'response');
  const status = textAt(response, '@status');
  if (response === null || status === null) return null;
  const result = child(response, 'result');
  const code = textAt(response, '@code');
  return {
    succeeded: status === 'success',
    code: code === null ? null : Number(code),
    words: [response['msg'], result?.['msg']].flatMap(wordsIn).join('; '),
    complaints: status === 'success' ? [] : complaintsIn(response['msg']),
    registered: children(result, 'entry').flatMap((entry) => {
      const ip = textAt(entry, '@ip');
      const members = children(child(entry, 'tag'), 'member');
      return ip === null
        ? []
        : [{ ip, tags: members.map((member) => ({ tag: ownText(member), timeoutS: timeoutOf(member) })) }];
    }),
    key: result === null ? null : textAt(child(result, 'key'), '#text'),
  };
}

/** A message that takes the tag away from addresses, and gives it to others. */
export function uidMessage(
  tag: string,
  unregister: readonly string[],
  register: readonly { readonly ip: string; readonly timeoutS: number }[],
): string {
  return builder.build({
    'uid-message': {
      version: '1.0',
      type: 'update',
      payload: {
        ...(unregister.length === 0
          ? {}
          : { unregister: { entry: unregister.map((ip) => ({ '@ip': ip, tag: { member: tag } })) } }),
        ...(register.length === 0
          ? {}
          : {
              register: {
                entry: register.map(({ ip, timeoutS }) => ({
                  '@ip': ip,
                  tag: { member: { '@timeout': String(timeoutS), '#text': tag } },
                })),
              },
            }),
      },
    },
  });
}

/** The command that lists the addresses with a tag, so many from this one on; the first is 1. */
export function showRegistered(tag: string, limit: number, from: number): string {
  return builder.build({
    show: {
      object: {
        'registered-ip': {
          limit: String(limit),
          'start-point': String(from),
          tag: { entry: { '@name': tag } },
        },
      },
    },
  });
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function child(node: unknown, name: string): Node | null {
  const found = isNode(node) ? node[name] : undefined;
  return isNode(found) ? found : null;
}

function children(node: unknown, name: string): readonly Node[] {
  const found = isNode(node) ? node[name] : undefined;
  return Array.isArray(found) ? found.filter(isNode) : [];
}

function textAt(node: unknown, name: string): string | null {
  const found = isNode(node) ? node[name] : undefined;
  return typeof found === 'string' && found !== '' ? found : null;
}

const ownText = (node: Node): string => textAt(node, '#text') ?? '';

function timeoutOf(member: Node): number | null {
  const text = textAt(member, '@timeout');
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}

/** Every text below a node, and every `message`. */
function wordsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  if (Array.isArray(value)) return value.flatMap(wordsIn);
  if (!isNode(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name.startsWith('@') && name !== '@message' ? [] : wordsIn(inner),
  );
}

/** Entries with a `message`, wherever below a node. */
function complaintsIn(value: unknown): PanosAnswer['complaints'] {
  if (Array.isArray(value)) return value.flatMap(complaintsIn);
  if (!isNode(value)) return [];
  const ip = textAt(value, '@ip');
  const words = textAt(value, '@message');
  return ip !== null && words !== null ? [{ ip, words }] : Object.values(value).flatMap(complaintsIn);
}
