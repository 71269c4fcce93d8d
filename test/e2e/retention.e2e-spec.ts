import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MongoServer, findMongod } from '#embedded-servers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { riposte } from '../support/cli.js';
import type { Client } from '../support/client.js';
import { TENANT_A } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

/** What a configured retention does to a running installation, and how to get an action back. */

let dir: string;
let stack: Stack;
let client: Client;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-retention-'));
  const retention = `retention: { keepDays: 0.00001, archiveDir: '${path.join(dir, 'archive')}' }`;
  stack = await Stack.start({ config: `providers: [{ id: mock, plugin: mock }]\n${retention}\n` });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await rm(dir, { recursive: true, force: true });
});

describe('a worker with a retention', () => {
  it('removes what ended, leaves what is open, and what it archived can be brought back', async () => {
    const done = await client.act('BlockIp', { IP: '10.0.0.1' });
    const open = await client.act('LongRunning', { durationMs: 600_000 });
    const before = await client.ended(done);
    await client.inPhase(open, 'waitingOnVendor');
    // What the audit record does not have yet stays, and the next pass after that is a minute away.
    const auditor = await stack.client({ roles: ['Audit.Read.All'] });
    await eventually(async () => {
      const lines = (await auditor.request<string>('GET', '/api/v1/audit')).body.split('\n');
      return lines.some((line) => line.includes('action.ended') && line.includes(done));
    });
    // The next pass of this one is a minute away; a stopped worker gives the work to the next.
    await stack.workers[0]?.end();
    const worker = stack.startWorker();
    await worker.ready();
    await eventually(
      async () => (await client.request('GET', `/api/v1/actions/${done}`)).status === 404,
      30_000,
    );
    expect((await client.native(open)).status).toBe('Running');
    const line = await eventually(() => worker.log.find(({ msg }) => msg === 'finished actions removed'));
    expect(line).toMatchObject({ level: 'info', removed: 1, archived: 1 });

    const folder = path.join(dir, 'archive', TENANT_A);
    const [file = ''] = await readdir(folder);
    await worker.end();
    const back = await riposte(stack.env, 'import', '--archive', '--in', path.join(folder, file));
    expect(back).toMatchObject({ code: 0, stderr: expect.stringContaining('1 imported') as string });
    expect(await client.native(done)).toEqual(before);
  });
});

describe('the command line without MONGODB_URI', () => {
  it('works with the database of the data directory, and with no other that took its port', async () => {
    const silent = (): void => undefined;
    const binary = await findMongod(silent);
    const mongo = await MongoServer.start({ binary, dbPath: path.join(dir, 'mongo'), report: silent });
    try {
      const env = { RIPOSTE_DATA_DIR: dir };
      const { code, stderr } = await riposte(env, 'export', '--tenant', TENANT_A, '--out', '-');
      expect({ code, stderr }).toEqual({
        code: 0,
        stderr: `Exported 0 actions of tenant ${TENANT_A}.\n`,
      });
      const other = path.join(dir, 'other');
      await mkdir(path.join(other, 'mongo'), { recursive: true });
      await writeFile(path.join(other, 'mongo.port'), String(mongo.port));
      const refused = await riposte(
        { RIPOSTE_DATA_DIR: other },
        'export',
        '--tenant',
        TENANT_A,
        '--out',
        '-',
      );
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(/does not run: run "npm start" there/);
    } finally {
      await mongo.stop();
    }
  });
});
