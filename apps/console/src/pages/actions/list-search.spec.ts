import { describe, expect, it } from 'vitest';
import { countChoices, exportPath, filterOf, listPath, parseListSearch } from './list-search.ts';

const NOW = Date.parse('2026-11-29T03:00:00Z');
const ORG_APP = '2A2A2A2A-0000-4000-8000-000000000001';

describe('the address of the list of actions', () => {
  it('is read into the choices that it names', () => {
    expect(
      parseListSearch({
        status: ['Failed', 'Running'],
        phase: 'failed',
        q: ' host-7 ',
        within: '24h',
        sort: 'oldest',
      }),
    ).toEqual({ status: ['Running', 'Failed'], phase: 'failed', q: 'host-7', within: '24h', sort: 'oldest' });
  });

  it('takes one status as well as several, and a number that was meant as text', () => {
    expect(parseListSearch({ status: 'Failed', q: 4711 })).toEqual({ status: ['Failed'], q: '4711' });
  });

  it('takes words in any case', () => {
    expect(parseListSearch({ status: ['failed', 'RUNNING'], phase: 'timedout' })).toEqual({
      status: ['Running', 'Failed'],
      phase: 'timedOut',
    });
  });

  it('leaves out what it cannot mean, for anybody may have typed it', () => {
    expect(
      parseListSearch({
        status: ['Nonsense'],
        phase: 'toString',
        within: 'constructor',
        sort: '__proto__',
        from: 'yesterday',
        to: '2026-99-99T00:00:00Z',
        q: '  ',
        name: { $ne: 1 },
        other: 'x',
      }),
    ).toEqual({});
  });

  it('does not name the usual order', () => {
    expect(parseListSearch({ sort: 'newest' })).toEqual({});
  });

  it('counts what narrows the list, which an order does not', () => {
    expect(countChoices({ status: ['Failed'], q: 'x', sort: 'oldest' })).toBe(2);
  });
});

describe('the $filter of the choices', () => {
  it('is none where nothing was chosen', () => {
    expect(filterOf({}, NOW)).toBeUndefined();
    expect(filterOf({ phase: 'queued', q: 'x', sort: 'name' }, NOW)).toBeUndefined();
  });

  const cases: readonly (readonly [string, Parameters<typeof filterOf>[0], string])[] = [
    ['one status', { status: ['Failed'] }, "status eq 'Failed'"],
    ['several statuses', { status: ['Running', 'Failed'] }, "status in ('Running','Failed')"],
    ['a name, in any case', { name: 'BlockIp' }, "tolower(name) eq 'blockip'"],
    [
      'a provider with its sub-provider',
      { provider: 'Acme/Wall/hq' },
      "tolower(vendorInformation/vendor) eq 'acme' and tolower(vendorInformation/provider) eq 'wall' and tolower(vendorInformation/subProvider) eq 'hq'",
    ],
    ['a period, counted from now', { within: '1h' }, 'createdDateTime ge 2026-11-29T02:00:00.000Z'],
    [
      'a time from and to',
      { from: '2026-11-01T00:00:00.000Z', to: '2026-11-02T00:00:00.000Z' },
      'createdDateTime ge 2026-11-01T00:00:00.000Z and createdDateTime lt 2026-11-02T00:00:00.000Z',
    ],
    ['a person, by a part of the name', { who: 'Mallory' }, "contains(tolower(user),'mallory')"],
    ['an application, by its id', { who: ORG_APP }, `appId eq '${ORG_APP.toLowerCase()}'`],
    [
      'one of a person’s own, kept together',
      { status: ['Failed'], filter: 'errorInfo/code eq 500 or errorInfo/code eq 503' },
      "status eq 'Failed' and (errorInfo/code eq 500 or errorInfo/code eq 503)",
    ],
  ];
  it.each(cases)('has %s', (_name, search, filter) => {
    expect(filterOf(search, NOW)).toBe(filter);
  });

  it('keeps a quote within the text it belongs to', () => {
    expect(filterOf({ who: "o'brien') or true or contains(name,'" }, NOW)).toBe(
      "contains(tolower(user),'o''brien'') or true or contains(name,''')",
    );
  });
});

describe('the path of the list', () => {
  it('has the options of the API by their names, each encoded', () => {
    const path = listPath({ status: ['Failed'], phase: 'timedOut', q: 'a&b', sort: 'changed' }, NOW, 60);
    const { pathname, searchParams } = new URL(path, 'http://host');
    expect(pathname).toBe('/api/v1/actions');
    expect(Object.fromEntries(searchParams)).toEqual({
      filter: "status eq 'Failed'",
      phase: 'timedOut',
      search: 'a&b',
      orderby: 'lastActionDateTime desc',
      top: '60',
    });
  });

  it('says no order where it is the usual one, which the API reads along an index', () => {
    expect(listPath({}, NOW, 60)).toBe('/api/v1/actions?top=60');
  });

  it('is the same for a file', () => {
    expect(exportPath({ status: ['Failed'] }, NOW, 'csv')).toBe(
      '/api/v1/actions/export?format=csv&filter=status+eq+%27Failed%27',
    );
  });
});
