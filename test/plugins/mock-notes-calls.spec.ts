import { expect, it } from 'vitest';
import { provider } from '../../plugins/mock/index.js';
import { callContext } from '../support/call-context.js';

const execute = (notesCalls: boolean) =>
  provider.calls.execute(
    callContext({
      settings: { mode: 'natural', faultRates: { transient: 0, unknown: 0 }, notesCalls },
      secrets: {},
    }),
    { action: 'BlockIp', parameters: { IP: '203.0.113.7' } },
  );

it('the mock says when it was called where its settings ask for that, and only there', async () => {
  const before = Date.now();
  const outcome = await execute(true);
  if (outcome.kind !== 'completed') throw new Error(`it ${outcome.kind}`);
  const { calledAt } = outcome.result as { readonly calledAt: number };
  expect(calledAt).toBeGreaterThanOrEqual(before);
  expect(calledAt).toBeLessThanOrEqual(Date.now());
  expect(await execute(false)).toEqual({ kind: 'completed', effect: { changed: true } });
});
