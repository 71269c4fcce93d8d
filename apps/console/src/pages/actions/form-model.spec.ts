import { describe, expect, it } from 'vitest';
import type { JsonSchema, Provider } from '../../api/types.ts';
import { fieldsOf, findAction, parametersOf, problemsInMessage, problemsOf, typedOf } from './form-model.ts';

const schema: JsonSchema = {
  type: 'object',
  required: ['IP', 'Scan'],
  properties: {
    Comment: { type: 'string', maxLength: 10, title: 'A comment', description: 'For colleagues.' },
    IP: { type: 'string', format: 'ip', 'x-aliases': ['address', 'ipAddress'] },
    Scan: { enum: ['Quick', 'Full'], default: 'Quick', examples: ['Full'] },
    Alert: { type: 'boolean' },
    Retries: { type: 'integer', minimum: 1, maximum: 5 },
    Share: { type: 'number' },
    Ports: { type: 'array', items: { type: 'integer' }, maxItems: 2 },
    Pin: { type: 'string', writeOnly: true },
    Side: { anyOf: [{ const: 'left' }, { const: 'right' }] },
  },
  additionalProperties: false,
};
const fields = fieldsOf(schema);
const field = (name: string) => fields.find((one) => one.name === name);
const good = { IP: '203.0.113.7', Scan: 'Quick' };

describe('the fields of a form', () => {
  it('begin with what is needed', () => {
    expect(fields.map(({ name }) => name).slice(0, 2)).toEqual(['IP', 'Scan']);
  });

  it('have the title, the description, the default and the example of the schema', () => {
    expect(field('Comment')).toMatchObject({
      label: 'A comment',
      description: 'For colleagues.',
      isRequired: false,
    });
    expect(field('Scan')).toMatchObject({
      label: 'Scan',
      initial: 'Quick',
      example: 'Full',
      isRequired: true,
    });
  });

  it.each([
    ['Comment', 'text'],
    ['IP', 'text'],
    ['Scan', 'choice'],
    ['Side', 'choice'],
    ['Alert', 'choice'],
    ['Retries', 'integer'],
    ['Share', 'number'],
    ['Ports', 'json'],
    ['Pin', 'secret'],
  ])('ask for %s as %s', (name, kind) => {
    expect(field(name)?.kind).toBe(kind);
  });

  it('offer the choices there are', () => {
    expect(field('Scan')?.choices).toEqual(['Quick', 'Full']);
    expect(field('Side')?.choices).toEqual(['left', 'right']);
    expect(field('Alert')?.choices).toEqual(['true', 'false']);
  });

  it('have the usual example of a format where the schema gives none', () => {
    expect(field('IP')?.example).toBe('203.0.113.7');
  });

  it('are none of a schema without properties', () => {
    expect(fieldsOf({ type: 'object' })).toEqual([]);
  });
});

describe('the parameters of a create', () => {
  it('are texts, without what was left empty', () => {
    expect(parametersOf(fields, { ...good, Comment: '', Retries: '3' })).toEqual([
      { name: 'IP', value: '203.0.113.7' },
      { name: 'Scan', value: 'Quick' },
      { name: 'Retries', value: '3' },
    ]);
  });
});

describe('what is wrong with what was typed', () => {
  it('is nothing where all of it fits', () => {
    expect(
      problemsOf(schema, fields, {
        ...good,
        Alert: 'true',
        Retries: '5',
        Share: '0.5',
        Ports: '[80]',
        Pin: 'x',
        Side: 'left',
      }),
    ).toEqual({});
  });

  it.each([
    ['what is needed and empty', { Scan: 'Quick' }, 'IP', 'This is required, for example 203.0.113.7.'],
    ['a format', { ...good, IP: '999.1.1.1' }, 'IP', 'It is not an IP address, for example 203.0.113.7.'],
    ['a length', { ...good, Comment: 'x'.repeat(11) }, 'Comment', 'It may have 10 characters at most.'],
    ['a choice', { ...good, Scan: 'Slow' }, 'Scan', 'It is not one of the choices, for example Full.'],
    ['a whole number', { ...good, Retries: '1.5' }, 'Retries', 'It must be a whole number.'],
    ['the least', { ...good, Retries: '0' }, 'Retries', 'It must be 1 or more.'],
    ['the most', { ...good, Retries: '6' }, 'Retries', 'It must be 5 or less.'],
    ['a number', { ...good, Share: 'half' }, 'Share', 'It must be a number.'],
  ])('is told in words: %s', (_what, typed, name, words) => {
    expect(problemsOf(schema, fields, typed)).toEqual({ [name]: words });
  });

  it('is told of JSON that is none, and of what is wrong inside', () => {
    expect(problemsOf(schema, fields, { ...good, Ports: '[80' })['Ports']).toMatch(
      /^It must be JSON text of an array/,
    );
    expect(problemsOf(schema, fields, { ...good, Ports: '["x"]' })['Ports']).toBeDefined();
    expect(problemsOf(schema, fields, { ...good, Ports: '[1,2,3]' })['Ports']).toMatch(/too many/);
  });

  it('is told under no name where the parameters do not fit together', () => {
    const either: JsonSchema = { ...schema, anyOf: [{ required: ['Pin'] }, { required: ['Comment'] }] };
    expect(Object.keys(problemsOf(either, fields, good))).toEqual(['']);
    expect(problemsOf(either, fields, { ...good, Pin: '1' })).toEqual({});
  });

  it('takes addresses of private networks, as the API does', () => {
    const url: JsonSchema = { type: 'object', properties: { URL: { type: 'string', format: 'url' } } };
    expect(problemsOf(url, fieldsOf(url), { URL: 'https://10.0.0.1/x' })).toEqual({});
    expect(problemsOf(url, fieldsOf(url), { URL: 'evil.example/x' })).toHaveProperty('URL');
  });

  it.each([
    ['ip', ['203.0.113.7', '2001:db8::1'], ['host', '1.2.3', '']],
    ['cidr', ['203.0.113.0/24'], ['203.0.113.0', 'x/24']],
    ['domain', ['evil.example', 'xn--bcher-kva.example'], ['evil', 'http://evil.example', '203.0.113.7']],
    ['hash', ['d41d8cd98f00b204e9800998ecf8427e'], ['d41d8', 'zz1d8cd98f00b204e9800998ecf8427e']],
  ])('knows the format %s', (format, right, wrong) => {
    const one: JsonSchema = {
      type: 'object',
      required: ['x'],
      properties: { x: { type: 'string', format } },
    };
    for (const text of right) expect(problemsOf(one, fieldsOf(one), { x: text }), text).toEqual({});
    for (const text of wrong) expect(problemsOf(one, fieldsOf(one), { x: text }), text).toHaveProperty('x');
  });
});

describe('what the API said', () => {
  it('is shown at the fields that it names', () => {
    const message =
      'BlockIp: parameter IP is not a valid ip (for example 203.0.113.7); parameter "retries" must be a whole number.';
    expect(problemsInMessage(message, fields)).toEqual({
      IP: 'It is not a valid ip (for example 203.0.113.7).',
      Retries: 'It must be a whole number.',
    });
  });

  it('names no field where it is about something else', () => {
    expect(problemsInMessage('The limit of isolation is reached.', fields)).toEqual({});
  });
});

describe('an action like another', () => {
  const provider = {
    actions: [{ name: 'IsolateMachine', aliases: ['containHost'] }],
  } as unknown as Provider;

  it('is found by name or alias, however it was written', () => {
    expect(findAction(provider, 'isolate_machine')?.name).toBe('IsolateMachine');
    expect(findAction(provider, 'Contain Host')?.name).toBe('IsolateMachine');
    expect(findAction(provider, 'Unknown')).toBeUndefined();
  });

  it('begins with the same parameters, by their names of now, and without secrets', () => {
    const parameters = [
      { name: 'ip-address', value: '203.0.113.9' },
      { name: 'Pin', value: null },
      { name: 'Gone', value: 'x' },
    ];
    expect(typedOf({ parameters }, schema)).toEqual({ IP: '203.0.113.9' });
  });
});
