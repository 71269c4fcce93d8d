import { request as send } from 'undici';
import {
  ProviderError,
  compileSchema,
  type ProviderErrorClass,
  type VendorHttp,
  type VendorHttpOptions,
  type VendorRequest,
} from '#provider-sdk';

/** A way to a vendor without guard, retries and bounds: the errors are those that the SDK's own gives. */
export function plainVendorHttp({ signal, spend, secrets }: VendorHttpOptions): VendorHttp {
  const request = async (wanted: VendorRequest) => {
    const { method, headers, json, form, body, changes = !['GET', 'HEAD'].includes(method) } = wanted;
    if (signal.aborted) throw signal.reason;
    await spend(signal);
    const url = new URL(wanted.url);
    for (const [name, value] of Object.entries(wanted.query ?? {})) url.searchParams.set(name, String(value));
    let answer: Awaited<ReturnType<typeof send>>;
    let text: string;
    try {
      answer = await send(url, {
        method,
        signal,
        headers: {
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          ...headers,
        },
        body:
          json !== undefined
            ? JSON.stringify(json)
            : form !== undefined
              ? new URLSearchParams(form).toString()
              : (body ?? null),
      });
      text = await answer.body.text();
    } catch (cause) {
      if (signal.aborted && !changes) throw signal.reason;
      throw new ProviderError(changes ? 'unknownOutcome' : 'transient', 'The connection broke.', { cause });
    }
    const status = answer.statusCode;
    const parsed = parsedOf(text);
    if ((status < 200 || status > 299) && wanted.accept?.includes(status) !== true) {
      const retryAfter = answer.headers['retry-after'];
      const classified = wanted.classify?.({ status, body: parsed });
      const message = secrets
        .reduce((said, secret) => said.replaceAll(secret, '[redacted]'), text)
        .slice(0, 500);
      throw new ProviderError(
        classified?.errorClass ?? classOf(status, changes),
        classified?.message ?? `HTTP ${status}: ${message}`,
        {
          httpStatus: status,
          ...(retryAfter === undefined ? {} : { retryAfterMs: Number(retryAfter) * 1000 }),
        },
      );
    }
    if (wanted.answer !== undefined && status < 300 && !compileSchema(wanted.answer)(parsed))
      throw new ProviderError(
        changes ? 'unknownOutcome' : 'transient',
        'The answer is not what was expected.',
      );
    return {
      status,
      headers: Object.fromEntries(
        Object.entries(answer.headers).map(([name, value]) => [name, String(value)]),
      ),
      text,
      body: parsed,
    };
  };
  return { request: request as VendorHttp['request'] };
}

function classOf(status: number, changes: boolean): ProviderErrorClass {
  const known: Readonly<Record<number, ProviderErrorClass>> = {
    401: 'auth',
    403: 'permission',
    404: 'targetNotFound',
    409: 'conflict',
    429: 'rateLimited',
    507: 'capacity',
  };
  return (
    known[status] ??
    (status >= 400 && status < 500 ? 'invalidInput' : changes ? 'unknownOutcome' : 'transient')
  );
}

function parsedOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
