import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { riposte, type CommandResult } from '../support/cli.js';

/** What the command line says where an API, or what stands between, answers by half. */

const ID = '8e4ac884-4c89-4813-8452-908b2bf144bd';
const ACTION = {
  id: ID,
  name: 'BlockIp',
  status: 'Completed',
  phase: 'completed',
  createdDateTime: '2026-01-31T18:00:00Z',
  vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider: null },
  parameters: [],
  errorInfo: null,
};

/** An API by the name that its address begins with. */
const apis = new Map<string, RequestListener>();
const server = createServer((request, response) => {
  apis.get(request.url?.split('/')[1] ?? '')?.(request, response);
});
let address = '';
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const json =
  (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): RequestListener =>
  (_request, response) =>
    void response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify(body));
const refused = (status: number, code: string): RequestListener =>
  json(status, { error: { code, message: 'Not now.' } }, { 'retry-after': '1' });
/** Of the length that it says only the beginning comes. */
const cut: RequestListener = (_request, response) => {
  response.writeHead(201, { 'content-type': 'application/json', 'content-length': 500 });
  response.write('{"id":"8e4', () => response.destroy());
};

/** Runs a command where requests that write are answered so, and reads in turn so; the last one goes on for ever. */
async function run(
  name: string,
  write: RequestListener,
  reads: readonly RequestListener[],
  ...args: readonly string[]
): Promise<CommandResult & { readonly asked: readonly string[] }> {
  const asked: string[] = [];
  let read = 0;
  apis.set(name, (request, response) => {
    asked.push(`${request.method} ${String(request.headers['idempotency-key'] ?? '')}`.trim());
    const answer = request.method === 'POST' ? write : reads[Math.min(read++, reads.length - 1)];
    request.resume().on('end', () => answer?.(request, response));
  });
  const result = await riposte({ RIPOSTE_URL: `${address}/${name}`, RIPOSTE_TOKEN: 'x' }, 'action', ...args);
  return { ...result, asked };
}

const create = ['create', 'BlockIp', '--provider', 'Mock/Mock', '--param', 'IP=203.0.113.7'] as const;
const recorded = json(201, { id: ID });

describe('an action that the API has recorded', () => {
  it('is named at once, with its key, and read again until the API answers', async () => {
    const running = json(200, { ...ACTION, status: 'Running' });
    const [waited, unread] = await Promise.all([
      run(
        'waited',
        recorded,
        [running, cut, refused(429, 'tooManyRequests'), json(200, ACTION)],
        ...create,
        '--wait',
      ),
      run(
        'unread',
        recorded,
        [refused(503, 'serviceNotAvailable'), refused(401, 'unauthenticated')],
        ...create,
      ),
    ]);
    expect([waited.code, JSON.parse(waited.stdout)]).toEqual([0, ACTION]);
    expect([unread.code, unread.stdout]).toEqual([1, '']);
    expect(unread.stderr).toContain('unauthenticated: Not now.');
    for (const { stderr, asked } of [waited, unread]) {
      const [first = '', ...reads] = asked;
      expect(reads).toEqual(reads.map(() => 'GET'));
      expect(stderr).toContain(
        `Recorded as action ${ID}. To send it again without a second action: --idempotency-key ${first.slice('POST '.length)}\n`,
      );
    }
  });

  it('may be there where the answer breaks off, or is none of the API: the key to repeat it with is told', async () => {
    const page: RequestListener = (_request, response) => void response.writeHead(200).end('<html>Sign in');
    const ends = await Promise.all([
      run('cut', cut, [], ...create),
      run('page', page, [], ...create, '--idempotency-key', 'case-4711'),
    ]);
    for (const { code, stderr, stdout, asked } of ends) {
      const [, key = ''] = asked[0]?.split(' ') ?? [];
      expect({ code, stdout, asked }).toEqual({ code: 4, stdout: '', asked: [`POST ${key}`] });
      expect(stderr).toContain(
        `It may have been recorded. To send it again without a second action: --idempotency-key ${key}\n`,
      );
    }
  });

  it('is being stopped, or undone, also where that cannot be seen', async () => {
    const away = [refused(401, 'unauthenticated')];
    const [stopped, undone] = await Promise.all([
      run('stopped', json(200, null), away, 'cancel', ID),
      run('undone', recorded, away, 'revert', ID, '--wait'),
    ]);
    expect(stopped.code).toBe(1);
    expect(stopped.stderr).toContain(`The cancel of action ${ID} was accepted, and stands.\n`);
    expect(undone.code).toBe(1);
    expect(undone.stderr).toContain(`Recorded as action ${ID}.\n`);
  });
});
