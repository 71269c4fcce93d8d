import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
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

/** An issuer with OIDC discovery: a real HTTP server that counts what it is asked for. */
export class FakeIssuer {
  behaviour: Behaviour = 'proper';
  /** What its key set holds. */
  keys: readonly SigningKey[];
  /** Where its discovery documents say the keys are; null: where they are. */
  jwksUri: string | null = null;
  readonly #issuers = new Map<string, string>();
  readonly #server: Server;
  #port = 0;
  readonly #requests: string[] = [];

  private constructor(keys: readonly SigningKey[]) {
    this.keys = keys;
    this.#server = createServer((request, response) => {
      const path = request.url ?? '';
      this.#requests.push(path);
      this.#answer(path, response);
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
    return issuer === undefined ? null : { issuer, jwks_uri: this.jwksUri ?? `${this.baseUrl}/keys` };
  }
}
