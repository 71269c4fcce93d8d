import { expect } from 'vitest';
import { eventually } from '../support/eventually.js';
import { describeInBrowser, it } from './browsing.js';

describeInBrowser('the console', () => {
  it('shows how actions fare, and goes on by itself', async ({ visitors }) => {
    const { page, client } = await visitors.person();
    await client.ended(await client.act('BlockIp', { IP: '203.0.113.1' }));
    await page.goto('/');
    const throughput = page.getByRole('figure', { name: 'Throughput' });
    await throughput.getByText('1 action requested, 1 completed, 0 failed.').waitFor();
    await client.ended(await client.act('FailAlways', { code: 503, message: 'away' }));
    await throughput.getByText('2 actions requested, 1 completed, 1 failed.').waitFor();
    await page.getByRole('region', { name: 'By provider' }).getByText('1 × vendor unreachable').waitFor();
    await page.getByRole('button', { name: 'Show the table: Throughput' }).click();
    const rows = page.getByRole('table', { name: 'Throughput' }).getByRole('row');
    expect(await rows.count()).toBe(61);
    await page.getByRole('radio', { name: '7 days' }).click();
    await page.waitForURL('**/?window=7d');
  });

  it('shows each provider’s figures with their names where a phone has no room for columns', async ({
    visitors,
  }) => {
    const { page, client } = await visitors.person({ browser: { viewport: { width: 390, height: 844 } } });
    await client.ended(await client.act('BlockIp', { IP: '203.0.113.1' }));
    await page.goto('/');
    const table = page.getByRole('table', { name: 'By provider' });
    const completed = table.locator('td[data-heading="Completed"]');
    await completed.getByText('1', { exact: true }).waitFor();
    const named =
      "getComputedStyle(document.querySelector('td[data-heading=Completed]'), '::before').content";
    expect(await page.evaluate<string>(named)).toContain('Completed');
    expect((await completed.boundingBox())?.width).toBeLessThan(390);
  });

  it('is worked by keys, unless somebody has no use for that', async ({ visitors }) => {
    const { page } = await visitors.person();
    await page.goto('/account');
    await page.getByRole('heading', { name: 'Account and appearance' }).waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await page.getByRole('heading', { name: 'Providers', level: 1 }).waitFor();
    await page.goto('/account');
    await page.getByText('On', { exact: true }).click();
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await page.keyboard.press('?');
    expect(await page.getByRole('dialog').count()).toBe(0);
    expect(new URL(page.url()).pathname).toBe('/account');
  });

  it('keeps the chosen colours', async ({ visitors }) => {
    const { page } = await visitors.person();
    await page.goto('/account');
    const background = () =>
      page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor');
    await page.getByRole('radio', { name: 'Dark' }).waitFor();
    const light = await background();
    await page.getByText('Dark', { exact: true }).click();
    await eventually(async () => (await background()) !== light);
    // It changes by degrees.
    await page.evaluate('Promise.all(document.getAnimations().map(({ finished }) => finished))');
    const dark = await background();
    await page.reload();
    await page.getByRole('heading', { name: 'Account and appearance' }).waitFor();
    expect(await background()).toBe(dark);
  });

  it('begins, for the keyboard, with a way past the navigation', async ({ visitors }) => {
    const { page } = await visitors.person();
    await page.goto('/account');
    await page.getByRole('heading', { name: 'Account and appearance' }).waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
  });

  it('ends with the session, in every tab, and leads back after the next', async ({ visitors }) => {
    const { page, context, name } = await visitors.person({ role: 'Administrator' });
    const other = await context.newPage();
    await Promise.all([page.goto('/account'), other.goto('/people')]);
    await other.getByRole('heading', { name: 'People', level: 1 }).waitFor();
    await page.getByRole('button', { name: `Account of Known as ${name}` }).click();
    await page.getByRole('menuitem', { name: 'Sign out', exact: true }).click();
    for (const tab of [page, other]) await tab.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(new URL(other.url()).searchParams.get('returnTo')).toBe('/people');
  });

  it('asks who leaves it alone whether they are there, and signs them out if not', async ({ visitors }) => {
    const { page, context } = await visitors.person();
    await page.clock.install();
    await page.goto('/account');
    await page.getByRole('heading', { name: 'Account and appearance', level: 1 }).waitFor();
    const asked = page.getByRole('alertdialog', { name: 'Are you still there?' });
    await page.clock.fastForward('29:10');
    await asked.getByRole('button', { name: 'Stay signed in' }).click();
    await asked.waitFor({ state: 'detached' });
    await page.clock.fastForward('29:10');
    await asked.waitFor();
    await page.clock.fastForward('01:00');
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(new URL(page.url()).searchParams.get('returnTo')).toBe('/account');
    expect((await context.cookies()).map(({ name }) => name)).toEqual(['riposte-device']);
  });
});
