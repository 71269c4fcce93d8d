import { describe, expect, it } from 'vitest';
import { KeptSecrets } from '#engine';

const KEY = 'k&y "1" ü';
const kept = new KeptSecrets([
  ['apiKey', KEY],
  ['token', 'abcdef'],
  ['longer', 'abcdefgh'],
  ['short', '12'],
]);

describe('what is stored of a plugin’s answers', () => {
  it.each([
    ['plain', KEY, '[redacted apiKey]'],
    ['in a URL', encodeURIComponent(KEY), '[redacted apiKey, uri]'],
    ['in a form', new URLSearchParams({ '': KEY }).toString().slice(1), '[redacted apiKey, form]'],
    ['in JSON', JSON.stringify(KEY).slice(1, -1), '[redacted apiKey, json]'],
    ['in base64', Buffer.from(KEY).toString('base64'), '[redacted apiKey, base64]'],
    ['as a part of another', 'abcdefgh abcdef', '[redacted longer] [redacted token]'],
  ])('has the name of a secret in its place: %s', (_, told, stored) => {
    const value = { [told]: [`<${told}>`, 1, null, true] };
    expect(kept.hide(value)).toEqual({ [stored]: [`<${stored}>`, 1, null, true] });
    expect(kept.show(kept.hide(value))).toEqual(value);
  });

  it('is whole, however long and deep', () => {
    const value = { list: Array.from({ length: 500 }, () => [[[[[[[['x']]]]]]]]) };
    expect(kept.hide(value)).toEqual(value);
  });

  it('lets no vendor ask for a secret by writing its mark', () => {
    const asked = kept.hide('[redacted apiKey]');
    expect(kept.show(asked)).toBe('[redacted_apiKey]');
    expect(kept.hide(asked)).toBe(asked);
  });

  it('keeps texts that are too short to be told from any other', () => {
    expect(kept.hide({ id: 'op-1234' })).toEqual({ id: 'op-1234' });
  });

  it('stands as it is where there are no secrets', () => {
    expect(new KeptSecrets([]).show(new KeptSecrets([]).hide({ a: 'b' }))).toEqual({ a: 'b' });
  });
});
