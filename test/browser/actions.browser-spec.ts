import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { describeInBrowser, it } from './browsing.js';

const at = (subProvider: string): object => ({
  vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider },
});

describeInBrowser('the list of actions', () => {
  it('is narrowed by choices, which are its address and can be kept as a view', async ({ visitors }) => {
    const { page, client } = await visitors.person();
    const failed = await client.act('FailAlways', { code: 403, message: 'No such luck' });
    await client.ended(failed);
    await client.ended(await client.act('BlockIp', { IP: '203.0.113.7' }));
    await page.goto('/actions');
    const row = (name: string) => page.getByRole('row').filter({ hasText: name });
    await row('BlockIp').waitFor();
    await page.getByRole('search').getByRole('button', { name: 'Status' }).click();
    await page.getByRole('menuitemcheckbox', { name: 'Failed' }).click();
    await page.keyboard.press('Escape');
    await row('BlockIp').waitFor({ state: 'detached' });
    await row('No such luck').waitFor();
    expect(new URL(page.url()).searchParams.get('status')).toContain('Failed');

    await page.getByRole('button', { name: 'Views' }).click();
    await page.getByRole('menuitem', { name: 'Save this view …' }).click();
    await page.getByRole('alertdialog').getByLabel('Name').fill('Bad ones');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('alertdialog').waitFor({ state: 'detached' });
    await page.goto('/actions');
    await row('BlockIp').waitFor();
    await page.getByRole('button', { name: 'Views' }).click();
    await page.getByRole('menuitem', { name: 'Bad ones' }).click();
    await row('BlockIp').waitFor({ state: 'detached' });
    await row('No such luck').waitFor();
  });

  it('is shown for an address that somebody typed, without what the address cannot mean', async ({
    visitors,
  }) => {
    const { page, client } = await visitors.person();
    await client.ended(await client.act('FailAlways', { code: 403, message: 'No such luck' }));
    await client.ended(await client.act('BlockIp', { IP: '203.0.113.7' }));
    const row = (name: string) => page.getByRole('row').filter({ hasText: name });
    await page.goto('/actions?status=failed');
    await row('No such luck').waitFor();
    expect(await row('BlockIp').count()).toBe(0);
    await page.goto('/actions?status=nonsense&phase=1&window=x');
    await row('BlockIp').waitFor();
    expect(new URL(page.url()).search).toBe('');
  });

  it('says what is wrong with a filter of one’s own, in the words of the API', async ({ visitors }) => {
    const { page } = await visitors.person();
    await page.goto(`/actions?${new URLSearchParams({ filter: 'nonsense eq 1' }).toString()}`);
    await page.getByRole('alert').getByText('nonsense').waitFor();
  });

  it('goes on and on as one scrolls, and is exported whole', async ({ visitors, site }) => {
    const { page, tenant } = await visitors.person();
    const caller = { tenantId: tenant, appId: tenant, user: null };
    for (let index = 0; index < 300; index += 50)
      await Promise.all(
        Array.from({ length: 50 }, (_, offset) =>
          site.database.actions.create(
            newAction({
              caller,
              // Far in the future, and of no instance that is there: nobody takes them.
              instance: 'elsewhere',
              parameters: [{ name: 'IP', value: `192.0.2.${index + offset}` }],
            }),
          ),
        ),
      );
    await page.goto('/actions');
    const rows = page.getByRole('row');
    await rows.nth(1).waitFor();
    expect(await rows.count()).toBeLessThan(100);
    const oldest = rows.filter({ hasText: /192\.0\.2\.\d(?!\d)/ }).first();
    await eventually(async () => {
      await page.mouse.wheel(0, 2000);
      return oldest.isVisible();
    }, 60_000);
    await page.getByRole('status').getByText('300 actions').waitFor();
    expect(await rows.count()).toBeLessThan(100);

    await page.getByRole('button', { name: 'Export' }).click();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('menuitem', { name: 'CSV' }).click(),
    ]);
    const lines = (await readFile(await download.path(), 'utf8')).trim().split(/\r?\n/);
    expect(lines).toHaveLength(301);
  });

  it('cancels many at once, and says of each what came of it', async ({ visitors }) => {
    const { page, client } = await visitors.person();
    const ids = await Promise.all([1, 2].map(() => client.act('LongRunning', { durationMs: 600_000 })));
    await Promise.all(ids.map((id) => client.inPhase(id, 'waitingOnVendor')));
    await page.setViewportSize({ width: 390, height: 860 });
    await page.goto('/actions');
    await page
      .getByText(/^The provider has been working on it since/)
      .nth(1)
      .waitFor();
    await page.getByText('Select all that are not finished').click();
    await page.getByRole('button', { name: 'Cancel them …' }).click();
    const dialog = page.getByRole('alertdialog');
    await dialog.getByText('The provider is asked to stop').waitFor();
    await dialog.getByRole('button', { name: 'Cancel 2 actions' }).click();
    await dialog.getByText('2 cancels were accepted.').waitFor();
    await dialog.getByRole('button', { name: 'Close' }).click();
    // What opened it is gone with the selection.
    await page.locator('main:focus').waitFor();
    // Nobody has loaded anything anew.
    await page.getByText('Cancelled at the vendor').nth(1).waitFor();
  });

  it('shows, where the stream of events is blocked, what changed all the same', async ({ visitors }) => {
    const { page, context, client } = await visitors.person();
    await context.route('**/api/v1/events*', (route) => route.abort());
    await page.goto('/actions');
    await page.getByText('Every few seconds').first().waitFor();
    const id = await client.act('BlockIp', { IP: '203.0.113.7' });
    await client.ended(id);
    await page.getByRole('button', { name: /1 new/ }).click();
    await page.getByRole('row').filter({ hasText: '203.0.113.7' }).waitFor();
  });
});

describeInBrowser('the page of an action', () => {
  it('is followed to its end without loading anew, and an action undone', async ({ visitors }) => {
    const { page, client } = await visitors.person();
    const id = await client.act('LongRunning', { durationMs: 4000 });
    await page.goto(`/actions/${id}`);
    await page.getByText('At the vendor').first().waitFor();
    await page.getByText('Completed', { exact: true }).first().waitFor();

    const block = await client.act('BlockIp', { IP: '203.0.113.9' });
    await client.ended(block);
    await page.goto(`/actions/${block}`);
    await page.getByRole('button', { name: 'Undo …' }).click();
    await page.getByRole('button', { name: 'Undo it' }).click();
    await page.getByRole('link', { name: block }).waitFor();
    expect(page.url()).not.toContain(block);
  });

  it('says what a cancel will mean, and does it', async ({ visitors }) => {
    const { page, client } = await visitors.person();
    const id = await client.act('LongRunning', { durationMs: 600_000 });
    await client.inPhase(id, 'waitingOnVendor');
    await page.goto(`/actions/${id}`);
    await page.getByRole('button', { name: 'Cancel …' }).click();
    const dialog = page.getByRole('alertdialog', { name: 'Cancel LongRunning?' });
    const { cancellation } = (await client.native(id)) as unknown as {
      readonly cancellation: { readonly message: string };
    };
    await dialog.getByText(cancellation.message).waitFor();
    await dialog.getByRole('button', { name: 'Request cancel' }).click();
    await page.getByText('Cancelled at the vendor').first().waitFor();
    expect(await client.native(id)).toMatchObject({ phase: 'cancelledAtProvider' });
  });

  it('has the vendor asked whether its effect is in place now, and shows what it says', async ({
    visitors,
  }) => {
    const { page, client } = await visitors.person();
    const id = await client.act('BlockIp', { IP: '203.0.113.41' });
    await client.ended(id);
    await page.goto(`/actions/${id}`);
    await page.getByRole('button', { name: 'Ask the vendor now' }).click();
    await page.getByText('The mock keeps no state of what it did.').waitFor();
  });

  it('has an outcome that nobody knows resolved', async ({ visitors }) => {
    const { page, client, name } = await visitors.person();
    const id = await client.act('BlockIp', { IP: '203.0.113.7' }, at('silent'));
    await client.ended(id);
    await page.goto(`/actions/${id}`);
    await page.getByRole('button', { name: 'Resolve …' }).click();
    // The radio itself is hidden under its words.
    await page.getByText('It was applied', { exact: true }).click();
    await page.getByLabel('How did you find out?').fill('The rule is on the firewall.');
    await page.getByRole('button', { name: 'Record it' }).click();
    await page.getByText('Checked: it was applied').waitFor();
    expect(await client.native(id)).toMatchObject({
      unresolved: false,
      resolution: { verdict: 'applied', by: { user: name } },
    });
  });

  it('offers nothing to somebody who may only look, and the API takes nothing from them', async ({
    visitors,
  }) => {
    const { page, client } = await visitors.person({ role: 'Viewer' });
    const id = await client.act('LongRunning', { durationMs: 600_000 });
    await page.goto(`/actions/${id}`);
    await page.getByRole('heading', { name: 'LongRunning', level: 1 }).waitFor();
    for (const name of ['Cancel …', 'Duplicate', 'Undo …', 'Resolve …'])
      expect(await page.getByRole('button', { name }).or(page.getByRole('link', { name })).count()).toBe(0);
    await page.goto('/actions');
    await page.getByRole('row').filter({ hasText: 'LongRunning' }).waitFor();
    expect(await page.getByRole('checkbox').count()).toBe(0);
    expect(await page.getByRole('link', { name: 'New action' }).count()).toBe(0);
    const status = await page.evaluate<number>(`(async () => {
      const { csrfToken } = await (await fetch('/api/v1/session')).json();
      const headers = { 'x-csrf-token': csrfToken };
      return (await fetch('/api/v1/actions/${id}/cancel', { method: 'POST', headers })).status;
    })()`);
    expect(status).toBe(403);
    await client.cancel(id);
  });
});
