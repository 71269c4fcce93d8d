import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectDatabase, type Database } from '#persistence';
import { TestBrowser, accessibilityFaults, describeInBrowser, keepPicture } from '../support/browser.js';
import { ConsoleClient } from '../support/console-client.js';
import { TENANT_A, TENANT_B } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { PASSWORD, makeOperator } from '../support/operators.js';
import { Stack } from '../support/stack.js';

const ANOTHER_PASSWORD = 'a lantern in the orchard';

describeInBrowser('the console in a browser', () => {
  let stack: Stack;
  let database: Database;
  let browser: TestBrowser;

  beforeAll(async () => {
    stack = await Stack.start();
    database = await connectDatabase(stack.mongodbUri, { appName: 'riposte-test' });
    browser = await TestBrowser.start(stack.baseUrl);
    await makeOperator(database, 'ada', { operates: true, role: 'Administrator' });
  });
  afterAll(async () => {
    await browser?.close();
    await database?.close();
    await stack?.stop();
  });

  /** Signs in on the page that is shown. */
  async function signIn(page: Page, name: string, password = PASSWORD): Promise<void> {
    await page.getByLabel('Name', { exact: true }).fill(name);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  }

  /** One sign-in for each person, as long as no test ends or changes the session: it costs a third of a second. */
  const sessions = new Map<string, ConsoleClient>();

  /** A page of the console, of somebody who has signed in. */
  async function signedIn(path = '/', name = 'ada', options: Parameters<TestBrowser['open']>[0] = {}) {
    const client = sessions.get(name) ?? new ConsoleClient(stack.baseUrl);
    if (!sessions.has(name)) expect((await client.signIn(name, PASSWORD)).status).toBe(200);
    sessions.set(name, client);
    const watched = await browser.open(options);
    await watched.page
      .context()
      .addCookies(
        [...client.cookies].map(([cookie, value]) => ({ name: cookie, value, url: stack.baseUrl })),
      );
    await watched.page.goto(path);
    await watched.page.getByRole('main').waitFor();
    return watched;
  }

  it('asks who is there, says that it was wrong, and leads to the page that was wanted', async () => {
    const { page, problems } = await browser.open();
    await page.goto('/account?x=1');
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(new URL(page.url()).pathname).toBe('/sign-in');
    await signIn(page, 'ada', 'not the password at all');
    await page.getByText('Wrong name or password.').waitFor();
    await signIn(page, 'ada');
    await page.getByRole('heading', { name: 'Account and appearance', level: 1 }).waitFor();
    expect(new URL(page.url()).pathname).toBe('/account');
    expect(await page.title()).toBe('Account and appearance · Riposte');
    expect(problems).toEqual([]);
  });

  it('leads to no other site after signing in', async () => {
    const { page } = await browser.open();
    await page.goto('/sign-in?returnTo=//example.org/');
    await signIn(page, 'ada');
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    expect(page.url()).toBe(`${stack.baseUrl}/`);
  });

  it('lets nobody in who has a password of somebody else, until they have chosen their own', async () => {
    await makeOperator(database, 'new', { mustChangePassword: true });
    const { page, problems } = await browser.open();
    await page.goto('/providers');
    await signIn(page, 'new');
    await page.getByRole('heading', { name: 'Choose a password' }).waitFor();
    await page.getByLabel('Current password').fill(PASSWORD);
    await page.getByLabel('New password (required)', { exact: true }).fill('short');
    await page.getByLabel('Repeat the new password').fill('shorter');
    await page.getByRole('button', { name: 'Save and continue' }).click();
    await page.getByText('The two passwords do not match.').waitFor();
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.getByLabel('New password (required)', { exact: true }).fill(ANOTHER_PASSWORD);
    await page.getByLabel('Repeat the new password').fill(ANOTHER_PASSWORD);
    await page.getByRole('button', { name: 'Save and continue' }).click();
    await page.getByRole('heading', { name: 'Providers', level: 1 }).waitFor();
    expect(problems).toEqual([]);
  });

  it('lets an administrator add a person, who can sign in with the password that is shown once', async () => {
    const { page, problems } = await signedIn('/people');
    await page.getByRole('button', { name: 'Add a person' }).click();
    await page.getByLabel('Sign-in name').fill('grace');
    await page.getByLabel('Display name').fill('Grace <b>H</b>');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    const shown = page.getByRole('alertdialog', { name: 'Password for grace' });
    await shown.waitFor();
    expect(await accessibilityFaults(page)).toEqual([]);
    const password = await shown.locator('[data-secret]').innerText();
    await shown.getByRole('button', { name: 'Done' }).click();
    await page.getByText('Grace <b>H</b>').waitFor();

    const { page: hers } = await browser.open();
    await hers.goto('/');
    await signIn(hers, 'grace', password);
    await hers.getByRole('heading', { name: 'Choose a password' }).waitFor();

    await page.getByRole('button', { name: 'Change Grace <b>H</b>' }).click();
    await page.getByRole('menuitem', { name: 'Disable …' }).click();
    await page.getByRole('button', { name: 'Disable grace' }).click();
    await page.getByText('disabled', { exact: true }).waitFor();
    await hers.reload();
    await hers.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(problems).toEqual([]);
  });

  it('says in words why the last administrator stays', async () => {
    const { page } = await signedIn('/people');
    await page.getByRole('button', { name: 'Change Known as ada' }).click();
    await page.getByRole('menuitem', { name: 'Remove …' }).click();
    const dialog = page.getByRole('alertdialog', { name: 'Remove ada?' });
    await dialog.getByRole('button', { name: 'Remove ada' }).click();
    expect(await dialog.getByRole('alert').innerText()).toContain('administrator');
  });

  it('shows in another tenant what the role there allows', async () => {
    const grants = [
      { tenantId: TENANT_A, role: 'Administrator' },
      { tenantId: TENANT_B, role: 'Viewer' },
    ] as const;
    await makeOperator(database, 'both', { grants });
    const { page, problems } = await signedIn('/people', 'both');
    await page.getByRole('button', { name: `Tenant ${TENANT_A}, as Administrator` }).click();
    await page.getByRole('menuitem', { name: TENANT_B }).click();
    await page.getByRole('button', { name: `Tenant ${TENANT_B}, as Viewer` }).waitFor();
    const pages = page.getByRole('navigation', { name: 'Pages' });
    expect(await pages.getByRole('link').allInnerTexts()).toEqual([
      'Overview',
      'Actions',
      'Inbox',
      'Providers',
    ]);
    expect(problems).toEqual([]);
  });

  it('ends with the session, in every tab', async () => {
    await makeOperator(database, 'leaves');
    const { page } = await signedIn('/account', 'leaves');
    const other = await page.context().newPage();
    await other.goto('/account');
    await other.getByRole('heading', { name: 'Account and appearance' }).waitFor();
    await page.getByRole('button', { name: 'Account of Known as leaves' }).click();
    await page.getByRole('menuitem', { name: 'Sign out', exact: true }).click();
    for (const tab of [page, other]) await tab.getByRole('heading', { name: 'Sign in' }).waitFor();
  });

  it('goes to the sign-in when the session has ended meanwhile', async () => {
    await makeOperator(database, 'gone', { role: 'Administrator' });
    const { page } = await signedIn('/', 'gone');
    await page.getByRole('navigation', { name: 'Pages' }).waitFor();
    await page.context().clearCookies();
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'People' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(new URL(page.url()).searchParams.get('returnTo')).toBe('/people');
  });

  it('shows how actions fare, and goes on by itself', async () => {
    const client = await stack.client();
    await client.ended(await client.act('BlockIp', { IP: '203.0.113.1' }));
    const { page, problems } = await signedIn('/');
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
    expect(problems).toEqual([]);
  });

  it('asks who leaves it alone whether they are there, and signs them out if not', async () => {
    await makeOperator(database, 'away');
    const watched = await browser.open();
    const { page } = watched;
    await page.clock.install();
    await page.goto('/account');
    await signIn(page, 'away');
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
    expect(await page.context().cookies()).toEqual([]);
  });

  it('is worked by keys, unless somebody has no use for that', async () => {
    const { page } = await signedIn('/account');
    await page.getByRole('heading', { name: 'Account and appearance' }).waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('g');
    await page.keyboard.press('u');
    await page.getByRole('heading', { name: 'People', level: 1 }).waitFor();
    await page.goto('/account');
    await page.getByText('On', { exact: true }).click();
    await page.keyboard.press('g');
    await page.keyboard.press('u');
    await page.keyboard.press('?');
    expect(await page.getByRole('dialog').count()).toBe(0);
    expect(new URL(page.url()).pathname).toBe('/account');
  });

  it('keeps the chosen colours', async () => {
    const { page } = await signedIn('/account');
    const background = () =>
      page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor');
    const light = await background();
    await page.getByRole('radio', { name: 'Dark' }).click();
    const dark = await eventually(async () => (await background()) !== light && background());
    await page.reload();
    await page.getByRole('heading', { name: 'Account and appearance' }).waitFor();
    expect(await background()).toBe(dark);
  });

  it('begins, for the keyboard, with a way past the navigation', async () => {
    const { page } = await signedIn('/account');
    await page.reload();
    await page.getByRole('heading', { name: 'Account and appearance' }).waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
  });

  describeInBrowser.each([
    { theme: 'light', width: 1440 },
    { theme: 'dark', width: 390 },
  ] as const)('in $theme, $width pixels wide', (options) => {
    it.each([
      ['/', 'Overview'],
      ['/account', 'Account and appearance'],
      ['/people', 'People'],
    ])('%s can be used by everybody, and fits', async (path, heading) => {
      const { page, problems } = await signedIn(path, 'ada', options);
      await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
      await page.waitForLoadState('networkidle');
      await expectUsable(page, `${heading.toLowerCase().replaceAll(' ', '-')}-${options.theme}`);
      expect(problems).toEqual([]);
    });

    it('so can the sign-in', async () => {
      const { page, problems } = await browser.open(options);
      await page.goto('/sign-in?problem=expired');
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      await expectUsable(page, `sign-in-${options.theme}`);
      expect(problems).toEqual([]);
    });
  });

  async function expectUsable(page: Page, picture: string): Promise<void> {
    expect(await accessibilityFaults(page)).toEqual([]);
    const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth');
    expect(overflow).toBeLessThanOrEqual(0);
    await keepPicture(page, picture);
  }
});
