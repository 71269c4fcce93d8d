import { afterEach, describe, expect, it } from 'vitest';
import { parseConfig } from '#config';
import { Type, parseParameters, type ActionManifest } from '#provider-sdk';

/** Input never reaches the prototype that all objects share. What the API and a vendor send has its rules elsewhere. */

const HOSTILE = [
  '{"__proto__":{"polluted":true}}',
  '{"a":{"__proto__":{"polluted":true}}}',
  '{"\\u005f_proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '[{"__proto__":{"polluted":true}}]',
];

afterEach(() => {
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
});

const action: ActionManifest = {
  title: 'Takes anything',
  idempotency: 'natural',
  cancellable: false,
  parameters: Type.Object(
    {
      Filter: Type.Optional(Type.Object({}, { additionalProperties: true })),
      List: Type.Optional(Type.Array(Type.Unknown())),
    },
    { additionalProperties: false },
  ),
};

describe('a parameter', () => {
  it.each(HOSTILE)('of %s hands the plugin nothing of it', (value) => {
    const parsed = parseParameters(action, [{ name: value.startsWith('[') ? 'List' : 'Filter', value }]);
    expect(parsed.ok).toBe(true);
    expect(JSON.stringify(parsed)).not.toContain('polluted');
  });

  it.each(['__proto__', 'constructor', 'prototype', 'toString'])('named %s is not known', (name) => {
    expect(parseParameters(action, [{ name, value: '{"polluted":true}' }]).ok).toBe(false);
  });

  it('nested too deep is refused', () => {
    const value = `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`;
    expect(parseParameters(action, [{ name: 'Filter', value }]).ok).toBe(false);
  });
});

describe('a configuration', () => {
  it.each(HOSTILE.filter((text) => text.startsWith('{')))('of %s is refused', (text) => {
    expect(() => parseConfig(text, 'riposte.config.yaml')).toThrow('riposte.config.yaml');
  });

  it('with settings of such names changes no other object', () => {
    for (const settings of HOSTILE)
      try {
        parseConfig(`providers: [{ id: mock, plugin: mock, settings: ${settings} }]`, 'riposte.config.yaml');
      } catch (error) {
        expect(String(error)).toContain('riposte.config.yaml');
      }
  });
});
