import { expect } from 'vitest';
import { describeInBrowser, it } from './browsing.js';

describeInBrowser('the people of a tenant', () => {
  it('are added by an administrator, with a password that is shown once, and disabled', async ({
    visitors,
  }) => {
    const { page, name: administrator } = await visitors.person({ role: 'Administrator' });
    const name = `grace-${administrator}`;
    await page.goto('/people');
    await page.getByRole('button', { name: 'Add a person' }).click();
    await page.getByLabel('Sign-in name').fill(name);
    await page.getByLabel('Display name').fill('Grace H');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    const shown = page.getByRole('alertdialog', { name: `Password for ${name}` });
    const password = await shown.locator('[data-secret]').innerText();
    await shown.getByRole('button', { name: 'Done' }).click();
    await page.getByText('Grace H').waitFor();

    const hers = await (await visitors.context()).newPage();
    await hers.goto('/');
    await hers.getByLabel('Name').fill(name);
    await hers.getByLabel('Password').fill(password);
    await hers.keyboard.press('Enter');
    await hers.getByRole('heading', { name: 'Choose a password' }).waitFor();

    await page.getByRole('button', { name: 'Change Grace H' }).click();
    await page.getByRole('menuitem', { name: 'Disable …' }).click();
    await page.getByRole('button', { name: `Disable ${name}` }).click();
    await page.getByText('disabled', { exact: true }).waitFor();
    await hers.reload();
    await hers.getByRole('heading', { name: 'Sign in' }).waitFor();
  });

  it('keep their last administrator, and are told why', async ({ visitors }) => {
    const { page, name } = await visitors.person({ role: 'Administrator' });
    await page.goto('/people');
    await page.getByRole('button', { name: `Change Known as ${name}` }).click();
    await page.getByRole('menuitem', { name: 'Remove …' }).click();
    const dialog = page.getByRole('alertdialog', { name: `Remove ${name}?` });
    await dialog.getByRole('button', { name: `Remove ${name}` }).click();
    expect(await dialog.getByRole('alert').innerText()).toContain('administrator');
  });

  it('see in another tenant what their role there allows', async ({ visitors }) => {
    const another = 'b0000000-1111-4111-8111-0123456789ab';
    const { page, tenant } = await visitors.person({
      role: 'Administrator',
      others: [{ tenantId: another, role: 'Viewer' }],
    });
    await page.goto('/people');
    await page.getByRole('button', { name: `Tenant ${tenant}, as Administrator` }).click();
    await page.getByRole('menuitem', { name: another }).click();
    await page.getByRole('button', { name: `Tenant ${another}, as Viewer` }).waitFor();
    const pages = page.getByRole('navigation', { name: 'Pages' });
    expect(await pages.getByRole('link').allInnerTexts()).toEqual([
      'Overview',
      'Actions',
      'Inbox',
      'Providers',
    ]);
  });
});
