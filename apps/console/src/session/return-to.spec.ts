import { describe, expect, it } from 'vitest';
import { isOutside, returnPath } from './return-to.ts';

const SITE = 'https://riposte.example';

describe('where signing in leads', () => {
  it.each(['/', '/actions?filter=status%20eq%20%27Failed%27#end', '/ops/queues/queue/mock', '/sign-ins'])(
    'to the page that was wanted: %s',
    (path) => {
      expect(returnPath(path, SITE)).toBe(path);
    },
  );

  it.each([
    undefined,
    '',
    'actions',
    '//example.org/',
    '/\\example.org/',
    '///example.org',
    '/\t/example.org',
    '/\n\\example.org',
    'https://example.org/',
    'https://riposte.example/',
    'javascript:alert(1)',
    'data:text/html,x',
    ' //example.org',
    '/sign-in',
    '/sign-in?returnTo=/sign-in',
    '/x/../sign-in',
  ])('to the overview instead of to %s', (wanted) => {
    expect(returnPath(wanted, SITE)).toBe('/');
  });
});

describe('a path of the server', () => {
  it.each([
    ['/ops/queues', true],
    ['/docs', true],
    ['/sign-in/with/entra?returnTo=/', true],
    ['/sign-in', false],
    ['/opsy', false],
    ['/actions/ops', false],
  ])('%s: %s', (path, outside) => {
    expect(isOutside(path)).toBe(outside);
  });
});
