import { randomUUID } from 'node:crypto';
import type mongoose from 'mongoose';
import { afterAll, inject } from 'vitest';
import type { Claim, ClaimAnswer, NewAction, SecurityAction } from '#domain';
import { connectDatabase, type Database } from '#persistence';

/** The address of a database of its own on the shared replica set. */
export function freshDatabaseUri(): string {
  const uri = new URL(inject('mongodbUri'));
  uri.pathname = `/riposte-test-${randomUUID().slice(0, 8)}`;
  return uri.href;
}

/** Takes all there is out of a database but its indexes, which take a second to make: what a file's tests share between them. */
export async function emptied(db: mongoose.mongo.Db): Promise<void> {
  const collections = await db.collections();
  const stored = collections.filter(({ collectionName }) => !collectionName.startsWith('system.'));
  await Promise.all(stored.map((collection) => collection.deleteMany({})));
}

/** A connection to a database of its own, closed when the test file ends. */
export async function freshDatabase(): Promise<Database> {
  const database = await connectDatabase(freshDatabaseUri(), { appName: 'riposte-test' });
  afterAll(() => database.close());
  return database;
}

export const TENANT_A = '11111111-1111-4111-8111-111111111111';
export const TENANT_B = '99999999-9999-4999-8999-999999999999';
export const APP = '22222222-2222-4222-8222-222222222222';
export const CALLER = { tenantId: TENANT_A, appId: APP, user: null };

/** An action ready to be recorded. */
export function newAction(overrides: Partial<NewAction> = {}): NewAction {
  return {
    id: randomUUID(),
    caller: CALLER,
    name: 'BlockIp',
    actionReason: 'Test',
    clientContext: null,
    parameters: [{ name: 'IP', value: '1.2.3.4' }],
    vendorInformation: { vendor: 'Mock', provider: 'Mock', providerVersion: null, subProvider: null },
    instance: 'mock',
    actionName: 'BlockIp',
    providerVersion: '1.0.0',
    idempotency: 'natural',
    deadlineMs: 3_600_000,
    startBefore: null,
    ...overrides,
  };
}

/** The statuses of an action's history. */
export function historyOf(action: SecurityAction): string[] {
  return action.states.map(({ status }) => status);
}

/** The claim where there is one, of what a store answered. */
export async function claimOf(answer: Promise<ClaimAnswer>): Promise<Claim | null> {
  const given = await answer;
  return given.kind === 'claimed' ? given.claim : null;
}
