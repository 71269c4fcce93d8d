import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { hashOfPassword } from '#auth';
import { connectDatabase } from '#persistence';
import { launchChromium } from '../../support/chromium.js';
import { ConsoleClient } from '../../support/console-client.js';
import { inArena, type Arena } from '../arena.js';
import { ACTIONS, TENANT, startProduct, withDatabase, type Contestant } from '../contestant.js';
import type { Measurement } from '../findings.js';
import { fillHistory } from '../history.js';
import { interleaved } from '../interleaved.js';
import { trickle } from '../load.js';
import type { Say, Section } from '../section.js';
import { quantile } from '../statistics.js';

const SMALL = 1000;
const MOST = 1_000_000;
/** Visits of a page in a round. */
const VISITS = 7;
const LOAD_PER_SECOND = 200;
/** Actions in the list whose end is watched: a page of it. */
const WATCHED = 50;
/** Milliseconds after the load begins until the first of them ends. */
const FIRST_END_MS = 2000;
/** So tall that every row of a page is on the screen. */
const TALL = { width: 1440, height: 4000 };
const PASSWORD = 'a lantern in the orchard';
const PAGES = { 'list of actions': '/actions', overview: '/' } as const;

/** Notes when the page first has what it is for: milliseconds since the navigation began, after it was painted. */
const NOTE_READY = `
  const wanted = { '/actions': '[role=row][data-index="0"] a', '/': 'main h2' };
  const look = () => {
    const selector = wanted[location.pathname];
    if (selector === undefined || document.querySelector(selector) === null) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => { globalThis.__readyMs = performance.now(); }));
  };
  const observer = new MutationObserver(look);
  observer.observe(document, { childList: true, subtree: true });
`;

/** Notes when the row of each action is first shown as completed, by the clock, after it was painted. */
const NOTE_ENDS = `
  globalThis.__ends = {};
  const seen = new Set();
  new MutationObserver(() => {
    for (const row of document.querySelectorAll('[role=row][data-index]')) {
      const id = row.querySelector('a')?.pathname.split('/').at(-1);
      if (id === undefined || seen.has(id) || !row.textContent.includes('Completed')) continue;
      seen.add(id);
      requestAnimationFrame(() => setTimeout(() => { globalThis.__ends[id] = Date.now(); }));
    }
  }).observe(document.querySelector('[role=table]'), { childList: true, subtree: true, characterData: true });
`;

/** A product with so many actions of one tenant, and somebody who has signed in there. */
interface Subject {
  readonly name: string;
  readonly product: Contestant;
  readonly baseUrl: string;
  readonly context: BrowserContext;
}

/** The console in a real browser: how soon it is there among many actions, and how soon it shows what changed. */
export const operatorConsole: Section = (options, say) =>
  inArena(say, async (arena) => {
    const most = Math.min(options.actions, MOST);
    const [small, large, again] = [`${SMALL} actions`, `${most} actions`, `${SMALL} actions again`];
    const chromium = await launchChromium();
    const measurements: Measurement[] = [];
    try {
      const sizes = [
        { name: small, database: 'small', count: SMALL },
        { name: large, database: 'large', count: most },
        { name: again, database: 'again', count: SMALL },
      ];
      const subjects: Subject[] = [];
      for (const [index, size] of sizes.entries())
        subjects.push(await subjectOf(arena, chromium, { ...size, redisDb: index }, say));
      for (const { baseUrl, context } of subjects)
        for (const path of Object.values(PAGES)) await visit(context, `${baseUrl}${path}`);
      for (const [load, path] of Object.entries(PAGES))
        await interleaved(subjects, options.rounds, async ({ name, baseUrl, context }, round) => {
          const times: number[] = [];
          let kib = 0;
          for (let count = 0; count < VISITS; count += 1) {
            const { readyMs, scriptBytes } = await visit(context, `${baseUrl}${path}`);
            times.push(readyMs);
            kib = scriptBytes / 1024;
          }
          const figures = { p50Ms: quantile(times, 0.5), p95Ms: quantile(times, 0.95) };
          measurements.push({ load, subject: name, round, figures: { ...figures, scriptKiB: kib } });
          say(`round ${round + 1}, ${load}, ${name}: there after ${figures.p50Ms.toFixed(0)} ms`);
        });
      const watched = subjects.filter(({ name }) => name !== again);
      const load = `a change, under ${LOAD_PER_SECOND} actions a second`;
      await interleaved(watched, options.rounds, async (subject, round) => {
        const delays = await delaysOf(arena, subject, options.seconds);
        const figures = { p50Ms: quantile(delays, 0.5), p95Ms: quantile(delays, 0.95) };
        measurements.push({ load, subject: subject.name, round, figures });
        say(`round ${round + 1}, ${load}, ${subject.name}: shown after ${figures.p95Ms.toFixed(0)} ms (p95)`);
      });
      return {
        title: 'Console',
        note: 'Chromium, a new page each time, with an empty cache; what is told is the time from the navigation until the page has its content and has painted it, and from the end of an action, as its record has it, until its row in the list says so.',
        measurements,
        comparisons: [
          { of: large, to: small },
          { of: again, to: small },
        ],
        charts: ['p50Ms'],
        goals: [
          {
            what: 'the list is there among many in twice the time at most',
            anyOf: [{ load: 'list of actions', figure: 'p50Ms', of: large, to: small, most: 2 }],
          },
          ...[small, large].map((of) => ({
            what: `p95 of a change, ${of}: 500 ms`,
            anyOf: [{ load, figure: 'p95Ms' as const, of, most: 500 }],
          })),
          {
            what: 'JavaScript of the first load: less than 250 KiB',
            anyOf: [{ load: 'overview', figure: 'scriptKiB', of: small, most: 250 }],
          },
        ],
      };
    } finally {
      await chromium.close();
    }
  });

async function subjectOf(
  { servers, keep }: Arena,
  chromium: Browser,
  size: {
    readonly name: string;
    readonly database: string;
    readonly count: number;
    readonly redisDb: number;
  },
  say: Say,
): Promise<Subject> {
  const { name, database, count, redisDb } = size;
  const uri = withDatabase(servers.mongodbUri, database);
  await fillHistory(uri, count, (done) => say(`${name}: ${done} written`), { tenants: [TENANT] });
  const product = await keep(startProduct(servers, { name, database, redisDb }));
  const baseUrl = new URL(product.urls[0] ?? '').origin;
  const store = await connectDatabase(uri, { appName: 'riposte-bench' });
  await store.operators.add({
    name: 'bench',
    displayName: 'Bench',
    passwordHash: await hashOfPassword(PASSWORD),
    mustChangePassword: false,
    operates: true,
    grant: { tenantId: TENANT, role: 'Operator' },
  });
  await store.close();
  const client = new ConsoleClient(baseUrl);
  const { status } = await client.signIn('bench', PASSWORD);
  if (status !== 200) throw new Error(`nobody can sign in: ${status}`);
  const context = await chromium.newContext({ viewport: { width: 1440, height: 900 } });
  await context.addCookies(
    [...client.cookies].map(([cookie, value]) => ({ name: cookie, value, url: baseUrl, httpOnly: true })),
  );
  say(`${name} are there`);
  return { name, product, baseUrl, context };
}

/** Loads a page with an empty cache. */
async function visit(
  context: BrowserContext,
  url: string,
): Promise<{ readonly readyMs: number; readonly scriptBytes: number }> {
  const page = await context.newPage();
  try {
    const session = await context.newCDPSession(page);
    await session.send('Network.enable');
    await session.send('Network.setCacheDisabled', { cacheDisabled: true });
    await page.addInitScript(NOTE_READY);
    await page.goto(url);
    const readyMs = await noted<number>(page, 'globalThis.__readyMs');
    const scriptBytes = await page.evaluate<number>(
      `performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('.js'))
        .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)`,
    );
    return { readyMs, scriptBytes };
  } finally {
    await page.close();
  }
}

/** Milliseconds from the end of an action until the list shows it, while others are asked for. */
async function delaysOf(
  { usage }: Arena,
  { product, baseUrl, context }: Subject,
  seconds: number,
): Promise<readonly number[]> {
  const url = product.urls[0] ?? '';
  const step = Math.max(0, seconds * 1000 - FIRST_END_MS - 1000) / WATCHED;
  const page = await context.newPage();
  try {
    await page.setViewportSize(TALL);
    const ids = await Promise.all(
      Array.from({ length: WATCHED }, (_, index) =>
        longAction(url, product.headers, Math.round(FIRST_END_MS + 2000 + index * step)),
      ),
    );
    await page.goto(`${baseUrl}/actions`);
    await page.getByRole('row').nth(WATCHED).waitFor();
    await page.getByText('Updates: Live').first().waitFor();
    await page.evaluate(NOTE_ENDS);
    await trickle(LOAD_PER_SECOND).put(product, seconds);
    // The last of them end with the load.
    await sleep(2000);
    const seen = await page.evaluate<Readonly<Record<string, number>>>('globalThis.__ends');
    const records = await usage.mongo
      .db(product.database)
      .collection<{ readonly _id: mongoose.mongo.UUID; readonly completedAt: Date | null }>(ACTIONS)
      .find({ _id: { $in: ids.map((id) => new mongoose.mongo.UUID(id)) } })
      .toArray();
    const delays = records.flatMap(({ _id, completedAt }) => {
      const shownAt = seen[_id.toString()];
      return shownAt === undefined || completedAt === null ? [] : [shownAt - completedAt.getTime()];
    });
    if (delays.length < WATCHED * 0.9)
      throw new Error(`of ${WATCHED} ends ${delays.length} were shown within ${seconds + 2} s`);
    return delays;
  } finally {
    await page.close();
  }
}

async function longAction(
  url: string,
  headers: Readonly<Record<string, string>>,
  durationMs: number,
): Promise<string> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID(), ...headers },
    body: JSON.stringify({
      name: 'LongRunning',
      parameters: [{ name: 'durationMs', value: String(durationMs) }],
      vendorInformation: { vendor: 'Mock', provider: 'Mock' },
    }),
  });
  if (answer.status !== 201) throw new Error(`an action was answered with ${answer.status}`);
  return ((await answer.json()) as { readonly id: string }).id;
}

/** What the page has noted, once it has. @throws Error after a minute */
async function noted<T>(page: Page, expression: string): Promise<T> {
  for (let tries = 0; tries < 6000; tries += 1) {
    const value = await page.evaluate<T | null>(`${expression} ?? null`);
    if (value !== null) return value;
    await sleep(10);
  }
  throw new Error(`${page.url()} is not there after a minute`);
}
