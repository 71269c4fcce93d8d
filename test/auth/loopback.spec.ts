import { describe, expect, it } from 'vitest';
import { isLoopbackAddress, isLoopbackUrl } from '#auth';

/** What is this machine, for metrics, for signing in without TLS, and for issuers alike. */

describe('this machine', () => {
  it.each([
    '127.0.0.1',
    '127.255.255.254',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::1%lo',
  ])('is at the other end of a connection with %s', (address) =>
    expect(isLoopbackAddress(address)).toBe(true),
  );

  it.each([
    '10.0.0.1',
    '128.0.0.1',
    '0.0.0.0',
    '::',
    '::2',
    '::ffff:10.0.0.1',
    'fe80::1',
    '',
    'localhost',
    '127.1',
  ])('is not with %s', (address) => expect(isLoopbackAddress(address)).toBe(false));

  it.each([
    'localhost',
    'LOCALHOST:3000',
    '127.0.0.1:3000',
    '127.1',
    '2130706433',
    '[::1]:3000',
    '[0::1]',
    '[::ffff:127.0.0.1]:3000',
  ])('is where http://%s leads', (host) => expect(isLoopbackUrl(new URL(`http://${host}`))).toBe(true));

  it.each(['localhost.example', '127.0.0.1.example', 'riposte', '0.0.0.0', '[::]', '[::ffff:10.0.0.1]'])(
    'is not where http://%s leads',
    (host) => expect(isLoopbackUrl(new URL(`http://${host}`))).toBe(false),
  );
});
