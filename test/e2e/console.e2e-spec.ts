import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Stack } from '../support/stack.js';

/** Where `npm run build` puts the console. */
const BUILT = path.resolve(import.meta.dirname, '../../dist/apps/console');
const PAGES = [
  '/',
  '/sign-in',
  '/actions',
  '/actions/new',
  '/actions/5f0c2ae5-94ad-4fd6-a3d4-3d8b0f2b8f10',
  '/inbox',
  '/providers',
  '/providers/mock',
  '/people',
  '/account',
];

describe('the console', () => {
  let stack: Stack;
  const get = (url: string, headers: Record<string, string> = {}) =>
    fetch(`${stack.baseUrl}${url}`, { headers, redirect: 'manual' });
  /** The addresses of scripts and styles in the document. */
  const assets = async (): Promise<string[]> =>
    [...(await (await get('/')).text()).matchAll(/"(\/assets\/[^"]+\.(?:js|css))"/g)].map(
      ([, url]) => url ?? '',
    );

  beforeAll(async () => {
    stack = await Stack.start({ workers: 0 });
  });
  afterAll(() => stack?.stop());

  it.each(PAGES)('%s is its document, which nobody keeps', async (page) => {
    const answer = await get(page, { accept: 'text/html' });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await answer.text()).toBe(await readFile(path.join(BUILT, 'index.html'), 'utf8'));
  });

  it('loads nothing but what this server serves, and runs and styles nothing inline', async () => {
    const answer = await get('/');
    expect(answer.headers.get('content-security-policy')?.split('; ')).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      "font-src 'self'",
      "connect-src 'self'",
      "manifest-src 'self'",
      "base-uri 'none'",
      "form-action 'self'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ]);
    const html = await answer.text();
    expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc="\/assets\/)/);
    expect([...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url)).toEqual(
      expect.not.arrayContaining([expect.not.stringMatching(/^\/(?!\/)/)]),
    );
  });

  it('says what browsers may not do with it', async () => {
    const { headers } = await get('/');
    expect(Object.fromEntries(headers)).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'strict-transport-security': expect.stringContaining('max-age=') as string,
      'permissions-policy': expect.stringContaining('camera=()') as string,
    });
  });

  it('sends what has a name of its own content compressed, and for ever', async () => {
    const found = await assets();
    expect(found.length).toBeGreaterThan(1);
    for (const url of found) {
      const plain = await (await get(url, { 'accept-encoding': 'identity' })).text();
      for (const encoding of ['br', 'gzip']) {
        const answer = await get(url, { 'accept-encoding': encoding });
        expect(answer.headers.get('content-encoding')).toBe(encoding);
        expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
        expect(answer.headers.get('vary')?.toLowerCase()).toContain('accept-encoding');
        expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
        expect(await answer.text()).toBe(plain);
      }
    }
  });

  it.each([
    '/assets/gone.js',
    '/assets/',
    '/assets/..%2findex.html',
    '/assets/%00',
    `/assets/${'x'.repeat(300)}.js`,
    '/actions/1/2',
    '/nowhere',
    '/api/v1/nowhere',
  ])('has nothing at %s, and says so as the API does, to browsers as well', async (url) => {
    const answer = await get(url, { accept: 'text/html' });
    expect([403, 404]).toContain(answer.status);
    expect(answer.headers.get('content-type')).toContain('application/json');
    expect(await answer.json()).toMatchObject({ error: { code: expect.any(String) as string } });
  });

  it('takes nothing', async () => {
    const answer = await fetch(`${stack.baseUrl}/actions`, { method: 'POST', body: '{}' });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe('GET, HEAD, OPTIONS');
  });
});
