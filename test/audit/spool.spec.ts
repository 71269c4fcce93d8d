import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AuditSpool, type NewAuditEvent, type RecordedEvent } from '#audit';
import { TENANT_A } from '../support/database.js';

const EVENT: NewAuditEvent = {
  chain: TENANT_A,
  kind: 'token.issued',
  by: { appId: null, user: 'root@host', address: null },
};

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'riposte-spool-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

function folder(): string {
  return path.join(dataDir, 'audit-spool');
}

describe('what commands did without a database', () => {
  it('is taken once, and stays where it could not be recorded', async () => {
    const spool = new AuditSpool(dataDir);
    const taken: RecordedEvent[] = [];
    const take = (events: readonly RecordedEvent[]): Promise<void> => {
      taken.push(...events);
      return Promise.resolve();
    };
    expect(await spool.drain(take)).toEqual({ taken: 0, left: [] });
    await spool.add(EVENT);
    await expect(spool.drain(() => Promise.reject(new Error('no primary')))).rejects.toThrow('no primary');
    expect(await spool.drain(take)).toEqual({ taken: 1, left: [] });
    expect(await spool.drain(take)).toEqual({ taken: 0, left: [] });
    expect(taken).toEqual([expect.objectContaining(EVENT) as unknown]);
  });

  it('is taken beside files that hold none or cannot be read, which are named and left', async () => {
    const spool = new AuditSpool(dataDir);
    await spool.add(EVENT);
    const bad = (): string => path.join(folder(), `${randomUUID()}.json`);
    const files = [bad(), bad(), bad(), bad()] as const;
    await writeFile(files[0], 'null');
    await writeFile(files[1], '{"chain":');
    await writeFile(files[2], JSON.stringify({ ...EVENT, id: randomUUID(), at: 'yesterday' }));
    await mkdir(files[3]);
    let count = 0;
    const { taken, left } = await spool.drain((events) => {
      count += events.length;
      return Promise.resolve();
    });
    expect([taken, count]).toEqual([1, 1]);
    expect(left.map(({ file }) => file).toSorted()).toEqual(files.toSorted());
    expect(await readdir(folder())).toHaveLength(4);
  });

  it('is not taken for nothing where its folder cannot be looked through', async () => {
    await writeFile(folder(), '');
    await expect(new AuditSpool(dataDir).drain(() => Promise.resolve())).rejects.toThrow(/ENOTDIR/);
  });
});
