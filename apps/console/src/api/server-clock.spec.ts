import { describe, expect, it } from 'vitest';
import { hearServerTime, serverTimeOf } from './server-clock.ts';

const here = Date.UTC(2026, 10, 29, 3);
const http = (ms: number): string => new Date(ms).toUTCString();

describe("the server's clock", () => {
  it.each([
    ['an hour ahead of', 3_600_000],
    ['three minutes behind', -180_000],
  ])('is followed where it is %s the device’s', (_where, ms) => {
    hearServerTime(http(here + ms), here - 50, here + 50);
    expect(Math.abs(serverTimeOf(here) - (here + ms))).toBeLessThanOrEqual(500);
  });

  it('is that of the device where they agree as far as an answer can tell', () => {
    hearServerTime(http(here - 1000), here - 50, here + 50);
    expect(serverTimeOf(here)).toBe(here);
    // It answered at some time within half a minute.
    hearServerTime(http(here - 10_000), here - 15_000, here + 15_000);
    expect(serverTimeOf(here)).toBe(here);
  });

  it('stays as it was heard by an answer that tells none', () => {
    hearServerTime(http(here + 3_600_000), here, here);
    const heard = serverTimeOf(here);
    hearServerTime(null, here, here);
    hearServerTime('noon', here, here);
    expect(serverTimeOf(here)).toBe(heard);
  });
});
