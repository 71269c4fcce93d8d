import { randomUUID } from 'node:crypto';
import { ManageSubscriptions, ManageWebhooks, Notify, ProviderRegistry } from '#engine';
import type { Database } from '#persistence';
import { defineProvider, Type } from '#provider-sdk';
import { createLogger, type Logger } from '#telemetry';
import type { FailedPhase, NewAction, SecretSeal, SubscriptionStore } from '#domain';
import { claimOf, newAction } from './database.js';
import { SEAL } from './secrets.js';

const log = createLogger('riposte-test', 'silent');

/** To simulators, on any loopback address. */
export const LOOPBACK: ReceiverNetwork = { policy: { allow: ['127.0.0.0/8'], ports: [] } };

type ReceiverNetwork = ConstructorParameters<typeof Notify>[0]['network'];

export const PUBLIC_URL = 'https://riposte.example';

/** What a worker has to tell changes, on this database. */
export function notifierOf(
  database: Database,
  {
    network = LOOPBACK,
    giveUpAfterMs = 3_600_000,
    store = database.subscriptions,
  }: { network?: ReceiverNetwork; giveUpAfterMs?: number; store?: SubscriptionStore } = {},
): Notify {
  return new Notify({
    store,
    actions: database.actions,
    lease: database.lease('notifications'),
    owner: randomUUID(),
    seal: SEAL,
    network,
    giveUpAfterMs,
    publicUrl: PUBLIC_URL,
    log,
  });
}

export function subscriptionsOf(
  database: Database,
  {
    network = LOOPBACK,
    seal = SEAL,
    to = log,
  }: { network?: ReceiverNetwork; seal?: SecretSeal; to?: Logger } = {},
): ManageSubscriptions {
  return new ManageSubscriptions({ store: database.subscriptions, seal, network, log: to });
}

const provider = defineProvider({
  manifest: {
    vendor: 'Mock',
    provider: 'Mock',
    version: '1.0.0',
    settings: Type.Object({}),
    actions: {
      BlockIp: { title: 'Block', parameters: Type.Object({}), idempotency: 'key', cancellable: false },
    },
  },
  execute: () => Promise.resolve({ kind: 'completed' }),
  cancel: () => Promise.resolve('notSupported'),
});
const instances = ['mock', 'other'].map((id) => ({
  id,
  plugin: 'mock',
  subProvider: id,
  tenants: ['*'],
  settings: {},
  secrets: {},
}));

export function webhooksOf(database: Database, seal: SecretSeal = SEAL): ManageWebhooks {
  const registry = new ProviderRegistry(instances, { mock: provider });
  return new ManageWebhooks({ store: database.subscriptions, seal, network: LOOPBACK, registry });
}

/** Records an action, started and completed; its id. */
export async function completedAction(
  database: Database,
  overrides: Partial<NewAction> = {},
): Promise<string> {
  const { id, lease } = await startedAction(database, overrides);
  await database.actions.complete(lease, null);
  return id;
}

/** Records an action, started and failed in this phase; its id. */
export async function failedAction(
  database: Database,
  phase: FailedPhase,
  overrides: Partial<NewAction> = {},
  message = 'The device said no.',
): Promise<string> {
  const { id, lease } = await startedAction(database, overrides);
  await database.actions.fail(lease, { phase, errorInfo: { code: 502, subcode: 0, message } });
  return id;
}

/** Records an action and starts it. */
export async function startedAction(database: Database, overrides: Partial<NewAction> = {}) {
  const { id } = await database.actions.create(newAction(overrides));
  const claim = await claimOf(database.actions.claim(id, 'worker', 30_000, '1.0.0'));
  if (claim === null) throw new Error('not claimed');
  await database.actions.recordIntent(claim.lease, '1.0.0');
  return { id, lease: claim.lease };
}
