import { existsSync } from 'node:fs';
import path from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium, type Browser, type Page } from 'playwright-core';
import { describe } from 'vitest';

/** Where Chromium is: `RIPOSTE_CHROMIUM`, or where distributions put it. Undefined: there is none. */
const CHROMIUM =
  process.env['RIPOSTE_CHROMIUM'] ??
  ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) =>
    existsSync(file),
  );

/** A folder for pictures of the pages, `RIPOSTE_SCREENSHOTS`; none are taken where it is not set. */
const SCREENSHOTS = process.env['RIPOSTE_SCREENSHOTS'];

if (CHROMIUM === undefined) {
  console.warn(
    '\n!!! No Chromium: THE TESTS IN A BROWSER ARE SKIPPED. Install it, or say by RIPOSTE_CHROMIUM where it is. !!!\n',
  );
}

/** `describe` for tests that need a browser; they are skipped, with a loud line, where there is none. */
export const describeInBrowser = CHROMIUM === undefined ? describe.skip : describe;

export interface PageOptions {
  /** Default light. */
  readonly theme?: 'light' | 'dark';
  /** Pixels. Default 1440. */
  readonly width?: number;
}

/** A page, and what went wrong on it. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of scripts, and what the content security policy refused. Empty where all is well. */
  readonly problems: readonly string[];
}

/** A browser without a window. */
export class TestBrowser {
  private constructor(
    private readonly browser: Browser,
    private readonly baseUrl: string,
  ) {}

  static async start(baseUrl: string): Promise<TestBrowser> {
    return new TestBrowser(
      await chromium.launch({
        executablePath: CHROMIUM ?? '',
        // The sandbox refuses to run for root, as in a container.
        args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
      }),
      baseUrl,
    );
  }

  /** A page of its own: no cookie, no storage of another. */
  async open({ theme = 'light', width = 1440 }: PageOptions = {}): Promise<WatchedPage> {
    const context = await this.browser.newContext({
      baseURL: this.baseUrl,
      colorScheme: theme,
      viewport: { width, height: 900 },
      reducedMotion: 'reduce',
      ...(width < 500 ? { hasTouch: true, isMobile: true } : {}),
    });
    // Less than a test has, so that a failure names the step.
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    const problems: string[] = [];
    page.on('pageerror', ({ message }) => problems.push(message));
    page.on('console', (message) => {
      // What the server refuses, the page tells in words; that the browser notes it, too, is no fault.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
        problems.push(message.text());
    });
    return { page, problems };
  }

  close(): Promise<void> {
    return this.browser.close();
  }
}

/** What breaks WCAG 2.2 AA on the page as it is now: rule, and what it is at. */
export async function accessibilityFaults(page: Page): Promise<readonly string[]> {
  const { violations } = await new AxeBuilder({ page })
    // react-aria says there what a button did that is gone by now; nobody is shown it.
    .exclude('[data-live-announcer]')
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${help} (${target.join(' ')}) ${failureSummary ?? ''}`),
  );
}

/** Keeps a picture of the page, where pictures are wanted. */
export async function keepPicture(page: Page, name: string): Promise<void> {
  if (SCREENSHOTS !== undefined) await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });
}
