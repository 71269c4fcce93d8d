import type { Page } from 'playwright-core';
import type { Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';

/** What each page of the console says first. */
export interface KnownPage {
  readonly path: string;
  readonly heading: string;
}

/** Every page, where the tenant has these actions. */
export function pagesWith(ids: readonly string[]): readonly KnownPage[] {
  return [
    { path: '/', heading: 'Overview' },
    { path: '/actions', heading: 'Actions' },
    ...ids.map((id) => ({ path: `/actions/${id}`, heading: '' })),
    { path: '/actions/new?provider=mock&action=IsolateMachine', heading: 'New action' },
    { path: '/inbox', heading: 'Inbox' },
    { path: '/providers', heading: 'Providers' },
    { path: '/providers/mock', heading: 'Mock' },
    { path: '/people', heading: 'People' },
    { path: '/account', heading: 'Account and appearance' },
  ];
}

/** Actions in every state that a page shows differently. */
export async function actionsOfAllKinds(client: Client): Promise<readonly string[]> {
  const at = (subProvider: string): object => ({
    vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider },
  });
  const done = await client.act('BlockIp', { IP: '203.0.113.7' }, { actionReason: 'Case 4711' });
  const failed = await client.act('FailAlways', { code: 403, message: 'Not allowed.' });
  const unknown = await client.act('BlockIp', { IP: '203.0.113.8' }, at('silent'));
  const running = await client.act('LongRunning', { durationMs: 600_000 });
  await Promise.all([done, failed, unknown].map((id) => client.ended(id)));
  const behind = await client.act('IsolateMachine', { MachineId: 'host-7', UnlockPin: '4711' });
  await client.inPhase(running, 'waitingOnVendor');
  return [done, failed, unknown, running, behind];
}

/** Waits until nothing on the page is on its way any more. */
export async function settled(page: Page, heading: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name: heading }).first().waitFor();
  await eventually(() => page.evaluate<boolean>(`document.querySelector('main [aria-busy=true]') === null`));
}
