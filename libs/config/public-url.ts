import { ConfigurationError } from '#domain';

/**
 * `PUBLIC_URL`, where callers and people find the API and the console, without a slash at its end. Null: it is not set.
 * @throws ConfigurationError where it is no http or https address
 */
export function publicUrlOf(env: Readonly<Record<string, string | undefined>>): string | null {
  const text = env['PUBLIC_URL'] || null;
  if (text === null) return null;
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) {
    throw new ConfigurationError(`PUBLIC_URL has to be an http or https address; it is "${text}"`);
  }
  return text.replace(/(?<!\/)\/+$/, '');
}
