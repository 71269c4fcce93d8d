import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FakeIssuer, makeKey } from '../simulators/oidc-issuer/issuer.js';
import type { Answer } from '../support/client.js';
import { ConsoleClient } from '../support/console-client.js';
import { TENANT_A, TENANT_B } from '../support/database.js';
import { Stack } from '../support/stack.js';

const SECRET = 'secret of the client';

let stack: Stack;
let issuer: FakeIssuer;

beforeAll(async () => {
  issuer = await FakeIssuer.start([makeKey('RS256')]);
  const soc = issuer.announce('/soc');
  const several = issuer.announce('/several');
  stack = await Stack.start({
    workers: 0,
    env: { CONSOLE_SECRET: SECRET },
    config: `
providers: [{ id: mock, plugin: mock }]
console:
  issuers:
    - id: soc
      name: SOC accounts
      issuer: ${soc}
      clientId: riposte-console
      clientSecret: env:CONSOLE_SECRET
      tenant: ${TENANT_A}
      claims: { roles: groups }
      roles: { readers: Viewer, responders: Operator, leads: Administrator }
      operators: [leads]
    - id: several
      name: Several tenants
      issuer: ${several}
      clientId: riposte-console
      clientSecret: env:CONSOLE_SECRET
      tenantClaim: org
      tenants: [${TENANT_A}, ${TENANT_B}]
      operators: [Administrator]
      operatorTenants: [${TENANT_B}]
`,
  });
});
afterAll(async () => {
  await stack.stop();
  await issuer.down();
});
beforeEach(() => {
  issuer.behaviour = 'proper';
  issuer.clientSecret = SECRET;
  issuer.person = ALICE;
});

const ALICE = { sub: '4711', preferred_username: 'alice@example.com', name: 'Alice', groups: ['responders'] };

/** Where an answer leads. */
function ledTo({ headers }: Answer): URL {
  return new URL(headers.get('location') ?? 'none:', stack.baseUrl);
}

/** Goes to the issuer; gives where that leads the browser back to. */
async function visit(client: ConsoleClient, id = 'soc', query = ''): Promise<string> {
  const begun = await client.send('GET', `/sign-in/with/${id}${query}`, { headers: NAVIGATION });
  const there = await fetch(ledTo(begun), { redirect: 'manual' });
  return there.headers.get('location') ?? '';
}

/** As a browser that another site leads here. */
const NAVIGATION = { origin: undefined, 'sec-fetch-site': 'cross-site', accept: 'text/html' };

async function comeBack(client: ConsoleClient, address: string): Promise<Answer<string>> {
  const { pathname, search } = new URL(address);
  return client.send('GET', `${pathname}${search}`, { headers: NAVIGATION });
}

async function signIn(id = 'soc', query = '') {
  const client = new ConsoleClient(stack.baseUrl);
  const answer = await comeBack(client, await visit(client, id, query));
  return { client, answer, session: await client.session() };
}

describe('signing in by an issuer', () => {
  it('is offered, and accounts are not kept here any more', async () => {
    const client = new ConsoleClient(stack.baseUrl);
    const { signIn: ways } = await client.session();
    expect(ways).toEqual({
      local: false,
      issuers: [
        { id: 'soc', name: 'SOC accounts' },
        { id: 'several', name: 'Several tenants' },
      ],
    });
    expect((await client.signIn('admin', 'correct horse battery')).status).toBe(403);
  });

  it('leads to the issuer with state, nonce and PKCE, kept sealed in the browser', async () => {
    const client = new ConsoleClient(stack.baseUrl);
    const begun = await client.send('GET', '/sign-in/with/soc?returnTo=/actions', { headers: NAVIGATION });
    const { origin, searchParams } = ledTo(begun);
    expect(begun.status).toBe(302);
    expect(origin).toBe(issuer.baseUrl);
    expect(Object.fromEntries(searchParams)).toMatchObject({
      client_id: 'riposte-console',
      response_type: 'code',
      scope: 'openid profile email',
      redirect_uri: `${stack.baseUrl}/sign-in/callback/soc`,
      code_challenge_method: 'S256',
      state: expect.stringMatching(/^[\w-]{43}$/) as string,
      nonce: expect.stringMatching(/^[\w-]{43}$/) as string,
    });
    const [cookie = ''] = begun.headers.getSetCookie();
    expect(cookie).toMatch(/^riposte-sign-in=[\w.-]+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600$/);
    expect(cookie).not.toContain(searchParams.get('state'));
  });

  it('begins a session with the roles that the issuer gives, and leads to what was wanted', async () => {
    const { answer, session } = await signIn('soc', '?returnTo=%2Factions%3Ffilter%3Da%26b');
    expect(answer.status).toBe(200);
    expect(answer.body).toContain('content="0;url=/actions?filter=a&amp;b"');
    expect(answer.headers.getSetCookie()).toEqual([
      'riposte-sign-in=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0',
      expect.stringMatching(/^riposte=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/),
    ]);
    expect(session).toMatchObject({
      signedIn: true,
      user: { name: 'alice@example.com', displayName: 'Alice', kind: 'issuer' },
      tenant: { id: TENANT_A, role: 'Operator' },
      operates: false,
      mustChangePassword: false,
    });
  });

  it('gives the highest of several roles, and lets those operate who are named for it', async () => {
    issuer.person = { ...ALICE, groups: ['readers', 'leads', 'others'] };
    const { client, session } = await signIn();
    expect(session).toMatchObject({ tenant: { role: 'Administrator' }, operates: true });
    expect((await client.send('GET', '/ops/queues')).status).toBe(200);
    expect((await client.send('GET', '/api/v1/operators')).body).toEqual({ value: [] });
    const password = { current: 'a', new: 'correct horse battery' };
    expect((await client.send('PUT', '/api/v1/session/password', { body: password })).status).toBe(409);
  });

  it.each([
    [TENANT_A, false],
    [TENANT_B, true],
  ])('is for the tenant of the claim; of %s may they operate: %s', async (org, operates) => {
    issuer.person = { ...ALICE, org: org.toUpperCase(), roles: ['Administrator'] };
    expect((await signIn('several')).session).toMatchObject({ tenant: { id: org }, operates });
  });

  it('ends everywhere with a sign-out everywhere', async () => {
    const [one, two] = [await signIn(), await signIn()];
    await one.client.send('POST', '/api/v1/session/end-all');
    expect((await two.client.session()).signedIn).toBe(false);
  });
});

describe('a sign-in by an issuer that is not as it has to be begins no session:', () => {
  const ends = async (client: ConsoleClient, answer: Answer, problem: string): Promise<void> => {
    expect(answer.status).toBe(302);
    expect(`${ledTo(answer).pathname}${ledTo(answer).search}`).toBe(`/sign-in?problem=${problem}`);
    expect((await client.session()).signedIn).toBe(false);
  };
  const withParameter = (address: string, name: string, value: string): string => {
    const url = new URL(address);
    url.searchParams.set(name, value);
    return url.href;
  };

  it('another state', async () => {
    const client = new ConsoleClient(stack.baseUrl);
    const back = await visit(client);
    await ends(client, await comeBack(client, withParameter(back, 'state', 'x'.repeat(43))), 'failed');
  });

  it('another browser than it was begun in', async () => {
    const back = await visit(new ConsoleClient(stack.baseUrl));
    const client = new ConsoleClient(stack.baseUrl);
    await ends(client, await comeBack(client, back), 'expired');
  });

  it('a cookie that was not sealed here', async () => {
    const client = new ConsoleClient(stack.baseUrl);
    const back = await visit(client);
    const sealed = client.cookies.get('riposte-sign-in') ?? '';
    client.cookies.set('riposte-sign-in', `${sealed.slice(0, -6)}AAAAAA`);
    await ends(client, await comeBack(client, back), 'expired');
  });

  it('the callback of another issuer', async () => {
    const client = new ConsoleClient(stack.baseUrl);
    const back = await visit(client);
    await ends(client, await comeBack(client, back.replace('/soc', '/several')), 'expired');
  });

  it('a callback that comes again, also where the browser kept its cookie', async () => {
    const client = new ConsoleClient(stack.baseUrl);
    const back = await visit(client);
    const copy = client.copy();
    await comeBack(client, back);
    expect((await client.session()).signedIn).toBe(true);
    const again = await comeBack(copy, back);
    await ends(copy, again, 'failed');
    const third = client.copy();
    third.cookies.delete('riposte');
    await ends(third, await comeBack(third, back), 'expired');
  });

  it.each<[string, object]>([
    ['another nonce', { nonce: 'another' }],
    ['another audience', { aud: 'another-client' }],
    ['another issuer', { iss: 'https://evil.example' }],
    ['a token that has expired', { exp: 1_000_000 }],
  ])('%s in the ID token', async (_what, claims) => {
    issuer.person = { ...ALICE, ...claims };
    const { client, answer } = await signIn();
    await ends(client, answer, 'failed');
  });

  it('an ID token that the issuer did not sign', async () => {
    const [key] = issuer.keys;
    const client = new ConsoleClient(stack.baseUrl);
    const back = await visit(client);
    const forger = makeKey('RS256', { kid: key?.kid });
    issuer.sign = (claims) => FakeIssuer.prototype.sign.call(issuer, claims, { key: forger });
    try {
      await ends(client, await comeBack(client, back), 'failed');
    } finally {
      Reflect.deleteProperty(issuer, 'sign');
    }
  });

  it.each<[string, string, object]>([
    ['no role', 'soc', { groups: [] }],
    ['a role that is nothing here', 'soc', { groups: ['Administrator', 'constructor'] }],
    ['a tenant that is not accepted', 'several', { org: '7'.repeat(8), roles: ['Viewer'] }],
  ])('%s', async (_what, id, claims) => {
    issuer.person = { ...ALICE, ...claims };
    const { client, answer } = await signIn(id);
    await ends(client, answer, 'noRole');
  });

  it('a person who said no there', async () => {
    issuer.person = { error: 'access_denied' };
    const { client, answer } = await signIn();
    await ends(client, answer, 'refused');
  });

  it('a secret that is not taken', async () => {
    issuer.clientSecret = 'another one';
    const { client, answer } = await signIn();
    await ends(client, answer, 'failed');
    expect(stack.api.output).not.toContain(SECRET);
  });

  it('an issuer that does not answer', async () => {
    const client = new ConsoleClient(stack.baseUrl);
    const back = await visit(client);
    await issuer.down();
    try {
      await ends(client, await comeBack(client, back), 'unavailable');
    } finally {
      await issuer.up();
    }
  });

  it.each([
    'https://evil.example/',
    '//evil.example/',
    String.raw`/\evil.example/`,
    '/\t/evil.example/',
    '/../..//evil.example',
    'javascript:alert(1)',
    '/sign-in/with/soc',
    `/${'x'.repeat(2000)}`,
    '/&returnTo=https://evil.example',
  ])('and never leads to another site: returnTo=%s', async (returnTo) => {
    const query = returnTo.startsWith('/&')
      ? `?returnTo=${returnTo}`
      : `?returnTo=${encodeURIComponent(returnTo)}`;
    const { answer, session } = await signIn('soc', query);
    expect(session.signedIn).toBe(true);
    expect(answer.body).toMatch(/content="0;url=\/"/);
  });
});
