import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuditChainer, CheckpointSigner } from '#audit';
import { checkBackup, connectDatabase, recordsOf, type ExactDocument } from '#persistence';
import { riposte, type CommandResult } from '../support/cli.js';
import type { Client, NativeAction } from '../support/client.js';
import { TENANT_A, TENANT_B, freshDatabaseUri } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';

/** A real move and a real restore, with the vendors' own ledgers as referees. */

const MODES = ['key', 'none'] as const;
type Mode = (typeof MODES)[number];

const vendors = new Map<Mode, RunningVendor>();
const ids: Record<string, string> = {};
const before = new Map<string, NativeAction>();
let dir: string;
let config: string;
let source: string;
let file: string;

const vendorOf = (mode: Mode): RunningVendor => {
  const vendor = vendors.get(mode);
  if (vendor === undefined) throw new Error(mode);
  return vendor;
};
const at = (mode: Mode): object => ({
  vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider: mode },
});
const executions = (mode: Mode, id = ''): number =>
  vendorOf(mode)
    .ledger()
    .filter(({ event, key }) => event === 'executed' && key === id).length;

const FINISHED = ['done', 'failed', 'cancelled'];
const OPEN = ['waiting', 'toCancel', 'inDoubt', 'unknowable', 'notStarted'];

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-backup-'));
  file = path.join(dir, 'backup.ndjson');
  for (const mode of MODES) vendors.set(mode, await startMockVendor(mode));
  const instances = MODES.map(
    (mode) =>
      `  - { id: ${mode}, plugin: mock, subProvider: ${mode}, attemptTimeoutMs: 60000, network: { allow: ['127.0.0.0/8'] }, settings: { mode: ${mode}, baseUrl: '${vendors.get(mode)?.baseUrl}' } }`,
  );
  config = `providers:\n${instances.join('\n')}\n`;

  const stack = await Stack.start({ config });
  source = stack.mongodbUri;
  const client = await stack.client();
  ids['done'] = await client.act('BlockIp', { IP: '10.0.0.1' }, { ...at('key'), actionReason: 'a\u2028b' });
  ids['failed'] = await client.act('FailAlways', { code: 403, message: 'no' }, at('none'));
  await Promise.all([client.ended(ids['done']), client.ended(ids['failed'])]);
  for (const mode of MODES) await vendorOf(mode).behave({ executeAndHang: 1 });
  ids['inDoubt'] = await client.act('BlockIp', { IP: '10.0.0.2' }, at('key'));
  ids['unknowable'] = await client.act('BlockIp', { IP: '10.0.0.3' }, at('none'));
  await eventually(() => executions('key', ids['inDoubt']) === 1);
  await eventually(() => executions('none', ids['unknowable']) === 1);
  for (const mode of MODES) await vendorOf(mode).behave({});
  ids['toCancel'] = await client.act('LongRunning', { durationMs: 600_000 }, at('none'));
  await client.inPhase(ids['toCancel'], 'waitingOnVendor');
  ids['waiting'] = await client.act('LongRunning', { durationMs: 15_000 }, at('key'));
  await client.inPhase(ids['waiting'], 'waitingOnVendor');
  await Promise.all(stack.workers.map((worker) => worker.end('SIGKILL')));
  ids['cancelled'] = await client.act('BlockIp', { IP: '10.0.0.4' }, at('key'));
  await client.cancel(ids['cancelled']);
  ids['notStarted'] = await client.act('BlockIp', { IP: '10.0.0.5' }, at('key'));
  for (const [name, id] of Object.entries(ids)) before.set(name, await client.native(id));
  await (await stack.client({ tenant: TENANT_B })).act('BlockIp', { IP: '10.0.0.6' }, at('key'));
  await stack.stop();
});
afterAll(async () => {
  for (const vendor of vendors.values()) await vendor.stop();
  await rm(dir, { recursive: true, force: true });
});

const exportTo = (out: string, mongodbUri = source): Promise<CommandResult> =>
  riposte({ MONGODB_URI: mongodbUri }, 'export', '--tenant', TENANT_A, '--out', out);
const importInto = (mongodbUri: string, from: string, ...more: string[]): Promise<CommandResult> =>
  riposte({ MONGODB_URI: mongodbUri }, 'import', '--in', from, ...more);

/** Without what a poll or a look changes. */
const historyOf = ({ states, errorInfo, completedDateTime, attempts, actionReason }: NativeAction) => ({
  states,
  errorInfo,
  completedDateTime,
  attempts,
  actionReason,
});

async function historiesOf(client: Client, names: readonly string[]): Promise<unknown[]> {
  return Promise.all(names.map(async (name) => historyOf(await client.native(ids[name] ?? ''))));
}
const historiesBefore = (names: readonly string[]): unknown[] =>
  names.map((name) => historyOf(before.get(name) as NativeAction));

describe('exporting a tenant', () => {
  it('writes a header, each of its actions, and a trailer, for the owner only', async () => {
    expect(await exportTo(file)).toEqual({
      code: 0,
      stdout: '',
      stderr: `Exported 8 actions of tenant ${TENANT_A} to ${file}.\n`,
    });
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    expect(lines).toHaveLength(10);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      format: 'riposte-export',
      version: 1,
      tenant: TENANT_A,
    });
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ count: 8 });
    expect(lines.some((line) => line.includes(TENANT_B))).toBe(false);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(['backup.ndjson']);
  });

  it('writes the same to stdout, and nothing else there', async () => {
    const { code, stdout } = await exportTo('-');
    expect(code).toBe(0);
    const [, ...lines] = (await readFile(file, 'utf8')).trimEnd().split('\n');
    expect(stdout.trimEnd().split('\n').slice(1, -1)).toEqual(lines.slice(0, -1));
  });

  it('takes a file by its name from where the command was called', async () => {
    const env = { MONGODB_URI: source, INIT_CWD: dir };
    expect(await riposte(env, 'export', '--tenant', TENANT_A, '--out', 'named.ndjson')).toMatchObject({
      code: 0,
    });
    expect((await stat(path.join(dir, 'named.ndjson'))).size).toBe((await stat(file)).size);
    const { code, stderr } = await riposte(env, 'import', '--in', 'gone.ndjson');
    expect([code, stderr]).toEqual([1, expect.stringContaining(path.join(dir, 'gone.ndjson'))]);
  });

  it('says what is wrong without a database, and shows no password', async () => {
    const awayDir = await mkdtemp(path.join(tmpdir(), 'riposte-away-'));
    await writeFile(path.join(awayDir, 'mongo.port'), '9');
    const [none, away, wrong] = await Promise.all([
      riposte({ RIPOSTE_DATA_DIR: dir }, 'export', '--tenant', TENANT_A, '--out', '-'),
      riposte({ RIPOSTE_DATA_DIR: awayDir }, 'export', '--tenant', TENANT_A, '--out', '-'),
      exportTo('-', `mongodb://me:hunter%402@${new URL(source).host}/x?replicaSet=rs0`),
    ]);
    await rm(awayDir, { recursive: true });
    expect(none).toMatchObject({ code: 1, stdout: '' });
    expect(none.stderr).toMatch(/set MONGODB_URI, or RIPOSTE_DATA_DIR/);
    expect(away).toMatchObject({ code: 1, stdout: '' });
    expect(away.stderr).toMatch(/does not run: run "npm start" there/);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toMatch(/^MONGODB_URI cannot be used: /);
    expect(wrong.stderr).not.toMatch(/hunter/);
  });
});

describe('a file that is not as it was written', () => {
  const target = freshDatabaseUri();
  const signed = (lines: readonly string[]): string => {
    const text = `${lines.join('\n')}\n`;
    const sha256 = createHash('sha256').update(text).digest('hex');
    return `${text}${JSON.stringify({ end: 'riposte-export', count: lines.length - 1, sha256 })}\n`;
  };

  it.each<[string, (text: string) => string, RegExp]>([
    ['cut off after a line', (text) => text.split('\n').slice(0, 5).join('\n'), /cut off.* after 4 actions/],
    ['cut off within a line', (text) => text.slice(0, -400), /Line 9 is cut off/],
    ['that is empty', () => '', /no export of Riposte/],
    ['without a line', (text) => text.split('\n').toSpliced(3, 1).join('\n'), /says it holds 8.* holds 7/],
    ['edited', (text) => text.replace('10.0.0.1', '10.0.0.9'), /SHA-256/],
    ['followed by more', (text) => `${text}{}\n`, /goes on after its last line \(line 11\)/],
    ['of a later version', (text) => text.replace('"version":1', '"version":2'), /version 2/],
    ['of something else', () => '{"a":1}\n', /no export of Riposte/],
    [
      "holding another tenant's action",
      (text) => {
        const lines = text.trimEnd().split('\n').slice(0, -1);
        return signed(lines.with(2, (lines[2] ?? '').replaceAll(TENANT_A, TENANT_B)));
      },
      /Line 3 is an action of another tenant/,
    ],
    [
      'with a history that cannot be',
      (text) => {
        const lines = text.trimEnd().split('\n').slice(0, -1);
        return signed(lines.with(1, (lines[1] ?? '').replace('"status":"NotStarted"', '"status":"Failed"')));
      },
      /Line 2 is no action: its history/,
    ],
  ])('%s is found out', async (_what, change, message) => {
    const text = change(await readFile(file, 'utf8'));
    const lines = text.split('\n').map((line) => Buffer.from(line));
    await expect(
      checkBackup(Readable.from(text.endsWith('\n') ? lines.slice(0, -1) : lines)),
    ).rejects.toThrow(message);
  });

  it('is refused before anything of it is imported', async () => {
    const changed = path.join(dir, 'changed.ndjson');
    await writeFile(changed, (await readFile(file, 'utf8')).slice(0, -10));
    const { code, stderr } = await importInto(target, changed);
    expect(code).toBe(1);
    expect(stderr).toContain(`${changed} was refused, nothing was imported. Line 10 is cut off`);
    expect((await exportTo('-', target)).stderr).toMatch(/^Exported 0 actions/);
  });
});

describe('restoring a backup', () => {
  const target = freshDatabaseUri();
  let stack: Stack;
  let client: Client;

  beforeAll(async () => {
    expect(await importInto(target, file)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('8 imported, 0 there already, 0 in conflict') as string,
    });
    stack = await Stack.start({ config, mongodbUri: target });
    client = await stack.client();
  });
  afterAll(() => stack.stop());

  it('keeps the finished actions as they were', async () => {
    expect(await historiesOf(client, FINISHED)).toEqual(historiesBefore(FINISHED));
  });

  it('ends the open ones as unknown, and never issues them again', async () => {
    for (const name of OPEN) {
      const id = ids[name] ?? '';
      const action = await client.native(id);
      expect(action).toMatchObject({ status: 'Failed', phase: 'outcomeUnknown', errorInfo: { code: 520 } });
      expect(action.errorInfo?.message).toMatch(/open in a backup of .*Check the target/);
      expect(action.states.slice(0, -1)).toEqual(before.get(name)?.states);
      expect(action.states.at(-1)).toMatchObject({ status: 'Failed' });
    }
    expect((await client.native(ids['inDoubt'] ?? '')).attempts).toMatchObject([{ outcome: 'unknown' }]);
    expect((await client.native(ids['notStarted'] ?? '')).attempts).toEqual([]);
    // What comes after them is carried out, and they are not.
    const fresh = await client.act('BlockIp', { IP: '10.0.0.7' }, at('key'));
    expect((await client.ended(fresh)).status).toBe('Completed');
    expect(executions('key', ids['notStarted'])).toBe(0);
    expect(executions('key', ids['inDoubt'])).toBe(1);
    expect(executions('none', ids['unknowable'])).toBe(1);
  });

  it('can be repeated: what is there is passed over', async () => {
    expect(await importInto(target, file)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('0 imported, 8 there already, 0 in conflict') as string,
    });
  });

  it('overwrites nothing: what has something else in it is a conflict', async () => {
    const { stdout } = await exportTo('-', target);
    const { code, stderr } = await importInto(target, file, '--open', 'resume');
    expect(stderr).toMatch(/0 imported, 3 there already, 5 in conflict/);
    expect(stderr).toContain(`Conflict: ${ids['notStarted']} is there already`);
    expect(code).toBe(1);
    expect((await importInto(target, file, '--open', 'resume', '--skip-existing')).code).toBe(0);
    expect((await exportTo('-', target)).stdout.split('\n').slice(1, -2)).toEqual(
      stdout.split('\n').slice(1, -2),
    );
  });

  it('does nothing to the database it was made of', async () => {
    expect((await importInto(source, file)).stderr).toMatch(/0 imported, 8 there already/);
    expect((await exportTo('-')).stdout.split('\n').slice(1, -2)).toEqual(
      (await readFile(file, 'utf8')).split('\n').slice(1, -2),
    );
  });
});

describe('an import that was killed in the middle', () => {
  it('can be repeated, and all of it gets into the audit record', async () => {
    const target = freshDatabaseUri();
    const database = await connectDatabase(target, { appName: 'riposte-test' });
    try {
      const chainer = new AuditChainer({
        chains: database.audit,
        lease: database.lease('audit'),
        owner: randomUUID(),
        signer: new CheckpointSigner(randomBytes(32)),
        heads: null,
        log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      });
      const lines = (await readFile(file, 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => Buffer.from(line));
      const checked = await checkBackup(Readable.from(lines));
      const records: ExactDocument[] = [];
      for await (const record of recordsOf(Readable.from(lines), checked)) records.push(record);
      // It had written so much, and did nothing more.
      const exportedAt = checked.header?.exportedAt ?? null;
      await database.backup.restore(records.slice(0, 5), { open: 'unknown', exportedAt });
      // The record is past the times of what is still to come.
      await chainer.pass();

      expect(await importInto(target, file)).toMatchObject({
        code: 0,
        stderr: expect.stringContaining('3 imported, 5 there already, 0 in conflict') as string,
      });
      await chainer.pass();
      expect((await database.audit.inChain(Object.values(ids))).toSorted()).toEqual(
        Object.values(ids).toSorted(),
      );
    } finally {
      await database.close();
    }
  });
});

describe("an id that is another tenant's", () => {
  it('is a conflict', async () => {
    const target = freshDatabaseUri();
    const theirs = path.join(dir, 'theirs.ndjson');
    const lines = (await readFile(file, 'utf8')).replaceAll(TENANT_A, TENANT_B).trimEnd().split('\n');
    const text = `${lines.slice(0, -1).join('\n')}\n`;
    const sha256 = createHash('sha256').update(text).digest('hex');
    await writeFile(theirs, `${text}${JSON.stringify({ end: 'riposte-export', count: 8, sha256 })}\n`);
    expect((await importInto(target, theirs)).code).toBe(0);
    const { code, stderr } = await importInto(target, file);
    expect(code).toBe(1);
    expect(stderr).toMatch(/0 imported, 0 there already, 8 in conflict/);
  });
});

describe('moving to another database, with a Redis that knows nothing', () => {
  const target = freshDatabaseUri();

  it('lets every open action go on to its end, none of them twice', async () => {
    expect((await importInto(target, file, '--open', 'resume')).code).toBe(0);
    expect((await importInto(target, file, '--open', 'resume')).stderr).toMatch(/8 there already/);
    const stack = await Stack.start({ config, mongodbUri: target });
    try {
      const client = await stack.client();
      await client.cancel(ids['toCancel'] ?? '');
      const ended = async (name: string): Promise<NativeAction> => client.ended(ids[name] ?? '', 45_000);
      expect(await ended('notStarted')).toMatchObject({ status: 'Completed' });
      expect(await ended('waiting')).toMatchObject({ status: 'Completed' });
      expect(await ended('inDoubt')).toMatchObject({ status: 'Completed' });
      expect(await ended('toCancel')).toMatchObject({ status: 'Failed', phase: 'cancelledAtProvider' });
      // Nobody can ask this vendor what became of it.
      expect(await ended('unknowable')).toMatchObject({ status: 'Failed', phase: 'outcomeUnknown' });
      expect(await historiesOf(client, FINISHED)).toEqual(historiesBefore(FINISHED));
      for (const name of OPEN) {
        const { states } = await client.native(ids[name] ?? '');
        const earlier = before.get(name)?.states ?? [];
        expect(states.slice(0, earlier.length)).toEqual(earlier);
      }
      for (const name of ['done', 'waiting', 'inDoubt', 'notStarted'])
        expect(executions('key', ids[name]), name).toBe(1);
      for (const name of ['toCancel', 'unknowable']) expect(executions('none', ids[name]), name).toBe(1);
      expect(executions('key', ids['cancelled'])).toBe(0);
    } finally {
      await stack.stop();
    }
  });
});
