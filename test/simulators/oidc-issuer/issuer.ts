import { createHash, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { SignJWT, type JWTPayload } from 'jose';

/** How it answers for its documents: properly, or in one of the ways that issuers fail. */
type Behaviour = 'proper' | 'error' | 'hanging' | 'oversized' | 'no JSON' | 'redirecting';

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  /** As its key set shows it. */
  readonly jwk: Readonly<Record<string, unknown>>;
}

/** A key pair as issuers have them; one of ES256 is made fastest. `members` go over those of the public JWK. */
export function makeKey(
  alg: 'RS256' | 'PS256' | 'ES256' = 'RS256',
  members: Readonly<Record<string, unknown>> = {},
  bits = 2048,
): SigningKey {
  const { publicKey, privateKey } =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: bits });
  const kid = typeof members['kid'] === 'string' ? members['kid'] : randomUUID();
  return {
    kid,
    alg,
    privateKey,
    jwk: { ...publicKey.export({ format: 'jwk' }), use: 'sig', ...members, kid },
  };
}

/** A sign-in that was asked for: its code may be exchanged once. */
interface Asked {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly nonce: string;
  readonly challenge: string;
  readonly issuer: string;
}

/** An issuer with OIDC discovery: a real HTTP server that counts what it is asked for. */
export class FakeIssuer {
  behaviour: Behaviour = 'proper';
  /** What its key set holds. */
  keys: readonly SigningKey[];
  /** Where its discovery documents say the keys are; null: where they are. */
  jwksUri: string | null = null;
  /** Who signs in: claims of the ID token besides those that every one has; an error instead refuses. */
  person: JWTPayload | { readonly error: string } = {};
  /** The secret its clients have. */
  clientSecret = 'secret of the client';
  readonly #issuers = new Map<string, string>();
  readonly #asked = new Map<string, Asked>();
  readonly #server: Server;
  #port = 0;
  readonly #requests: string[] = [];

  private constructor(keys: readonly SigningKey[]) {
    this.keys = keys;
    this.#server = createServer((request, response) => {
      const path = request.url ?? '';
      this.#requests.push(path);
      if (path.startsWith('/authorize?') && this.behaviour === 'proper')
        this.#authorize(new URL(path, this.baseUrl).searchParams, response);
      else if (path === '/token' && this.behaviour === 'proper')
        void text(request).then((body) => this.#exchange(new URLSearchParams(body), response));
      else this.#answer(path, response);
    });
  }

  /** Listens on a free port of 127.0.0.1. */
  static async start(keys: readonly SigningKey[]): Promise<FakeIssuer> {
    const issuer = new FakeIssuer(keys);
    await issuer.up();
    return issuer;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The paths that were asked for. */
  get requests(): readonly string[] {
    return this.#requests;
  }

  get keyFetches(): number {
    return this.#requests.filter((path) => path === '/keys').length;
  }

  /** Has a discovery document below a path that names this issuer, by default the address of the path. */
  announce(path: string, issuer = `${this.baseUrl}${path}`): string {
    this.#issuers.set(`${path}/.well-known/openid-configuration`, issuer);
    return issuer;
  }

  /** Signs with its first key, or another. */
  sign(claims: JWTPayload, options: { readonly key?: SigningKey; readonly header?: object } = {}) {
    const key = options.key ?? this.keys[0];
    if (key === undefined) throw new Error('it has no key');
    return new SignJWT(claims)
      .setProtectedHeader({ typ: 'JWT', alg: key.alg, kid: key.kid, ...options.header })
      .sign(key.privateKey);
  }

  /** Refuses connections until `up()`. */
  async down(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  /** Listens, again on the same port. */
  async up(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #answer(path: string, response: ServerResponse): void {
    switch (this.behaviour) {
      case 'hanging':
        return;
      case 'error':
        response.writeHead(500).end();
        return;
      case 'no JSON':
        response.end('<html>');
        return;
      case 'oversized':
        response.end(JSON.stringify({ ...this.#documentAt(path), padding: 'x'.repeat(300 * 1024) }));
        return;
      case 'redirecting':
        response.writeHead(302, { location: `${this.baseUrl}/elsewhere${path}` }).end();
        return;
      case 'proper': {
        const document = this.#documentAt(path);
        response.writeHead(document === null ? 404 : 200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(document));
      }
    }
  }

  #documentAt(path: string): object | null {
    if (path === '/keys') return { keys: this.keys.map(({ jwk }) => jwk) };
    const issuer = this.#issuers.get(path);
    if (issuer === undefined) return null;
    return {
      issuer,
      jwks_uri: this.jwksUri ?? `${this.baseUrl}/keys`,
      authorization_endpoint: `${this.baseUrl}/authorize?issuer=${encodeURIComponent(issuer)}`,
      token_endpoint: `${this.baseUrl}/token`,
      token_endpoint_auth_methods_supported: ['client_secret_post'],
    };
  }

  /** Whoever comes has signed in there before, and is led back at once. */
  #authorize(query: URLSearchParams, response: ServerResponse): void {
    const back = new URL(query.get('redirect_uri') ?? '');
    back.searchParams.set('state', query.get('state') ?? '');
    const { error } = this.person;
    if (typeof error === 'string') back.searchParams.set('error', error);
    else back.searchParams.set('code', this.#codeFor(query));
    response.writeHead(302, { location: back.href }).end();
  }

  #codeFor(query: URLSearchParams): string {
    const code = randomUUID();
    this.#asked.set(code, {
      clientId: query.get('client_id') ?? '',
      redirectUri: query.get('redirect_uri') ?? '',
      nonce: query.get('nonce') ?? '',
      challenge: query.get('code_challenge') ?? '',
      issuer: query.get('issuer') ?? '',
    });
    return code;
  }

  async #exchange(form: URLSearchParams, response: ServerResponse): Promise<void> {
    const asked = this.#asked.get(form.get('code') ?? '');
    this.#asked.delete(form.get('code') ?? '');
    const proof = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (asked === undefined || asked.challenge !== proof || asked.redirectUri !== form.get('redirect_uri'))
      return answer(400, { error: 'invalid_grant' });
    if (form.get('client_id') !== asked.clientId || form.get('client_secret') !== this.clientSecret)
      return answer(401, { error: 'invalid_client' });
    const now = Math.floor(Date.now() / 1000);
    const { issuer: iss, clientId: aud, nonce } = asked;
    const claims = { iss, aud, nonce, sub: 'sub-of-nobody', iat: now, exp: now + 300, ...this.person };
    answer(200, {
      access_token: randomUUID(),
      token_type: 'Bearer',
      expires_in: 300,
      id_token: await this.sign(claims),
    });
  }
}
