import { describe, expect, it } from 'vitest';
import { idempotencyKeys } from './idempotency-key.ts';

describe('the key of a create', () => {
  it('is the same for the same request, so that it can be sent again', () => {
    const keyOf = idempotencyKeys();
    expect(keyOf({ name: 'BlockIp' })).toBe(keyOf({ name: 'BlockIp' }));
  });

  it('is another for another request, and in another form', () => {
    const keyOf = idempotencyKeys();
    const key = keyOf({ name: 'BlockIp' });
    expect(keyOf({ name: 'BlockUrl' })).not.toBe(key);
    expect(idempotencyKeys()({ name: 'BlockIp' })).not.toBe(key);
  });

  it('is one that the API takes', () => {
    expect(idempotencyKeys()({})).toMatch(/^[0-9a-f]{32}$/);
  });
});
