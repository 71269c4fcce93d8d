import { randomUUID } from 'node:crypto';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import type { NewAction } from '#domain';
import type { Database } from '#persistence';
import { eventually } from '../support/eventually.js';
import { describeInBrowser, it } from './browsing.js';
import { newAction } from '../support/database.js';
import { XSS_PAYLOADS } from './xss-payloads.js';

/** Elements and attributes that no page of ours has: a payload that became markup leaves one of them behind. */
const FOREIGN = [
  ...['iframe', 'object', 'embed', 'base', 'math', 'marquee', 'video', 'audio', 'img', 'body style'],
  ...['meta[http-equiv]', 'form[action]', 'link[href*="xss.invalid"]', 'script:not([src^="/assets/"])'],
  ...['error', 'load', 'focus', 'toggle', 'begin', 'start', 'mouseover', 'animationstart'].map(
    (event) => `[on${event}]`,
  ),
  ...['href', 'action', 'src'].flatMap((name) =>
    ['javascript:', 'data:text'].map((scheme) => `[${name}^="${scheme}" i]`),
  ),
].join(',');

/** What the page shows, the values of its fields among it. */
const TEXT = `[document.title, document.body.textContent, ...[...document.querySelectorAll('input, textarea')]
  .map(({ value }) => value), ...[...document.querySelectorAll('[title],[aria-label]')]
  .flatMap((element) => [element.title, element.getAttribute('aria-label') ?? ''])].join('\\n')`;

/** Waits until the page shows the text so often, and finds nothing there that it became besides text. */
async function showsAsText(page: Page, text: string, least = 1): Promise<void> {
  await eventually(
    async () => (await page.evaluate<string>(TEXT)).split(text).length > least,
    20_000,
    100,
  ).catch(async (error: unknown) => {
    throw new Error(`${page.url()} does not show ${text} ${least} times`, { cause: error });
  });
  expect(
    await page.evaluate(
      `[...document.querySelectorAll(${JSON.stringify(FOREIGN)})].map((one) => one.outerHTML)`,
    ),
  ).toEqual([]);
  expect(await page.evaluate('globalThis.__ran ?? null')).toBeNull();
}

/** To another page of the console, without loading it anew. */
async function goTo(page: Page, path: string): Promise<void> {
  await page.evaluate(`history.pushState({}, '', ${JSON.stringify(path)})`);
}

/** Two actions as the store keeps them, with the text in every place that a caller, a vendor or an operator fills. */
async function recordWith({ actions }: Database, tenantId: string, text: string) {
  const caller = { tenantId, appId: text, user: text };
  const action: NewAction = {
    ...newAction(),
    caller,
    name: text,
    actionReason: text,
    clientContext: text,
    parameters: [{ name: text, value: text }],
    vendorInformation: { vendor: text, provider: text, providerVersion: text, subProvider: text },
    providerVersion: text,
  };
  const unknown = await actions.create({ ...action, id: randomUUID() });
  const done = await actions.create({ ...action, id: randomUUID() });
  const leaseOf = async (id: string) => {
    const claim = await actions.claim(id, text, 30_000, text);
    if (claim.kind !== 'claimed') throw new Error('it could not be claimed');
    return claim.claim.lease;
  };
  await actions.fail(await leaseOf(unknown.id), {
    phase: 'outcomeUnknown',
    errorInfo: { code: 520, subcode: 0, message: text },
    applied: 'unknown',
  });
  await actions.resolve(caller, unknown.id, { verdict: 'applied', note: text });
  await actions.complete(await leaseOf(done.id), { [text]: text });
  return { unknown: unknown.id, done: done.id };
}

describeInBrowser('text that others write', () => {
  it('stays text in the list and on the pages of actions, whatever it looks like', async ({
    visitors,
    site,
  }) => {
    const { page, tenant } = await visitors.person({ operates: true });
    const recorded = [];
    for (const text of XSS_PAYLOADS)
      recorded.push({ text, ...(await recordWith(site.database, tenant, text)) });
    await page.goto('/actions');
    await page.getByRole('heading', { name: 'Actions', level: 1 }).waitFor();
    for (const { text, unknown, done } of recorded) {
      await goTo(page, `/actions/${unknown}`);
      await showsAsText(page, text, 3);
      await goTo(page, `/actions/${done}`);
      await showsAsText(page, text, 3);
    }
  });
});
