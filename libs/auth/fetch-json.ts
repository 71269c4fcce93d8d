import { Agent, request } from 'undici';

const MOST_BYTES = 256 * 1024;
const CONNECT_TIMEOUT_MS = 5000;

/** Of its own: other connections of the process take larger answers. */
const agent = new Agent({ maxResponseSize: MOST_BYTES, connect: { timeout: CONNECT_TIMEOUT_MS } });

/**
 * The JSON document at an address. At most 256 KiB; no redirect is followed.
 * @param signal ends the request
 * @throws Error saying what is wrong with the answer
 */
export async function fetchJson(url: URL, signal: AbortSignal): Promise<unknown> {
  const { statusCode, body } = await request(url, {
    dispatcher: agent,
    headers: { accept: 'application/json, application/jwk-set+json' },
    signal,
  });
  if (statusCode !== 200) {
    await body.dump();
    throw new Error(`${url.href} answered ${statusCode}`);
  }
  const text = await body.text();
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${url.href} answered something that is no JSON`, { cause });
  }
}
