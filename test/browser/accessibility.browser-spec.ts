import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { describeInBrowser, it } from './browsing.js';
import { actionsOfAllKinds, pagesWith, settled } from './pages.js';

/** Colours do not depend on the width, nor the order of what is there on the colours: each is looked at once. */
const LOOKS = [
  { colorScheme: 'light', width: 1280 },
  { colorScheme: 'dark', width: 390 },
] as const;

/** Until no transition runs: the theme changes a frame after the media, and what inherits a colour follows frames later. */
const STILL = `(async () => {
  const frame = () => new Promise((next) => requestAnimationFrame(next));
  const moves = () => document.getAnimations().some((one) => one instanceof CSSTransition && one.playState === 'running');
  for (let [still, all] = [0, 0]; still < 4 && all < 100; still = moves() ? 0 : still + 1, all += 1) await frame();
})()`;

/** What breaks WCAG 2.2 AA on the page as it is, and by how much it is wider than the screen. */
async function faultsOf(page: Page): Promise<readonly string[]> {
  const { violations } = await new AxeBuilder({ page })
    // react-aria says there what a button did that is gone by now; nobody is shown it.
    .exclude('[data-live-announcer]')
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
    .analyze();
  const wider = await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth');
  return [
    ...violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')} ${failureSummary ?? ''}`),
    ),
    ...(wider > 0 ? [`${wider} pixels wider than the screen`] : []),
  ];
}

/** The page's faults in both themes, in one of them on a phone. */
async function faultsInEveryLook(page: Page): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const { colorScheme, width } of LOOKS) {
    // Without motion: half-way from one theme to the other no contrast is right.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height: 860 });
    await page.evaluate(STILL);
    for (const fault of await faultsOf(page))
      faults.push(`${new URL(page.url()).pathname}, ${colorScheme}, ${width}: ${fault}`);
  }
  return faults;
}

describeInBrowser('everybody can use', () => {
  it('every page of the console, in both themes, on a phone as well', async ({ visitors }) => {
    const { page, client } = await visitors.person({ role: 'Administrator', operates: true });
    const faults: string[] = [];
    for (const { path, heading } of pagesWith(await actionsOfAllKinds(client))) {
      await page.setViewportSize({ width: 1280, height: 860 });
      await page.goto(path);
      await settled(page, heading);
      faults.push(...(await faultsInEveryLook(page)));
    }
    expect(faults).toEqual([]);
  });

  it('the sign-in, an unknown address and the dialogs', async ({ visitors }) => {
    const faults: string[] = [];
    const nobody = await (await visitors.context()).newPage();
    await nobody.goto('/sign-in?problem=expired');
    await settled(nobody, 'Sign in');
    faults.push(...(await faultsInEveryLook(nobody)));

    const { page, client } = await visitors.person({ role: 'Administrator', operates: true });
    const id = await client.act('LongRunning', { durationMs: 600_000 });
    const opened: readonly (readonly [string, () => Promise<void>])[] = [
      [`/actions/${id}`, () => page.getByRole('button', { name: 'Cancel …' }).click()],
      ['/people', () => page.getByRole('button', { name: 'Add a person' }).click()],
      ['/providers/mock', () => page.getByRole('button', { name: 'Pause …' }).click()],
      ['/actions', () => page.keyboard.press('?')],
      ['/actions', () => page.getByRole('search').getByRole('button', { name: 'Status' }).click()],
    ];
    for (const [path, open] of opened) {
      await page.setViewportSize({ width: 1280, height: 860 });
      await page.goto(path);
      await settled(page, '');
      await open();
      await page
        .getByRole('dialog')
        .or(page.getByRole('alertdialog'))
        .or(page.getByRole('menu'))
        .first()
        .waitFor();
      faults.push(...(await faultsInEveryLook(page)));
    }
    await client.cancel(id);
    expect(faults).toEqual([]);
  });
});
