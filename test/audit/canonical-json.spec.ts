import { describe, expect, it } from 'vitest';
import { canonicalJson } from '#audit';

describe('canonical JSON', () => {
  // RFC 8785, 3.2.2 to 3.2.4.
  it('is the text of the example of RFC 8785', () => {
    const value = JSON.parse(
      String.raw`{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
      }`,
    ) as null;
    expect(canonicalJson(value)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  it('sorts keys by their UTF-16 units, however many there are', () => {
    const value = JSON.parse(
      String.raw`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
    ) as Readonly<Record<string, string>>;
    expect(Object.values(JSON.parse(canonicalJson(value)) as object).slice(1)).toEqual([
      'Carriage Return',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ]);
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`k${499 - index}`, index]));
    const keys = [...canonicalJson(many).matchAll(/"(k\d+)":/g)].map(([, key = '']) => key);
    expect(keys).toEqual(keys.toSorted());
  });

  // RFC 8785, appendix B.
  it.each([
    ['0', 0],
    ['0', -0],
    ['5e-324', 5e-324],
    ['1.7976931348623157e+308', Number.MAX_VALUE],
    ['9007199254740992', 2 ** 53],
    ['295147905179352830000', 2 ** 68],
    ['9.999999999999997e+22', 9.999999999999997e22],
    ['1e+23', 1e23],
    ['1e-7', 1e-7],
    ['0.000001', 1e-6],
    ['333333333.33333325', 333333333.33333325],
  ])('writes %s', (text, value) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it.each([[Number.NaN], [Number.POSITIVE_INFINITY]])('refuses %s', (value) => {
    expect(() => canonicalJson(value)).toThrow();
  });
});
