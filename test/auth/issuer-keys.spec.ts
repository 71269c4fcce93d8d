import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TokenVerifier, issuersOf } from '#auth';
import { RiposteError, type OperationalError } from '#domain';
import { FakeIssuer, makeKey, type SigningKey } from '../simulators/oidc-issuer/issuer.js';
import { TENANT_A } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { entraV2, keycloak } from '../support/outside-tokens.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const spare = [makeKey('RS256'), makeKey('ES256')] as const;

let fake: FakeIssuer;
let nowMs: number;
let warnings: object[];
let verifier: TokenVerifier;

beforeEach(async () => {
  nowMs = Date.now();
  warnings = [];
  fake = await FakeIssuer.start([spare[0]]);
  fake.announce('/realms/soc');
  verifier = newVerifier();
});
afterEach(() => fake.down().catch(() => undefined));

function newVerifier(): TokenVerifier {
  const log = { info: () => undefined, warn: (facts: object) => void warnings.push(facts) };
  const issuers = issuersOf(
    [{ type: 'keycloak', issuer: `${fake.baseUrl}/realms/soc`, audience: 'riposte', tenant: TENANT_A }],
    { log, now: () => nowMs },
  );
  return new TokenVerifier(issuers, () => nowMs);
}

/** A fresh token, verified: `accepted`, or the code of the refusal. */
async function use(key: SigningKey = spare[0]): Promise<string> {
  return outcome(await fake.sign(keycloak(`${fake.baseUrl}/realms/soc`, nowMs), { key }));
}

async function outcome(token: string): Promise<string> {
  return verifier.verify(token).then(
    () => 'accepted',
    (error: unknown) => {
      if (error instanceof RiposteError) return error.code;
      throw error;
    },
  );
}

/** Waits until the reading of keys that goes on beside the requests is done. */
async function fetched(times: number): Promise<void> {
  await eventually(() => fake.keyFetches === times);
}

describe('the keys of an issuer', () => {
  it('are not fetched before a token needs them, and then once for all that wait', async () => {
    expect(fake.requests).toEqual([]);
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => use())))).toEqual(
      new Set(['accepted']),
    );
    expect(fake.requests).toEqual(['/realms/soc/.well-known/openid-configuration', '/keys']);
  });

  it('that are new are accepted at the price of one fetch', async () => {
    await use();
    fake.keys = [spare[1], spare[0]];
    expect(new Set(await Promise.all(Array.from({ length: 20 }, () => use(spare[1]))))).toEqual(
      new Set(['accepted']),
    );
    expect(fake.keyFetches).toBe(2);
  });

  it('are fetched twice a minute at most, whatever 10,000 made-up kids ask for', async () => {
    await use();
    const [, claims] = (await fake.sign(keycloak(`${fake.baseUrl}/realms/soc`, nowMs))).split('.');
    for (let round = 0; round < 100; round += 1) {
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, () => {
          const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: randomUUID() })).toString(
            'base64url',
          );
          return outcome(`${header}.${claims}.AAAA`);
        }),
      );
      expect(new Set(outcomes)).toEqual(new Set(['unauthenticated']));
    }
    expect(fake.keyFetches).toBe(2);
    nowMs += MINUTE;
    expect(await use(spare[1])).toBe('unauthenticated');
    expect(fake.keyFetches).toBe(3);
  });

  it('that were removed are refused within 10 minutes, also for a token in use', async () => {
    const token = await fake.sign(keycloak(`${fake.baseUrl}/realms/soc`, nowMs));
    fake.keys = [spare[0], spare[1]];
    expect(await outcome(token)).toBe('accepted');
    fake.keys = [spare[1]];
    nowMs += 9 * MINUTE;
    expect(await outcome(token)).toBe('unauthenticated');
    expect(await use(spare[1])).toBe('accepted');
  });

  it('are read again beside the requests, so that none waits', async () => {
    await use();
    nowMs += 5 * MINUTE;
    fake.behaviour = 'hanging';
    expect(await use()).toBe('accepted');
    await fetched(2);
  });

  it('that changed under the same kid count as they are now', async () => {
    const before = makeKey('ES256', { kid: 'same' });
    const after = makeKey('ES256', { kid: 'same' });
    fake.keys = [before];
    const token = await fake.sign(keycloak(`${fake.baseUrl}/realms/soc`, nowMs), { key: before });
    expect(await outcome(token)).toBe('accepted');
    fake.keys = [after];
    nowMs += 9 * MINUTE;
    expect([await outcome(token), await use(after)]).toEqual(['unauthenticated', 'accepted']);
  });
});

describe('an issuer that is away', () => {
  it('is told as 503 with Retry-After while there are no keys, and works once it is back', async () => {
    await fake.down();
    const token = await fake.sign(keycloak(`${fake.baseUrl}/realms/soc`, nowMs));
    const error = (await verifier.verify(token).catch((reason: unknown) => reason)) as OperationalError;
    expect(error).toMatchObject({ code: 'serviceNotAvailable', retryAfterSeconds: 5 });
    expect(error.message).not.toContain('127.0.0.1');
    await fake.up();
    nowMs += error.retryAfterSeconds * 1000;
    expect(await outcome(token)).toBe('accepted');
    expect(warnings).toHaveLength(1);
  });

  it('does not stop those whose keys are known, for a day', async () => {
    await use();
    await fake.down();
    const start = nowMs;
    for (const at of [5 * MINUTE, 9 * MINUTE, HOUR, 23 * HOUR]) {
      nowMs = start + at;
      expect(await use()).toBe('accepted');
    }
    nowMs += 2 * HOUR;
    expect(await use()).toBe('serviceNotAvailable');
  });

  it('is asked in vain at most twice a minute while there are keys', async () => {
    await use();
    fake.behaviour = 'error';
    nowMs += 9 * MINUTE;
    for (let request = 0; request < 100; request += 1) expect(await use()).toBe('accepted');
    // After a failure it is looked up anew where the keys are: the first of the two asks for keys, the second for that.
    await eventually(() => fake.requests.length === 4);
    for (let request = 0; request < 100; request += 1) expect(await use()).toBe('accepted');
    expect(fake.requests).toHaveLength(4);
  });

  it('is asked every 5 s at most while there are none', async () => {
    fake.behaviour = 'error';
    for (let request = 0; request < 100; request += 1) expect(await use()).toBe('serviceNotAvailable');
    expect(fake.requests).toHaveLength(1);
  });
});

describe('an issuer whose answers cannot be trusted gives no keys', () => {
  it.each<[string, () => void, RegExp]>([
    ['an answer of 300 KB', () => (fake.behaviour = 'oversized'), /size/i],
    ['no JSON', () => (fake.behaviour = 'no JSON'), /is no JSON|answered something/],
    ['a redirect', () => (fake.behaviour = 'redirecting'), /answered 302/],
    ['an error', () => (fake.behaviour = 'error'), /answered 500/],
    [
      'the document of another issuer',
      () => void fake.announce('/realms/soc', 'http://127.0.0.1/other'),
      /not of/,
    ],
    ['no document', () => void fake.announce('/realms/soc', ''), /not of/],
    ['keys over http on another machine', () => (fake.jwksUri = 'http://10.0.0.1/keys'), /jwks_uri/],
    ['keys in a file', () => (fake.jwksUri = 'file:///etc/passwd'), /jwks_uri/],
    ['keys behind credentials', () => (fake.jwksUri = 'https://a:b@kc.example/keys'), /jwks_uri/],
    ['no keys', () => (fake.keys = []), /no key/],
    ['keys for encryption only', () => (fake.keys = [makeKey('ES256', { use: 'enc' })]), /no key/],
    ['a flood of keys', () => (fake.keys = Array.from({ length: 101 }, () => spare[0])), /more than 100/],
  ])('%s', async (_what, misbehave, logged) => {
    misbehave();
    expect(await use(spare[0])).toBe('serviceNotAvailable');
    expect(warnings).toEqual([
      {
        issuer: `${fake.baseUrl}/realms/soc`,
        error: expect.stringMatching(logged) as string,
        keysKept: false,
      },
    ]);
    expect(fake.requests.some((path) => path.includes('elsewhere'))).toBe(false);
  });

  it('an answer that does not come: within 5 s', async () => {
    fake.behaviour = 'hanging';
    const start = performance.now();
    expect(await use()).toBe('serviceNotAvailable');
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

describe('the discovery document of Entra ID', () => {
  it.each([
    ['one tenant', [TENANT_A], `/${TENANT_A}/v2.0`, TENANT_A],
    ['every tenant', ['*'], '/organizations/v2.0', '{tenantid}'],
  ])('of %s', async (_what, tenants, path, tenant) => {
    fake.announce(path, `${fake.baseUrl}/${tenant}/v2.0`);
    const issuers = issuersOf(
      [{ type: 'entra', authority: `${fake.baseUrl}/`, tenants, audience: 'api://riposte' }],
      { log: { info: () => undefined, warn: () => undefined } },
    );
    const identity = await new TokenVerifier(issuers).verify(await fake.sign(entraV2(fake.baseUrl)));
    expect(identity.tenantId).toBe(TENANT_A);
    expect(fake.requests).toEqual([`${path}/.well-known/openid-configuration`, '/keys']);
  });
});

describe('what the verifier remembers', () => {
  it('ends with the token, to the second', async () => {
    const claims = { ...keycloak(`${fake.baseUrl}/realms/soc`, nowMs), exp: Math.floor(nowMs / 1000) + 30 };
    const token = await fake.sign(claims);
    expect(await outcome(token)).toBe('accepted');
    // Within the 60 s that clocks may differ; remembered from here on, it would have a minute more.
    nowMs += 85_000;
    expect(await outcome(token)).toBe('accepted');
    nowMs += 7000;
    await expect(verifier.verify(token)).rejects.toThrow('The access token has expired.');
  });

  it('leaves the last word about a token to its issuer, at every use', async () => {
    let revoked = false;
    const [issuer] = issuersOf(
      [{ type: 'keycloak', issuer: `${fake.baseUrl}/realms/soc`, audience: 'riposte', tenant: TENANT_A }],
      { log: { info: () => undefined, warn: () => undefined } },
    );
    if (issuer === undefined) throw new Error('no issuer');
    verifier = new TokenVerifier([
      {
        name: issuer.name,
        audiences: issuer.audiences,
        algorithms: issuer.algorithms,
        accepts: (iss, tid) => issuer.accepts(iss, tid),
        keyOf: (header, origin) => issuer.keyOf(header, origin),
        identityOf(payload) {
          if (revoked) throw new RevokedError();
          return issuer.identityOf(payload);
        },
      },
    ]);
    const token = await fake.sign(keycloak(`${fake.baseUrl}/realms/soc`));
    expect(await outcome(token)).toBe('accepted');
    revoked = true;
    expect(await outcome(token)).toBe('unauthenticated');
  });
});

class RevokedError extends RiposteError {
  constructor() {
    super('unauthenticated', 'revoked');
  }
}
