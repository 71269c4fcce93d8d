import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { describe, test } from 'vitest';
import type { Grant, TenantRole } from '#domain';
import { connectDatabase, type Database } from '#persistence';
import { findChromium, launchChromium } from '../support/chromium.js';
import type { Client } from '../support/client.js';
import { FakeIssuer, makeKey } from '../simulators/oidc-issuer/issuer.js';
import { ConsoleClient } from '../support/console-client.js';
import { PASSWORD, makeOperator } from '../support/operators.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';

/** Where screenshots of failed tests are kept, and of the pages in each look. */
const RESULTS = path.join(PROJECT_DIR, 'test-results');
/** Milliseconds that a page may take to show something: the machine may have much else to do. */
const PATIENCE_MS = 30_000;

/** The tenant of everybody whom the issuer vouches for. */
const ISSUER_TENANT = '0a0b0c0d-1111-4111-8111-0123456789ab';

/**
 * Providers for every test: `mock`; `branch`, which one test pauses; `silent`, whose outcomes nobody knows. People sign
 * in with accounts that are kept here, or by an issuer.
 */
const configOf = (issuer: string): string => `
providers:
  - { id: mock, plugin: mock }
  - { id: branch, plugin: mock, subProvider: branch }
  - { id: silent, plugin: mock, subProvider: silent, settings: { mode: none, faultRates: { unknown: 1 } } }
console:
  localAccounts: true
  issuers:
    - id: soc
      name: SOC accounts
      issuer: ${issuer}
      clientId: riposte-console
      clientSecret: env:CONSOLE_SECRET
      tenant: ${ISSUER_TENANT}
      claims: { roles: groups }
      roles: { responders: Operator, leads: Administrator }
      operators: [leads]
`;

/** The product as it is deployed, and a Chromium; one of each for all files that a process runs. */
export class Site {
  private constructor(
    readonly stack: Stack,
    readonly database: Database,
    readonly chromium: Browser,
    readonly issuer: FakeIssuer,
  ) {}

  /** The same site by another name: another site to a browser. */
  get otherUrl(): string {
    return this.stack.baseUrl.replace('127.0.0.1', 'localhost');
  }

  static async open(): Promise<Site> {
    const issuer = await FakeIssuer.start([makeKey('RS256')]);
    const [stack, chromium] = await Promise.all([
      Stack.start({
        config: configOf(issuer.announce('/soc')),
        env: { CONSOLE_SECRET: issuer.clientSecret },
      }),
      launchChromium(),
    ]);
    const database = await connectDatabase(stack.mongodbUri, { appName: 'riposte-test' });
    return new Site(stack, database, chromium, issuer);
  }

  async close(): Promise<void> {
    await this.chromium.close();
    await this.database.close();
    // Not asked to end: this is after all tests, when MongoDB is gone, which they would wait for.
    await this.stack.stop('SIGKILL');
    await this.issuer.down();
  }
}

interface PersonOptions {
  /** Default: a tenant of their own. */
  readonly tenant?: string;
  /** Default `Operator`. */
  readonly role?: TenantRole;
  /** In other tenants, too. */
  readonly others?: readonly Grant[];
  readonly operates?: boolean;
  readonly mustChangePassword?: boolean;
  /** Default: signed in. */
  readonly signedIn?: boolean;
  readonly browser?: BrowserContextOptions;
}

/** Somebody with an account, at a browser of their own. */
interface Person {
  readonly name: string;
  readonly password: string;
  readonly tenant: string;
  readonly context: BrowserContext;
  readonly page: Page;
  /** A program of the same tenant. */
  readonly client: Client;
}

/** People at browsers, for one test. Whatever a page must never do is noted of all of them. */
class Visitors {
  readonly #site: Site;
  readonly #contexts: BrowserContext[] = [];
  /** What a page tried and must not, what it threw, and what the content security policy stopped. */
  readonly problems: string[] = [];

  constructor(site: Site) {
    this.#site = site;
  }

  async person(options: PersonOptions = {}): Promise<Person> {
    const { stack, database } = this.#site;
    const { tenant = randomUUID(), role = 'Operator', others = [], signedIn = true } = options;
    const name = `person-${randomUUID().slice(0, 8)}`;
    await makeOperator(database, name, {
      grants: [{ tenantId: tenant, role }, ...others],
      operates: options.operates ?? false,
      mustChangePassword: options.mustChangePassword ?? false,
    });
    const context = await this.context(options.browser);
    if (signedIn) await this.signIn(context, name);
    return {
      name,
      password: PASSWORD,
      tenant,
      context,
      page: await context.newPage(),
      client: await stack.client({ tenant }),
    };
  }

  /** Signs in at once, without the form. */
  async signIn(context: BrowserContext, name: string): Promise<void> {
    const client = new ConsoleClient(this.#site.stack.baseUrl);
    const { status } = await client.signIn(name, PASSWORD);
    if (status !== 200) throw new Error(`${name} cannot sign in: ${status}`);
    await context.addCookies(
      [...client.cookies].map(([cookie, value]) => ({
        name: cookie,
        value,
        url: this.#site.stack.baseUrl,
        httpOnly: true,
        sameSite: 'Strict' as const,
      })),
    );
  }

  /** A browser that nobody has used yet. */
  async context(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const { stack, chromium } = this.#site;
    const context = await chromium.newContext({
      baseURL: stack.baseUrl,
      viewport: { width: 1280, height: 860 },
      locale: 'en-GB',
      timezoneId: 'UTC',
      reducedMotion: 'reduce',
      ...options,
    });
    context.setDefaultTimeout(PATIENCE_MS);
    context.setDefaultNavigationTimeout(PATIENCE_MS);
    this.#contexts.push(context);
    await this.#watch(context);
    return context;
  }

  /** Keeps what each page shows. */
  async show(name: string): Promise<void> {
    const pages = this.#contexts.flatMap((context) => context.pages());
    await mkdir(RESULTS, { recursive: true });
    for (const [index, page] of pages.entries())
      await page.screenshot({ path: path.join(RESULTS, `${name}${index === 0 ? '' : `-${index + 1}`}.png`) });
  }

  async leave(): Promise<void> {
    await Promise.all(this.#contexts.map((context) => context.close()));
  }

  async #watch(context: BrowserContext): Promise<void> {
    const { stack, issuer, otherUrl } = this.#site;
    const ours = [stack.baseUrl, issuer.baseUrl, otherUrl];
    const note = (what: string): void => void this.problems.push(what);
    context.on('weberror', (error) => note(`thrown: ${error.error().message}`));
    context.on('dialog', (dialog) => {
      note(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    context.on('request', (request) => {
      const url = new URL(request.url());
      if (!ours.includes(url.origin) && url.protocol.startsWith('http')) note(`request: ${request.url()}`);
    });
    context.on('console', (message) => {
      // Of an answer that refuses something; that is what some tests are about.
      if (message.type() !== 'error' || message.text().startsWith('Failed to load resource')) return;
      note(`console: ${message.text()}`);
    });
    await context.addInitScript(
      `addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sample }) =>
        console.error('violated:', violatedDirective, blockedURI, sample));`,
    );
  }
}

/** `describe`, for what needs a browser; left out where there is none. */
export const describeInBrowser = describe.skipIf(findChromium() === null);

/** A test in a browser. It fails, too, for what a page must never do; see {@link Visitors}. */
export const it = test.extend<{ readonly visitors: Visitors; readonly site: Site }>({
  site: [
    // Vitest reads from the parameter what it needs: nothing.
    // oxlint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const site = await Site.open();
      await use(site);
      await site.close();
    },
    { scope: 'worker' },
  ],
  visitors: async ({ site, task }, use) => {
    const visitors = new Visitors(site);
    try {
      await use(visitors);
      if (task.result?.state === 'fail' || visitors.problems.length > 0)
        await visitors.show(`failed-${task.name.replaceAll(/\W+/g, '-').slice(0, 80)}`);
      if (visitors.problems.length > 0) throw new Error(visitors.problems.join('\n'));
    } finally {
      await visitors.leave();
    }
  },
});
