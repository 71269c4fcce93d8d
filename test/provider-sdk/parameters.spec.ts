import { describe, expect, expectTypeOf, it } from 'vitest';
import { ConfigurationError } from '#domain';
import {
  Type,
  defineProvider,
  parseParameters,
  secretParameterNames,
  type ActionManifest,
  type ParsedParameters,
} from '#provider-sdk';

const action = {
  title: 'Everything',
  parameters: Type.Object(
    {
      IP: Type.Optional(Type.String({ format: 'ip', examples: ['203.0.113.7'], 'x-aliases': ['address'] })),
      Network: Type.Optional(Type.String({ format: 'cidr' })),
      Domain: Type.Optional(Type.String({ format: 'domain' })),
      URL: Type.Optional(Type.String({ format: 'url' })),
      FileHash: Type.Optional(Type.String({ format: 'hash' })),
      Count: Type.Optional(Type.Integer({ minimum: 1, maximum: 5 })),
      Share: Type.Optional(Type.Number()),
      Force: Type.Optional(Type.Boolean()),
      Tags: Type.Optional(Type.Array(Type.String())),
      Mode: Type.String({ default: 'Full', enum: ['Full', 'Selective'] }),
      Secret: Type.Optional(Type.String({ writeOnly: true, 'x-aliases': ['pin'] })),
    },
    { additionalProperties: false },
  ),
  idempotency: 'none',
  cancellable: false,
} satisfies ActionManifest;

const parse = (...pairs: [string, string | null][]): ParsedParameters =>
  parseParameters(
    action,
    pairs.map(([name, value]) => ({ name, value })),
  );
const valueOf = (name: string, value: string): unknown => {
  const parsed = parse([name, value]);
  return parsed.ok ? parsed.values[name] : null;
};

describe('the name of a parameter', () => {
  it.each(['IP', 'ip', 'Ip', 'I_P', 'i-p', 'Address', 'ADDRESS'])('may be spelled %s', (name) => {
    expect(parse([name, '1.2.3.4'])).toEqual({ ok: true, values: { IP: '1.2.3.4', Mode: 'Full' } });
  });

  it('given twice, in whatever spelling, is refused', () => {
    expect(parse(['IP', '1.2.3.4'], ['address', '1.2.3.4'])).toEqual({
      ok: false,
      problems: ['parameter "address" is given twice (as IP)'],
    });
  });

  it('that is not known is refused with those that are', () => {
    expect(parse(['constructor', 'x'])).toMatchObject({
      ok: false,
      problems: [expect.stringMatching(/"constructor" is not known; known: IP, Network/)],
    });
  });
});

describe('a value', () => {
  it.each<[string, string, unknown]>([
    ['Count', '3', 3],
    ['Count', ' 3 ', 3],
    ['Count', '3.5', null],
    ['Count', '0x3', null],
    ['Count', '9', null],
    ['Share', '0.5', 0.5],
    ['Share', '', null],
    ['Share', 'NaN', null],
    ['Force', 'TRUE', true],
    ['Force', 'yes', null],
    ['Tags', '["a","b"]', ['a', 'b']],
    ['Tags', 'a,b', null],
    ['Tags', '[1]', null],
    ['Mode', 'Selective', 'Selective'],
    ['Mode', 'selective', null],
  ])('of %s written %j is read as %j', (name, text, value) => {
    expect(valueOf(name, text)).toEqual(value);
  });

  it('that is not right is refused with the rule and an example', () => {
    expect(parse(['IP', 'x'])).toEqual({
      ok: false,
      problems: ['parameter IP is not a valid ip (for example 203.0.113.7)'],
    });
    expect(parse(['Count', 'x'])).toMatchObject({
      problems: ['parameter "Count" must be a whole number (for example 1)'],
    });
    expect(parse(['Mode', 'x'])).toMatchObject({
      problems: ['parameter Mode must be one of Full, Selective (for example Full)'],
    });
    expect(parse(['IP', null])).toMatchObject({
      problems: ['parameter "IP" has no value (for example 203.0.113.7)'],
    });
  });
});

describe('an indicator', () => {
  it.each<[string, string, string | null]>([
    ['IP', '1.2.3.4', '1.2.3.4'],
    ['IP', ' 1.2.3.4 ', '1.2.3.4'],
    ['IP', '2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['IP', '010.1.1.1', null],
    ['IP', '1.2.3', null],
    ['IP', '0x7f.0.0.1', null],
    ['IP', '2130706433', null],
    ['IP', '1.2.3.4/32', null],
    ['IP', 'fe80::1%eth0', null],
    ['IP', 'localhost', null],
    ['IP', '256.1.1.1', null],
    ['Network', '10.1.2.3/8', '10.0.0.0/8'],
    ['Network', '2001:db8::1/32', '2001:db8::/32'],
    ['Network', '10.0.0.0/33', null],
    ['Network', '10.0.0.0', null],
    ['Network', '10.0.0.0/8/8', null],
    ['Domain', 'Evil.Example.', 'evil.example'],
    ['Domain', 'bücher.example', 'xn--bcher-kva.example'],
    ['Domain', 'localhost', null],
    ['Domain', '1.2.3.4', null],
    ['Domain', 'a..b', null],
    ['Domain', '-a.example', null],
    ['URL', 'HTTPS://Evil.Example/a b', null],
    ['URL', 'HTTPS://Evil.Example/a', 'https://evil.example/a'],
    ['URL', 'javascript:alert(1)', null],
    ['URL', 'https://user:pw@evil.example/', null],
    ['URL', '//evil.example', null],
    ['FileHash', 'D41D8CD98F00B204E9800998ECF8427E', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['FileHash', 'd41d8cd98f00b204e9800998ecf8427', null],
    ['FileHash', 'z41d8cd98f00b204e9800998ecf8427e', null],
  ])('%s %j becomes %j', (name, text, canonical) => {
    expect(valueOf(name, text)).toBe(canonical);
  });
});

describe('a secret parameter', () => {
  it('is known as one by every spelling', () => {
    expect([...secretParameterNames(action)]).toEqual(['secret', 'pin']);
  });
});

describe('a provider', () => {
  const declare = (overrides: { version?: string; actions?: Record<string, ActionManifest> } = {}) =>
    defineProvider({
      manifest: {
        vendor: 'Acme',
        provider: 'EDR',
        version: '1.0.0',
        settings: Type.Object({}),
        actions: overrides.actions ?? { Everything: action },
        ...(overrides.version === undefined ? {} : { version: overrides.version }),
      },
      execute: () => Promise.resolve({ kind: 'completed' }),
      cancel: () => Promise.resolve('notSupported'),
    });

  it.each<[string, Parameters<typeof declare>[0], RegExp]>([
    ['a version that is none', { version: 'one' }, /Acme\/EDR: version "one"/],
    [
      'two actions of one name',
      { actions: { BlockIp: action, Other: { ...action, aliases: ['block_ip'] } } },
      /"block_ip" names both BlockIp and Other/,
    ],
    [
      'lookup without reconcile',
      { actions: { A: { ...action, idempotency: 'lookup' } } },
      /actions\.A declares idempotency "lookup" but the plugin has no reconcile/,
    ],
    [
      'a time limit out of range',
      { actions: { A: { ...action, attemptTimeoutMs: 1 } } },
      /actions\.A\.attemptTimeoutMs must be >= 100/,
    ],
    [
      'a schema that does not compile',
      { actions: { A: { ...action, parameters: Type.Object({ x: Type.String({ format: 'nope' }) }) } } },
      /actions\.A\.parameters is not a valid JSON Schema: .*nope/,
    ],
  ])('with %s is refused, naming it', (_what, overrides, message) => {
    expect(() => declare(overrides)).toThrow(ConfigurationError);
    expect(() => declare(overrides)).toThrow(message);
  });

  it('gets its parameters typed by its own schemas', () => {
    defineProvider({
      manifest: {
        vendor: 'Acme',
        provider: 'EDR',
        version: '1.0.0',
        settings: Type.Object({ region: Type.String() }),
        actions: { Scan: { ...action, parameters: Type.Object({ depth: Type.Integer() }) } },
      },
      execute(context, request) {
        expectTypeOf(request.parameters.depth).toEqualTypeOf<number>();
        expectTypeOf(context.settings.region).toEqualTypeOf<string>();
        return Promise.resolve({ kind: 'completed' });
      },
      cancel: () => Promise.resolve('notSupported'),
    });
  });
});

describe('a wrong value', () => {
  const bounded = {
    ...action,
    parameters: Type.Object({
      Code: Type.Optional(Type.String({ pattern: '^[A-Z]{3}$', examples: ['ABC'] })),
      Name: Type.Optional(Type.String({ minLength: 3, maxLength: 5, examples: ['host'] })),
      Ports: Type.Optional(Type.Array(Type.Integer({ minimum: 1 }), { maxItems: 2, examples: [[443]] })),
      Share: Type.Optional(Type.Number({ minimum: 0.5, maximum: 1 })),
      When: Type.Optional(Type.String({ format: 'date-time' })),
      Whom: Type.Optional(Type.String({ format: 'email' })),
      Network: Type.Optional(Type.String({ format: 'cidr' })),
      Level: Type.Optional(Type.Union([Type.Literal('low'), Type.Literal('high')], { examples: ['low'] })),
      Mode: Type.Optional(Type.String({ enum: ['Full', 'Selective'] })),
      Force: Type.Optional(Type.Boolean()),
    }),
  } satisfies ActionManifest;

  it.each([
    ['Code', 'abc', 'parameter Code must match pattern "^[A-Z]{3}$" (for example ABC)'],
    ['Name', 'x', 'parameter Name must NOT have fewer than 3 characters (for example host)'],
    ['Name', 'x'.repeat(6), 'parameter Name must NOT have more than 5 characters (for example host)'],
    ['Ports', '[1,2,3]', 'parameter Ports must NOT have more than 2 items (for example [443])'],
    ['Ports', '[0]', 'parameter Ports.0 must be >= 1 (for example [443])'],
    ['Ports', '["a"]', 'parameter Ports.0 must be integer (for example [443])'],
    ['Ports', '443', 'parameter Ports must be array (for example [443])'],
    ['Share', '0.1', 'parameter Share must be >= 0.5 (for example 0.5)'],
    ['Share', 'much', 'parameter "Share" must be a number (for example 0.5)'],
    ['When', 'soon', 'parameter When is not a valid date-time (for example 2026-01-31T18:00:00Z)'],
    ['Whom', 'me', 'parameter Whom is not a valid email (for example someone@example.com)'],
    ['Network', '10.0.0.1/99', 'parameter Network is not a valid cidr (for example 203.0.113.0/24)'],
    ['Level', 'max', 'parameter Level must be "low" or "high" (for example low)'],
    ['Mode', 'Half', 'parameter Mode must be one of Full, Selective (for example Full)'],
    ['Force', 'maybe', 'parameter "Force" must be true or false (for example true)'],
  ])('of %s, %s, is told with its rule and an example', (name, value, problem) => {
    expect(parseParameters(bounded, [{ name, value }])).toEqual({ ok: false, problems: [problem] });
  });
});
