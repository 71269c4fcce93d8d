import { describe, expect, it } from 'vitest';
import { ProviderError } from '#provider-sdk';

describe('a plugin that gives a code of its own', () => {
  it('has it shown, with the HTTP status of the vendor beside it', () => {
    const error = new ProviderError('permanent', 'no such group', { code: 404, httpStatus: 404 });
    expect(error.toErrorInfo()).toEqual({ code: 404, subcode: 404, message: 'no such group' });
  });

  it.each([408, 410, 499, 520])(
    'cannot pass %i, a verdict of the engine: its class decides instead',
    (code) => {
      expect(new ProviderError('permanent', 'no', { code }).toErrorInfo().code).toBe(502);
    },
  );
});
