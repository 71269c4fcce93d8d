import { randomUUID } from 'node:crypto';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import type { FinalFailure, NewAction } from '#domain';
import type { Database } from '#persistence';
import { eventually } from '../support/eventually.js';
import { describeInBrowser, it } from './browsing.js';
import { newAction } from '../support/database.js';
import { XSS_PAYLOADS } from './xss-payloads.js';

/** Elements and attributes that no page of ours has: a payload that became markup leaves one of them behind. */
const EVENTS = ['error', 'load', 'focus', 'toggle', 'begin', 'start', 'mouseover', 'animationstart'];
const FOREIGN = [
  'iframe, object, embed, base, math, marquee, video, audio, img, body style, form[action]',
  'meta[http-equiv], link[href*="xss.invalid"], script:not([src^="/assets/"])',
  '[href^="javascript:" i], [href^="data:text" i], [src^="javascript:" i], [src^="data:text" i]',
  ...EVENTS.map((event) => `[on${event}]`),
].join(',');

/** What the page shows, what is in its fields, and what is read out of it. */
const SHOWN = `[document.title, document.body.textContent,
  ...[...document.querySelectorAll('input, textarea')].map(({ value }) => value),
  ...[...document.querySelectorAll('[title], [aria-label]')].flatMap(
    (element) => [element.title, element.getAttribute('aria-label')])].join('\\n')`;

interface Look {
  readonly missing: readonly string[];
  readonly foreign: readonly string[];
  readonly ran: boolean;
}

/** Waits until the page shows all of the texts so often, and finds nothing there that one became besides text. */
async function showsAsText(page: Page, texts: readonly string[], least = 1): Promise<void> {
  const look = `(() => {
    const shown = ${SHOWN};
    return {
      missing: ${JSON.stringify(texts)}.filter((text) => shown.split(text).length <= ${least}),
      foreign: [...document.querySelectorAll(${JSON.stringify(FOREIGN)})].map((one) => one.outerHTML),
      ran: '__ran' in globalThis,
    };
  })()`;
  let last: Look | undefined;
  await eventually(
    async () => {
      last = await page.evaluate<Look>(look);
      return last.missing.length === 0 || last.foreign.length > 0;
    },
    20_000,
    20,
  ).catch(() => undefined);
  expect({ url: page.url(), ...last }).toEqual({ url: page.url(), missing: [], foreign: [], ran: false });
}

/** To another page of the console, without loading it anew. */
async function goTo(page: Page, path: string): Promise<void> {
  await page.evaluate(`history.pushState({}, '', ${JSON.stringify(path)})`);
}

/** Three actions as the store keeps them, with the text in every place that a caller, a vendor or an operator fills. */
async function recordWith({ actions }: Database, tenantId: string, text: string) {
  const caller = { tenantId, appId: text, user: text };
  const known: NewAction = {
    ...newAction(),
    caller,
    name: 'FailAlways',
    actionName: 'FailAlways',
    actionReason: text,
    clientContext: text,
    parameters: [
      { name: 'code', value: '403' },
      { name: 'message', value: text },
    ],
  };
  const foreign: NewAction = {
    ...known,
    name: text,
    parameters: [{ name: text, value: text }],
    vendorInformation: { vendor: text, provider: text, providerVersion: text, subProvider: text },
    providerVersion: text,
  };
  const record = async (action: NewAction) => {
    const { id } = await actions.create({ ...action, id: randomUUID() });
    const answer = await actions.claim(id, text, 30_000, text);
    if (answer.kind !== 'claimed') throw new Error('it could not be claimed');
    return { id, lease: answer.claim.lease };
  };
  const failure: FinalFailure = {
    phase: 'outcomeUnknown',
    errorInfo: { code: 520, subcode: 0, message: text },
    applied: 'unknown',
  };
  const [unknown, resolved, done] = await Promise.all([record(known), record(foreign), record(foreign)]);
  await Promise.all([
    actions.fail(unknown.lease, failure),
    actions.fail(resolved.lease, failure),
    actions.complete(done.lease, { [text]: text }),
  ]);
  await actions.resolve(caller, resolved.id, { verdict: 'applied', note: text });
  return { text, unknown: unknown.id, resolved: resolved.id, done: done.id };
}

/** Texts by tens, each ten as one text that fits a reason. */
const BY_TENS = Array.from({ length: Math.ceil(XSS_PAYLOADS.length / 10) }, (_, ten) =>
  XSS_PAYLOADS.slice(ten * 10, ten * 10 + 10),
);

describeInBrowser('text that others write stays text', () => {
  it('on the pages of actions, in their list, in the inbox, and in the form', async ({ visitors, site }) => {
    const { page, tenant } = await visitors.person({ operates: true });
    const recorded = [];
    for (const text of XSS_PAYLOADS) recorded.push(await recordWith(site.database, tenant, text));
    await page.goto('/actions');
    await page.getByRole('row').nth(1).waitFor();
    for (const { text, unknown, resolved, done } of recorded) {
      for (const id of [resolved, done]) {
        await goTo(page, `/actions/${id}`);
        await page.getByText(id, { exact: true }).first().waitFor();
        await showsAsText(page, [text], 3);
      }
      await goTo(page, `/actions/new?from=${unknown}`);
      await page.getByRole('heading', { name: 'New action', level: 1 }).waitFor();
      await showsAsText(page, [text], 3);
    }
    // So tall that all of it is on the screen.
    await page.setViewportSize({ width: 1280, height: 16_000 });
    await goTo(page, '/actions');
    await showsAsText(page, XSS_PAYLOADS, 3);
    await goTo(page, '/inbox');
    await page.getByRole('button', { name: 'Show more' }).click();
    await showsAsText(page, XSS_PAYLOADS);
  });

  it('where people, views, pauses and addresses hold it', async ({ visitors, site }) => {
    const { page, client, tenant } = await visitors.person({ role: 'Administrator', operates: true });
    const base = { passwordHash: '', mustChangePassword: false, operates: false } as const;
    for (const [index, displayName] of XSS_PAYLOADS.entries())
      await site.database.operators.add({
        ...base,
        name: `guest-${tenant.slice(0, 8)}-${index}`,
        displayName,
        grant: { tenantId: tenant, role: 'Viewer' },
      });
    await page.goto('/people');
    await showsAsText(page, XSS_PAYLOADS);

    const operator = await site.stack.client({ tenant, roles: ['Riposte.Operator'] });
    const waiting = await client.act('LongRunning', { durationMs: 600_000 });
    for (const texts of BY_TENS) {
      await operator.request('POST', '/api/v1/providers/branch/pause', {
        body: JSON.stringify({ reason: texts.join(' ') }),
        headers: { 'content-type': 'application/json' },
      });
      for (const path of ['/providers', '/providers/branch', '/actions/new?provider=branch']) {
        await page.goto(path);
        await showsAsText(page, texts);
      }
      await operator.request('POST', '/api/v1/providers/branch/resume');
    }
    await client.cancel(waiting);

    const kept = XSS_PAYLOADS.slice(0, 50).map((text) => ({ name: text.slice(0, 100), query: `?q=${text}` }));
    const status = await page.evaluate<number>(`(async () => {
      const { csrfToken } = await (await fetch('/api/v1/session')).json();
      const headers = { 'x-csrf-token': csrfToken, 'content-type': 'application/json' };
      const body = ${JSON.stringify(JSON.stringify({ value: kept }))};
      return (await fetch('/api/v1/views', { method: 'PUT', headers, body })).status;
    })()`);
    expect(status).toBe(200);
    await page.goto('/actions');
    await page.getByRole('button', { name: 'Views' }).click();
    await showsAsText(
      page,
      kept.map(({ name }) => name),
    );
    await page.keyboard.press('Escape');

    for (const text of XSS_PAYLOADS) {
      await goTo(page, `/actions?${new URLSearchParams({ filter: text, who: text, q: text }).toString()}`);
      await showsAsText(page, [text]);
      await goTo(page, `/providers/${encodeURIComponent(text)}`);
      await showsAsText(page, [text]);
    }
  });

  it('where it is the name of who has signed in, or in the address of the sign-in', async ({
    visitors,
    site,
  }) => {
    for (const text of XSS_PAYLOADS.slice(0, 5)) {
      site.issuer.person = { sub: text, preferred_username: text, name: text, groups: ['responders'] };
      const page = await (await visitors.context()).newPage();
      await page.goto(`/sign-in?${new URLSearchParams({ problem: text, returnTo: text }).toString()}`);
      await page.getByRole('link', { name: 'Sign in with SOC accounts' }).click();
      await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
      await page.goto('/account');
      await page.getByRole('heading', { name: 'Account and appearance', level: 1 }).waitFor();
      await showsAsText(page, [text], 2);
      await page.context().close();
    }
  });
});

describeInBrowser('a page of the console', () => {
  it('turns no text into markup or script, even where its own code asked for it', async ({ visitors }) => {
    const { page } = await visitors.person();
    await page.goto('/');
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    const attempts = [
      `document.body.insertAdjacentHTML('beforeend', '<b>x</b>')`,
      `document.body.innerHTML = '<img src=x onerror=alert(1)>'`,
      `document.createElement('iframe').srcdoc = '<script>alert(1)</script>'`,
      `document.createElement('script').src = 'https://xss.invalid/x.js'`,
      `document.createElement('script').text = 'globalThis.__ran = 1'`,
      `setTimeout('globalThis.__ran = 1')`,
      `new Function('globalThis.__ran = 1')()`,
      `document.createElement('b').setAttribute('onclick', 'alert(1)')`,
      `document.write('<b>x</b>')`,
      `new DOMParser().parseFromString('<b>x</b>', 'text/html')`,
    ];
    for (const attempt of attempts) {
      // Later, for what a debugger evaluates may evaluate more.
      const outcome = await page.evaluate<string>(`new Promise((resolve) => setTimeout(() => {
        try { ${attempt}; resolve('done'); } catch (error) { resolve(error.name); }
      }))`);
      expect([attempt, outcome]).toEqual([attempt, expect.stringMatching(/^(TypeError|EvalError)$/)]);
    }
    expect(await page.evaluate('globalThis.__ran ?? null')).toBeNull();
    // Each was reported, too; that is what was wanted.
    expect(visitors.problems.splice(0).length).toBeGreaterThanOrEqual(attempts.length);
  });
});
