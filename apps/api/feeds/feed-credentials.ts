/** What a firewall gave itself out with. */
export interface FeedCredentials {
  /** The user name, which may be any: it tells firewalls apart. Null: none. */
  readonly name: string | null;
  readonly password: string;
}

const LONGEST_NAME = 64;

/** Reads HTTP Basic (RFC 7617), or the password as a bearer token; null where there is neither. */
export function readCredentials(authorization: string | undefined): FeedCredentials | null {
  const [, scheme, given = ''] = /^(Basic|Bearer) +(\S+)$/i.exec(authorization ?? '') ?? [];
  if (scheme === undefined) return null;
  if (scheme.toLowerCase() === 'bearer') return { name: null, password: given };
  const text = Buffer.from(given, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return null;
  // It is shown to people.
  const name = text
    .slice(0, colon)
    .replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '')
    .slice(0, LONGEST_NAME)
    .trim();
  return { name: name === '' ? null : name, password: text.slice(colon + 1) };
}
