import { expect } from 'vitest';
import { describeInBrowser, it } from './browsing.js';

describeInBrowser('signing in to the console', () => {
  it('says that name or password is wrong, and lets the right ones in, where one wanted to go', async ({
    visitors,
  }) => {
    const { page, name, password } = await visitors.person({ signedIn: false });
    await page.goto('/providers');
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill('not the password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Wrong name or password.').waitFor();
    await page.getByLabel('Password').fill(password);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Providers', level: 1 }).waitFor();
    expect(new URL(page.url()).pathname).toBe('/providers');
  });

  it('has a password changed that somebody else knows, before anything else', async ({ visitors }) => {
    const { page, context, name, password } = await visitors.person({ mustChangePassword: true });
    await page.goto('/');
    await page.getByRole('heading', { name: 'Choose a password' }).waitFor();
    await page.getByLabel('Current password').fill(password);
    await page.getByLabel('New password (required)', { exact: true }).fill('too short');
    await page.getByRole('button', { name: 'Save and continue' }).click();
    await page.getByText('At least 12 characters.', { exact: true }).waitFor();
    const chosen = 'a horse that nobody else knows';
    await page.getByLabel('New password (required)', { exact: true }).fill(chosen);
    await page.getByLabel('Repeat the new password').fill(chosen);
    await page.getByRole('button', { name: 'Save and continue' }).click();
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();

    await context.clearCookies();
    await page.goto('/');
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill(chosen);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  });

  it('leads nowhere else afterwards than to its own pages', async ({ visitors, site }) => {
    for (const returnTo of [
      'https://xss.invalid/',
      '//xss.invalid',
      '/\\xss.invalid',
      'javascript:alert(1)',
    ]) {
      const { page } = await visitors.person();
      await page.goto(`/sign-in?${new URLSearchParams({ returnTo }).toString()}`);
      await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
      expect(new URL(page.url()).origin).toBe(site.stack.baseUrl);
    }
  });

  it('lets in whom an issuer vouches for, and leads on to what was wanted', async ({ visitors, site }) => {
    site.issuer.person = {
      sub: '4711',
      preferred_username: 'alice@example.com',
      name: 'Alice Example',
      groups: ['responders'],
    };
    const page = await (await visitors.context()).newPage();
    await page.goto('/providers');
    await page.getByRole('link', { name: 'Sign in with SOC accounts' }).click();
    await page.getByRole('heading', { name: 'Providers', level: 1 }).waitFor();
    await page.getByRole('button', { name: 'Account of Alice Example' }).waitFor();

    site.issuer.person = { error: 'access_denied' };
    const refused = await (await visitors.context()).newPage();
    await refused.goto('/');
    await refused.getByRole('link', { name: 'Sign in with SOC accounts' }).click();
    await refused.getByText('The identity provider refused the sign-in, or it was cancelled.').waitFor();
  });

  it('lets them in where another site leads them, though no cookie comes from there', async ({
    visitors,
    site,
  }) => {
    site.issuer.person = { sub: '4712', preferred_username: 'bob', name: 'Bob', groups: ['leads'] };
    const context = await visitors.context();
    const page = await context.newPage();
    // The issuer is at 127.0.0.1, and so another site than this.
    await page.goto(`${site.issuer.baseUrl}/soc/.well-known/openid-configuration`);
    const address = `${site.otherUrl}/sign-in/with/soc?returnTo=/ops/queues`;
    await page.evaluate(`location.href = ${JSON.stringify(address)}`);
    await page.waitForURL(`${site.otherUrl}/ops/queues`);
    await page.getByText('mock.urgent').first().waitFor();
    expect(await context.cookies(site.otherUrl)).toMatchObject([
      { name: 'riposte', httpOnly: true, sameSite: 'Strict' },
    ]);
  });

  it('ends every session of a person at once, when the person signs out everywhere', async ({ visitors }) => {
    const { page, name } = await visitors.person();
    const elsewhere = await visitors.context();
    await visitors.signIn(elsewhere, name);
    const there = await elsewhere.newPage();
    await Promise.all([page.goto('/'), there.goto('/providers')]);
    await there.getByRole('heading', { name: 'Providers', level: 1 }).waitFor();

    await page.getByRole('button', { name: /^Account of/ }).click();
    await page.getByRole('menuitem', { name: 'Sign out everywhere' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await there.getByRole('link', { name: 'Actions' }).click();
    await there.getByRole('heading', { name: 'Sign in' }).waitFor();
  });

  it('shows the queues to nobody but those who operate the installation', async ({ visitors }) => {
    const nobody = await (await visitors.context()).newPage();
    await nobody.goto('/ops/queues');
    await nobody.getByRole('heading', { name: 'Sign in' }).waitFor();

    const { page: plain } = await visitors.person({ role: 'Administrator' });
    expect((await plain.goto('/ops/queues'))?.status()).toBe(403);
    await plain.goto('/');
    await plain.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    expect(await plain.getByRole('link', { name: 'Queues' }).count()).toBe(0);

    const { page } = await visitors.person({ role: 'Viewer', operates: true });
    await page.goto('/');
    await page.getByRole('link', { name: 'Queues' }).click();
    await page.getByText('mock.urgent').first().waitFor();
    await page.locator('header').getByRole('button').last().click();
    await page.getByText('Console', { exact: true }).click();
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  });
});
