import { describe, expect, it } from 'vitest';
import { createLogger } from '#telemetry';

/** What a process that logs these fields writes, parsed. */
function logged(fields: object): Record<string, unknown> {
  const lines: string[] = [];
  createLogger('test', 'info', { write: (line) => void lines.push(line) }).info(
    fields,
    'said "token": to "password"',
  );
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^[^\n]+\n$/);
  return JSON.parse(lines[0] ?? '') as Record<string, unknown>;
}

describe('a field whose name says that it is a secret', () => {
  it('reaches no log, at whatever depth, in lists, and whatever it is', () => {
    const line = logged({
      authorization: 'Bearer canary-1',
      a: { token: 'canary-2', b: { c: [{ Password: 'canary "3' }, { apiKey: 4 }] } },
      secrets: { client: 'canary-5' },
      client_secret: null,
      err: Object.assign(new Error('no'), { token: 'canary-6' }),
    });
    expect(JSON.stringify(line)).not.toContain('canary');
    const censored = '[redacted]';
    expect(line).toMatchObject({
      authorization: censored,
      a: { token: censored, b: { c: [{ Password: censored }, { apiKey: censored }] } },
      secrets: censored,
      client_secret: censored,
      err: { message: 'no', token: censored },
    });
  });

  it('is all that is kept from it', () => {
    const fields = { tokens: 3, secretsFile: '/a', note: 'the token: is "x"' };
    expect(logged(fields)).toMatchObject({ ...fields, msg: 'said "token": to "password"' });
  });
});
