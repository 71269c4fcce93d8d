import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import mongoose from 'mongoose';
import type { Page } from 'playwright-core';
import { hashOfPassword } from '#auth';
import { startTestServers } from '#embedded-servers';
import { connectDatabase } from '#persistence';
import { fillHistory } from '../bench/history.js';
import { Random } from '../support/random.js';
import { launchChromium } from '../support/chromium.js';
import { mockAction, type Client } from '../support/client.js';
import { ConsoleClient } from '../support/console-client.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';

/**
 * `npm run screenshots`: takes the pictures of the console that the README shows, at a product of its own with a day
 * of actions, into docs/images.
 */

const OUT = path.join(PROJECT_DIR, 'docs/images');
const TENANT = '11111111-1111-4111-8111-111111111111';
const DAY_MS = 86_400_000;
const HISTORY = 4000;
const PASSWORD = 'a lantern in the orchard';
const PEOPLE = ['ana.ruiz', 'j.okafor', 'm.lindqvist', null, null, null, null];
const REASONS = [
  'Seen in three alerts of the last hour.',
  'Case 4711: lateral movement from host-7',
  'Phishing wave, blocked by the playbook',
  'On the list of the national CERT',
];
const CONFIG = `
providers:
  - { id: mock, plugin: mock }
  - { id: edge, plugin: mock, subProvider: edge firewall }
  - { id: branch, plugin: mock, subProvider: branch firewalls }
  - { id: silent, plugin: mock, subProvider: lab, settings: { mode: none, faultRates: { unknown: 1 } } }
`;

const servers = await startTestServers(() => undefined);
const uri = servers.mongodbUri.replace('/?', '/riposte-screenshots?');
await fillHistory(uri, HISTORY, () => undefined, { overMs: DAY_MS, tenants: [TENANT] });
await varyHistory();
const stack = await Stack.start({ config: CONFIG, mongodbUri: uri });
const chromium = await launchChromium();
try {
  const id = await actNow(await stack.client({ tenant: TENANT }));
  await mkdir(OUT, { recursive: true });
  const cookies = await signedIn();
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await chromium.newContext({
      baseURL: stack.baseUrl,
      viewport: { width: 1440, height: 900 },
      colorScheme,
      reducedMotion: 'reduce',
      locale: 'en-GB',
      timezoneId: 'UTC',
    });
    await context.addCookies([...cookies].map(([name, value]) => ({ name, value, url: stack.baseUrl })));
    const page = await context.newPage();
    await take(page, '/?window=24h', `overview-${colorScheme}`, () =>
      page.getByText('Paused').first().waitFor(),
    );
    await take(page, '/actions', `actions-${colorScheme}`);
    await take(page, `/actions/${id}`, `action-${colorScheme}`, () => page.getByText(/^Why:/).waitFor());
    await take(
      page,
      '/actions/new?provider=edge&action=IsolateMachine',
      `new-action-${colorScheme}`,
      async () => {
        await page.getByLabel(/^MachineId/).fill('host-7');
        await page.getByRole('textbox', { name: 'Reason' }).fill('Case 4711: lateral movement from host-7');
        await page.getByRole('button', { name: 'Preview' }).click();
        await page.getByRole('heading', { name: 'Preview' }).waitFor();
        await page.evaluate('scrollTo(0, 0)');
      },
    );
    await context.close();
  }
} finally {
  await chromium.close();
  await stack.stop();
  await servers.stop();
}

/** People and reasons, as one has them. */
async function varyHistory(): Promise<void> {
  const client = await new mongoose.mongo.MongoClient(uri).connect();
  const random = new Random(7);
  const actions = client.db().collection('actions');
  const ids = await actions.find({}, { projection: { _id: 1 } }).toArray();
  await actions.bulkWrite(
    ids.map(({ _id }) => {
      const user = random.pick(PEOPLE);
      const set = { user, actionReason: random.pick(REASONS), 'states.$[].user': user };
      return { updateOne: { filter: { _id }, update: { $set: set } } };
    }),
  );
  await client.close();
}

/** What goes on now; the id of an action that waits at a paused provider. */
async function actNow(client: Client): Promise<string> {
  const at = (subProvider: string, actionReason: string): object => ({
    actionReason,
    vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider },
  });
  const operator = await stack.client({ tenant: TENANT, roles: ['Riposte.Operator'] });
  await operator.request('POST', '/api/v1/providers/branch/pause', {
    body: JSON.stringify({ reason: 'Firmware upgrade of the branch firewalls until 18:00.' }),
    headers: { 'content-type': 'application/json' },
  });
  const unknown = await client.act(
    'BlockIp',
    { IP: '203.0.113.18' },
    at('lab', 'On the list of the national CERT'),
  );
  await client.ended(unknown);
  await client.act(
    'FailAlways',
    { code: 403, message: 'The API key may not write rules.' },
    at('edge firewall', 'Tried the new key'),
  );
  const scan = await client.act(
    'LongRunning',
    { durationMs: 600_000 },
    at('edge firewall', 'Case 4711: lateral movement from host-7'),
  );
  await client.inPhase(scan, 'waitingOnVendor');
  for (const IP of ['203.0.113.77', '198.51.100.23'])
    await client.post(
      mockAction('BlockIp', { IP }, at('branch firewalls', 'Phishing wave, blocked by the playbook')),
    );
  const waiting = await client.act(
    'IsolateMachine',
    { MachineId: 'host-7' },
    at('branch firewalls', 'Case 4711: lateral movement from host-7'),
  );
  await client.inPhase(waiting, 'throttled');
  return waiting;
}

async function signedIn(): Promise<ReadonlyMap<string, string>> {
  const database = await connectDatabase(uri, { appName: 'riposte-screenshots' });
  await database.operators.add({
    name: 'ana.ruiz',
    displayName: 'Ana Ruiz',
    passwordHash: await hashOfPassword(PASSWORD),
    mustChangePassword: false,
    operates: true,
    grant: { tenantId: TENANT, role: 'Administrator' },
  });
  await database.close();
  const client = new ConsoleClient(stack.baseUrl);
  await client.signIn('ana.ruiz', PASSWORD);
  return client.cookies;
}

/** Takes a picture once nothing on the page is on its way any more. */
async function take(
  page: Page,
  url: string,
  name: string,
  prepare = async (): Promise<void> => undefined,
): Promise<void> {
  await page.goto(url);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.getByText('Updates: Live').first().waitFor();
  await page.locator('main [aria-busy=true]').first().waitFor({ state: 'detached' });
  await prepare();
  const file = path.join(OUT, `${name}.webp`);
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 88 });
  await writeFile(file, Buffer.from(data, 'base64'));
  console.log(file);
}
