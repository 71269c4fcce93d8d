import { createServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { CertificateRefused, vendorHttp, type NetworkPolicy } from '#provider-sdk';
import { Authority, type KeyedCertificate } from '../support/tls.js';

/** Whom a plugin's calls trust: whom the operator names for the instance, and nobody else then. */

let authority: Authority;
let stranger: Authority;
let vendor: KeyedCertificate;
let riposte: KeyedCertificate;
beforeAll(async () => {
  [authority, stranger] = await Promise.all([Authority.make(), Authority.make('Another authority')]);
  [vendor, riposte] = await Promise.all([authority.issue(), authority.issue({ host: 'riposte' })]);
});

/** Calls of instances with other network settings each. */
function callsTo(url: string) {
  const post = (network: Partial<NetworkPolicy> = {}) =>
    vendorHttp({
      network: { allow: ['127.0.0.0/8'], ports: [], ...network },
      signal: new AbortController().signal,
      spend: () => Promise.resolve(),
      secrets: [],
    }).request({ method: 'POST', url, json: {} });
  const refusal = async (network?: Partial<NetworkPolicy>): Promise<string> => {
    const thrown: unknown = await post(network).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(CertificateRefused);
    expect(thrown).toMatchObject({ errorClass: 'unreachable' });
    return (thrown as CertificateRefused).message;
  };
  return { post, refusal };
}

/** A vendor with this certificate, and how often it was asked. */
async function serve(tls: ServerOptions) {
  let asked = 0;
  const server = createServer(tls, (_request, response) => {
    asked += 1;
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { ...callsTo(url), asked: () => asked };
}

describe('a vendor behind a private authority', () => {
  it('is called where the instance names that authority, or the certificate itself', async () => {
    const { post, asked } = await serve(vendor);
    for (const ca of [authority.cert, vendor.cert, `${stranger.cert}\n${authority.cert}`])
      expect((await post({ ca })).status).toBe(200);
    expect(asked()).toBe(3);
  });

  it('is not called where the instance names nobody, whatever another one names', async () => {
    const { post, refusal, asked } = await serve(vendor);
    await post({ ca: authority.cert });
    expect(await refusal()).toMatch(
      /^The certificate of 127\.0\.0\.1 is signed by an authority that this instance does not trust \(\w+\); nothing was sent\. Set network\.ca of the instance/,
    );
    expect(asked()).toBe(1);
  });

  it('is not called where the instance names another', async () => {
    const { refusal, asked } = await serve(vendor);
    expect(await refusal({ ca: stranger.cert })).toMatch(/none of the authorities in network\.ca/);
    expect(asked()).toBe(0);
  });

  it.each<[string, Parameters<Authority['issue']>[0], RegExp]>([
    [
      'is of another name',
      { host: 'other.example' },
      /^The certificate that 127\.0\.0\.1 shows is of another name/,
    ],
    ['has expired', { isExpired: true }, /^The certificate of 127\.0\.0\.1, .* is not valid any more/],
  ])('is not called when its certificate %s', async (_what, issued, message) => {
    const { refusal, asked } = await serve(await authority.issue(issued));
    expect(await refusal({ ca: authority.cert })).toMatch(message);
    expect(asked()).toBe(0);
  });
});

it('a vendor that asks for a certificate is shown that of the instance', async () => {
  const { post, asked } = await serve({ ...vendor, ca: authority.cert, requestCert: true });
  const client = { certificate: riposte.cert, key: riposte.key };
  expect((await post({ ca: authority.cert, client })).status).toBe(200);
  await expect(post({ ca: authority.cert })).rejects.toMatchObject({ name: 'ProviderError' });
  expect(asked()).toBe(1);
});
