import type { Locator } from 'playwright-core';
import { expect } from 'vitest';
import { describeInBrowser, it } from './browsing.js';

describeInBrowser('a new action', () => {
  it('is asked for by a form made of what the provider says it takes, and watched to its end', async ({
    visitors,
  }) => {
    const { page, client, name } = await visitors.person();
    await page.goto('/actions/new?provider=mock');
    await page.getByRole('combobox', { name: /^Action/ }).fill('LongRun');
    await page.getByRole('option', { name: 'LongRunning' }).click();
    const duration = page.getByLabel(/^durationMs/);
    await duration.fill('soon');
    await page.getByText(/whole number/i).waitFor();
    await duration.fill('3000');
    await page.getByText(/whole number/i).waitFor({ state: 'detached' });
    await page.getByRole('textbox', { name: 'Reason' }).fill('Tried by hand');
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByRole('heading', { name: 'Preview' }).waitFor();
    await page.getByRole('button', { name: 'Create' }).dblclick();
    await page.getByRole('heading', { name: 'LongRunning', level: 1 }).waitFor();
    await page.getByText('Completed', { exact: true }).first().waitFor();
    const { body } = await client.request<{ readonly value: readonly object[] }>('GET', '/api/v1/actions');
    expect(body.value).toMatchObject([{ actionReason: 'Tried by hand', user: name }]);
  });

  it('is not sent while something is wrong, and says at which field the server found it', async ({
    visitors,
  }) => {
    const { page, client } = await visitors.person();
    await page.goto('/actions/new?provider=mock&action=BlockIp');
    await page.getByRole('button', { name: 'Create' }).click();
    const ip = page.getByLabel(/^IP/);
    expect(await ip.getAttribute('aria-invalid')).toBe('true');
    await ip.fill('300.1.1.1');
    await page.getByRole('button', { name: 'Create' }).click();
    expect(await ip.getAttribute('aria-invalid')).toBe('true');
    const { body } = await client.request<{ readonly value: readonly object[] }>('GET', '/api/v1/actions');
    expect(body.value).toEqual([]);
  });

  it('waits at a paused provider, which says why, until it is resumed', async ({ visitors }) => {
    const { page, context } = await visitors.person({ operates: true });
    await page.goto('/providers/branch');
    await page.getByRole('button', { name: 'Pause …' }).click();
    await page.getByLabel(/^Why\?/).fill('Firewall upgrade until 18:00.');
    await page.getByRole('button', { name: 'Pause', exact: true }).click();
    await page.getByText('Paused: nothing starts here').waitFor();
    const form = await context.newPage();
    await form.goto('/actions/new?provider=branch&action=BlockIp');
    await form.getByText('This provider is paused').waitFor();
    await form.getByLabel(/^IP/).fill('203.0.113.7');
    await form.getByRole('button', { name: 'Create' }).click();
    const why = form.getByRole('region', { name: 'Why is this waiting?' });
    await why.getByText('The provider is paused').waitFor();
    await why.getByText('Firewall upgrade until 18:00.').waitFor();
    await why.getByText(/has been paused since .*, by person-/).waitFor();
    await page.getByRole('button', { name: 'Resume …' }).click();
    await page.getByRole('button', { name: 'Resume', exact: true }).click();
    await form.getByText('Completed', { exact: true }).first().waitFor();
    expect(await why.count()).toBe(0);
  });

  it('is reached, filled in and followed by keys alone', async ({ visitors }) => {
    const { page } = await visitors.person();
    await page.goto('/');
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    await page.keyboard.press('n');
    await page.getByRole('heading', { name: 'New action', level: 1 }).waitFor();
    const tabTo = async (wanted: Locator) => {
      await wanted.waitFor();
      for (let presses = 0; presses < 40; presses += 1) {
        if ((await wanted.and(page.locator(':focus')).count()) === 1) return;
        await page.keyboard.press('Tab');
      }
      throw new Error(`${String(wanted)} is not reached by Tab`);
    };
    await tabTo(page.getByRole('button', { name: /^(Choose … )?Provider/ }));
    await page.keyboard.press('Enter');
    await page.getByRole('option').first().waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Home');
    await page.keyboard.press('Enter');
    await tabTo(page.getByRole('combobox', { name: /^Action/ }));
    await page.keyboard.type('BlockIp');
    await page.getByRole('option', { name: 'BlockIp' }).first().waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await tabTo(page.getByRole('textbox', { name: /^IP/ }));
    await page.keyboard.type('203.0.113.7');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'BlockIp', level: 1 }).waitFor();
    await page.getByText('Completed', { exact: true }).first().waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('a');
    await page.getByRole('row').filter({ hasText: '203.0.113.7' }).waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'BlockIp', level: 1 }).waitFor();
  });
});

describeInBrowser('the inbox', () => {
  it('has what nobody knows the outcome of, until somebody has looked', async ({ visitors }) => {
    const { page, client } = await visitors.person();
    await page.goto('/inbox');
    await page.getByText('Nothing to check').waitFor();
    const id = await client.act(
      'BlockIp',
      { IP: '203.0.113.7' },
      {
        vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider: 'silent' },
      },
    );
    await client.ended(id);
    await page.getByRole('button', { name: /^Resolve BlockIp/ }).click();
    await page.getByText('It was not applied', { exact: true }).click();
    await page.getByLabel('How did you find out?').fill('There is no such rule.');
    await page.getByRole('button', { name: 'Record it' }).click();
    await page.getByText('Nothing to check').waitFor();
    expect(await client.native(id)).toMatchObject({ resolution: { verdict: 'notApplied' } });
  });
});
