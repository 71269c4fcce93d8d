import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INSTALLATION, type AuditEntry, type AuditKind } from '#audit';
import { riposte } from '../support/cli.js';
import { APP, TENANT_A, TENANT_B } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';

/** What commands on the installation's own machine do, as the record then has it, with the machine's name of who ran them. */

const ENTRIES: readonly (readonly [kind: AuditKind, chain: string, has: Readonly<Record<string, object>>])[] =
  [
    ['application.added', TENANT_A, { details: { name: 'SIEM', roles: ['Audit.Read.All'] } }],
    ['application.changed', TENANT_A, { details: { addedSecret: expect.any(String) as string } }],
    ['application.changed', TENANT_A, { details: { removedSecret: expect.any(String) as string } }],
    ['application.revoked', TENANT_A, {}],
    ['application.restored', TENANT_A, {}],
    ['issuer.keyRotated', INSTALLATION, { details: { revokeOld: false } }],
    ['issuer.keyRevoked', INSTALLATION, { about: { kid: expect.any(String) as string } }],
    ['secrets.rotated', INSTALLATION, { details: { lost: false } }],
    ['actions.imported', TENANT_A, { details: { open: 'unknown', archive: false } }],
    ['operator.added', TENANT_A, { about: { operator: 'carol' } }],
    [
      'operator.changed',
      TENANT_A,
      { about: { operator: 'carol' }, details: { tenant: TENANT_B, role: 'Viewer' } },
    ],
    // The tenant in which somebody gets a role hears of it, too.
    ['operator.changed', TENANT_B, { about: { operator: 'carol' } }],
    ['operator.changed', TENANT_B, { details: { did: 'disable' } }],
    ['operator.passwordReset', TENANT_B, { about: { operator: 'carol' } }],
    ['operator.removed', TENANT_A, { about: { operator: 'carol' } }],
    // What was not done is told a second time, with why.
    ['operator.changed', INSTALLATION, { about: { operator: 'nobody' }, details: { did: 'enable' } }],
    ['operator.changed', INSTALLATION, { details: { did: 'enable', failed: 'itemNotFound' } }],
    ['operator.added', TENANT_A, { about: { operator: 'carol' }, details: { failed: 'notAllowed' } }],
    ['application.revoked', INSTALLATION, { about: { appId: APP }, details: { failed: 'itemNotFound' } }],
    ['issuer.keyRevoked', INSTALLATION, { about: { kid: 'none' }, details: { failed: 'itemNotFound' } }],
    ['issuer.keyRotated', INSTALLATION, { details: { revokeOld: true, failed: 'generalException' } }],
    ['actions.imported', TENANT_A, { details: { open: 'unknown', failed: 'generalException' } }],
    [
      'token.issued',
      TENANT_B,
      { about: { appId: APP }, details: { by: 'command', roles: ['SecurityActions.Read.All'] } },
    ],
    ['token.issued', TENANT_A, { about: { appId: APP }, details: { by: 'command' } }],
    ['audit.exported', INSTALLATION, { details: { all: true } }],
  ];

const FAILED = ENTRIES.filter(([, , { details }]) => details !== undefined && 'failed' in details).length;

let stack: Stack;
let entries: readonly AuditEntry[];

beforeAll(async () => {
  stack = await Stack.start();
  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await riposte(stack.env, ...args);
    expect({ args, code, stderr }).toMatchObject({ args, code: 0 });
    return stdout;
  };

  /** A command while the database refuses what it writes. */
  const failing = async (collection: string, ...args: string[]): Promise<void> => {
    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    const takes = (validator: object) => connection.db?.command({ collMod: collection, validator });
    await takes({ _id: 'nothing' });
    try {
      const { code, stdout, stderr } = await riposte(stack.env, ...args);
      expect({ args, code, stdout, stderr }).toEqual({
        args,
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/^The database failed: .*\n$/) as string,
      });
    } finally {
      await takes({});
      await connection.close();
    }
  };

  const added = await run(
    'apps',
    'add',
    '--tenant',
    TENANT_A,
    '--name',
    'SIEM',
    '--role',
    'Audit.Read.All',
    '--json',
  );
  const { clientId } = JSON.parse(added) as { readonly clientId: string };
  const { secretId } = JSON.parse(await run('apps', 'new-secret', clientId, '--json')) as {
    readonly secretId: string;
  };
  await run('apps', 'remove-secret', clientId, secretId);
  await run('apps', 'revoke', clientId);
  await run('apps', 'restore', clientId);

  const key = await stack.issuerKey();
  await failing('issuerKeys', 'issuer', 'rotate-key', '--revoke-old');
  expect(await stack.issuerKey()).toBe(key);
  const signedAfter = await stack.client();
  expect((await signedAfter.request('GET', '/api/v1/actions')).status).toBe(200);
  await run('issuer', 'rotate-key');
  const keys = JSON.parse(await run('issuer', 'keys', '--json')) as readonly {
    readonly kid: string;
    readonly retiredAt?: string | null;
  }[];
  const retired = keys.find(({ retiredAt }) => typeof retiredAt === 'string');
  await run('issuer', 'revoke-key', retired?.kid ?? '');
  await run('secrets', 'rotate');

  const client = await stack.client();
  await client.ended(await client.act('BlockIp', { IP: '203.0.113.7' }));
  const backup = path.join(stack.dataDir, 'backup.ndjson');
  await run('export', '--tenant', TENANT_A, '--out', backup);
  await failing('actions', 'import', '--in', backup);
  await run('import', '--in', backup);

  await run('operators', 'add', 'carol', '--tenant', TENANT_A, '--role', 'Administrator');
  const again = ['operators', 'add', 'carol', '--tenant', TENANT_A, '--role', 'Administrator'];
  expect(await riposte(stack.env, ...again)).toMatchObject({ code: 1 });
  await run('operators', 'set-role', 'carol', '--tenant', TENANT_B, '--role', 'Viewer');
  await run('operators', 'disable', 'carol');
  await run('operators', 'reset-password', 'carol');
  await run('operators', 'remove', 'carol');
  expect(await riposte(stack.env, 'operators', 'enable', 'nobody')).toMatchObject({ code: 1 });

  expect(await riposte(stack.env, 'apps', 'revoke', APP)).toMatchObject({ code: 1 });
  expect(await riposte(stack.env, 'issuer', 'revoke-key', 'none')).toMatchObject({ code: 1 });

  const script = path.join(PROJECT_DIR, 'dist/apps/cli/token.js');
  const wanted = ['--tenant', TENANT_B, '--app', APP, '--role', 'SecurityActions.Read.All'];
  await promisify(execFile)(process.execPath, [script, ...wanted], { env: { ...process.env, ...stack.env } });
  await run('providers', '--url', stack.baseUrl, '--tenant', TENANT_A, '--app', APP);
  await run('audit', 'export');

  entries = await eventually(async () => {
    const lines = (await run('audit', 'export')).trim().split('\n');
    const found = lines
      .map((line) => JSON.parse(line) as AuditEntry & { readonly type: string })
      .filter(({ type }) => type === 'entry');
    const { length } = found.filter(({ details }) => 'failed' in details);
    return length === FAILED &&
      ENTRIES.every(([kind, chain]) => found.some((one) => one.kind === kind && one.chain === chain))
      ? found
      : null;
  }, 30_000);
});
afterAll(() => stack.stop());

describe('what commands do', () => {
  it.each(ENTRIES)('%s', (kind, chain, has) => {
    const found = entries.filter((one) => one.kind === kind && one.chain === chain);
    const by = { appId: null, user: expect.stringMatching(/^[^@]+@[^@]+$/) as string, address: null };
    const parts = Object.entries(has).map(([name, part]) => [name, expect.objectContaining(part) as unknown]);
    expect(found).toContainEqual(
      expect.objectContaining({ by, ...(Object.fromEntries(parts) as object) }) as unknown,
    );
  });

  it('is in the record without anything secret', () => {
    expect(JSON.stringify(entries)).not.toMatch(/rps_|scrypt|eyJ|203\.0\.113\.7/);
  });
});
