import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AddressRefused, type ProviderError, vendorHttp, type NetworkPolicy } from '#provider-sdk';
import { trustedCertificate } from '../support/tls.js';

/** Where a plugin's requests can go: nowhere but to public addresses over TLS, unless the operator says so. */

interface Answered {
  readonly address: string;
  readonly family: number;
}
type Names = (name: string) => readonly string[];

const PUBLIC: NetworkPolicy = { allow: [], ports: [] };
const LOOPBACK: NetworkPolicy = { allow: ['127.0.0.0/8'], ports: [] };

/** A DNS server of the test's own: each question is answered anew, as with a TTL of 0. */
function http(network: NetworkPolicy, names: Names = () => [], asked: string[] = []) {
  return vendorHttp({
    network,
    signal: new AbortController().signal,
    spend: () => Promise.resolve(),
    secrets: [],
    resolve: (name, _all, callback) => {
      asked.push(name);
      const found: Answered[] = names(name).map((address) => ({
        address,
        family: address.includes(':') ? 6 : 4,
      }));
      setImmediate(() => callback(null, found));
    },
  });
}

async function refusalOf(call: Promise<unknown>): Promise<ProviderError> {
  const thrown: unknown = await call.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(AddressRefused);
  expect((thrown as ProviderError).message).toMatch(/^The address is refused: /);
  return thrown as ProviderError;
}

async function serve(listener: RequestListener): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

describe('an address that is refused as it is written', () => {
  it.each([
    // Not https, or no address at all.
    'http://api.vendor.example/',
    'http://8.8.8.8/',
    'ftp://api.vendor.example/',
    'file:///etc/passwd',
    'gopher://127.0.0.1:6379/_FLUSHALL',
    'javascript:alert(1)',
    'data:text/plain,x',
    '//api.vendor.example/',
    '/relative',
    'https:///api.vendor.example/',
    'https:/api.vendor.example/',
    'https:api.vendor.example',
    'https://',
    '',
    // Other ports.
    'https://8.8.8.8:22/',
    'https://8.8.8.8:6379/',
    'https://api.vendor.example:8443/',
    // Whom one seems to talk to, and whom one does.
    'https://api.vendor.example@127.0.0.1/',
    'https://user:password@api.vendor.example/',
    'https://@api.vendor.example/',
    'https://api.vendor.example\\@127.0.0.1/',
    'https:\\\\127.0.0.1/',
    'https://127.0.0.1\\.vendor.example/',
    'https://api.vendor.example\t/',
    'https://api.vendor.example\r\n/',
    ' https://api.vendor.example/',
    'https://api.vendor.example /',
    'https://api.vendor.example\u0000.evil.example/',
    // Loopback in every spelling.
    'https://127.0.0.1/',
    'https://127.1/',
    'https://127.0.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0x7f.0.0.1/',
    'https://0177.0.0.1/',
    'https://017700000001/',
    'https://127.0.0.1./',
    'https://%31%32%37.0.0.1/',
    'https://１２７.0.0.1/',
    'https://①②⑦.0.0.1/',
    'https://127。0。0。1/',
    'https://[::1]/',
    'https://[0:0:0:0:0:0:0:1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[::127.0.0.1]/',
    'https://[::7f00:1]/',
    'https://[::ffff:0:127.0.0.1]/',
    'https://[64:ff9b::127.0.0.1]/',
    'https://[64:ff9b::a9fe:a9fe]/',
    'https://[64:ff9b:1::7f00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[2002:a9fe:a9fe::1]/',
    'https://[::1%25lo]/',
    // "This host", private, shared, link-local and otherwise special.
    'https://0.0.0.0/',
    'https://0/',
    'https://0.1.2.3/',
    'https://[::]/',
    'https://10.0.0.1/',
    'https://172.16.0.1/',
    'https://172.31.255.255/',
    'https://192.168.1.1/',
    'https://100.64.0.1/',
    'https://100.100.100.200/',
    'https://169.254.169.254/latest/meta-data/',
    'https://0xa9fea9fe/',
    'https://2852039166/',
    'https://0251.0376.0251.0376/',
    'https://168.63.129.16/',
    'https://192.0.0.192/',
    'https://192.0.2.1/',
    'https://198.18.0.1/',
    'https://224.0.0.1/',
    'https://240.0.0.1/',
    'https://255.255.255.255/',
    'https://[fd00:ec2::254]/',
    'https://[fc00::1]/',
    'https://[fe80::1]/',
    'https://[fec0::1]/',
    'https://[ff02::1]/',
    'https://[2001:db8::1]/',
    'https://[2001::1]/',
    'https://[100::1]/',
    // Letters that only play others.
    'https://ⓔxample.com/',
    'https://exa_mple..com/',
    'https://-example.com/',
    `https://${'a'.repeat(64)}.example/`,
  ])('%j', async (url) => {
    const asked: string[] = [];
    const error = await refusalOf(http(PUBLIC, () => ['127.0.0.1'], asked).request({ method: 'GET', url }));
    expect(error.errorClass).toBe('permanent');
    expect(asked).toEqual([]);
  });
});

describe('a name', () => {
  it.each([
    ['loopback', ['127.0.0.1']],
    ['the metadata service', ['169.254.169.254']],
    ['the metadata service by IPv6', ['fd00:ec2::254']],
    ['a private address', ['10.1.2.3']],
    ['loopback, mapped', ['::ffff:127.0.0.1']],
    ['a private address by NAT64', ['64:ff9b::10.1.2.3']],
    ['one private address among public ones', ['8.8.8.8', '2606:4700::1111', '192.168.0.9']],
  ])('that stands for %s is not dialled, and may stand for another later', async (_what, addresses) => {
    const request = { method: 'GET', url: 'https://api.vendor.example/' } as const;
    const error = await refusalOf(http(PUBLIC, () => addresses).request(request));
    expect(error).toMatchObject({ errorClass: 'unreachable', next: 'retry' });
    expect(error.message).toContain('network.allow');
  });

  it('that changes from an allowed address to another is checked as it is dialled', async () => {
    const { port, server } = await serve((_request, response) => {
      response.writeHead(200, { connection: 'close' }).end('{}');
    });
    const answers = [['127.0.0.1'], ['169.254.169.254']];
    const client = http(LOOPBACK, () => answers.shift() ?? []);
    const url = `http://rebinding.example:${port}/`;
    expect((await client.request({ method: 'GET', url })).status).toBe(200);
    server.closeAllConnections();
    await refusalOf(client.request({ method: 'GET', url }));
    expect(answers).toEqual([]);
  });

  it('in letters of its own language is one', async () => {
    const asked: string[] = [];
    const client = http(PUBLIC, () => ['10.0.0.1'], asked);
    await refusalOf(client.request({ method: 'GET', url: 'https://bücher.example/' }));
    expect(asked).toEqual(['xn--bcher-kva.example']);
  });

  it('is not asked for at a port, or without TLS, where only allowed addresses may be called, and is not dialled', async () => {
    const client = http(LOOPBACK, () => ['8.8.8.8']);
    for (const url of ['http://api.vendor.example/', 'https://api.vendor.example:8443/'])
      expect((await refusalOf(client.request({ method: 'GET', url }))).message).toContain('network.ports');
  });
});

describe('what the operator allows', () => {
  it('is called without TLS and at any port', async () => {
    const { port } = await serve((_request, response) => void response.end('{"on":"premises"}'));
    const answer = await http(LOOPBACK).request({ method: 'GET', url: `http://127.0.0.1:${port}/` });
    expect(answer.body).toEqual({ on: 'premises' });
  });

  it('opens no other private address', async () => {
    await refusalOf(http(LOOPBACK).request({ method: 'GET', url: 'https://10.0.0.1/' }));
    await refusalOf(http(LOOPBACK).request({ method: 'GET', url: 'https://[::1]/' }));
  });

  it('does not make up for a certificate that nobody vouches for', async () => {
    const certificate = await trustedCertificate();
    await certificate.distrust();
    let called = false;
    const server = createTlsServer({ cert: certificate.cert, key: certificate.key }, (_request, response) => {
      called = true;
      response.end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await expect(http(LOOPBACK).request({ method: 'POST', url, json: {} })).rejects.toMatchObject({
      errorClass: 'unreachable',
    });
    expect(called).toBe(false);
  });

  it('is reached directly, whatever proxy the environment names', async () => {
    const { port } = await serve((_request, response) => void response.end('{}'));
    const before = process.env['HTTP_PROXY'];
    process.env['HTTP_PROXY'] = 'http://127.0.0.1:1';
    onTestFinished(() => {
      if (before === undefined) delete process.env['HTTP_PROXY'];
      else process.env['HTTP_PROXY'] = before;
    });
    const network = { ...LOOPBACK };
    expect((await http(network).request({ method: 'GET', url: `http://127.0.0.1:${port}/` })).status).toBe(
      200,
    );
  });
});

describe('a redirect', () => {
  it.each(['http://169.254.169.254/latest/meta-data/', 'https://10.0.0.1/', '/elsewhere'])(
    'to %s is a failure and not followed',
    async (location) => {
      const paths: (string | undefined)[] = [];
      const { port } = await serve((request, response) => {
        paths.push(request.url);
        response.writeHead(302, { location }).end();
      });
      const url = `http://127.0.0.1:${port}/`;
      await expect(http(LOOPBACK).request({ method: 'GET', url })).rejects.toMatchObject({
        errorClass: 'transient',
        httpStatus: 302,
      });
      await expect(http(LOOPBACK).request({ method: 'POST', url, json: {} })).rejects.toMatchObject({
        errorClass: 'unknownOutcome',
      });
      expect(paths).toEqual(['/', '/']);
    },
  );
});
