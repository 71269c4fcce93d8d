import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '#config';
import { PROJECT_DIR } from '../support/project-dir.js';

const DOCS = path.join(PROJECT_DIR, 'docs');

/** A key that there is nowhere, in each place of a configuration: what refuses it names those that there are. */
const EVERYWHERE = [
  '{ x: 1 }',
  '{ plugins: { acme: { x: 1 } } }',
  '{ providers: [{ x: 1, limits: { x: 1, windows: [{ x: 1 }], blastRadius: { x: 1, isolation: { x: 1 } } }, network: { x: 1 } }] }',
  '{ limits: { x: 1, blastRadius: { x: 1, isolation: { x: 1 } } } }',
  '{ providers: [], auth: { issuers: [{ type: entra, x: 1 }] } }',
  '{ providers: [], auth: { issuers: [{ type: keycloak, x: 1, claims: { x: 1 } }] } }',
  '{ providers: [], auth: { issuers: [{ type: oidc, x: 1 }] } }',
  '{ auth: { x: 1 } }',
  '{ console: { x: 1, session: { x: 1 }, queues: { x: 1 }, issuers: [{ x: 1, claims: { x: 1 } }] } }',
  '{ metrics: { x: 1 } }',
  '{ tracing: { x: 1 } }',
  '{ notifications: { x: 1, network: { x: 1 } } }',
  '{ audit: { x: 1 } }',
  '{ retention: { x: 1 } }',
];

describe('the manual of the configuration', async () => {
  const samples = await yamlOfAllPages();

  it('has every key that there is', async () => {
    const page = await readFile(path.join(DOCS, 'configuration.md'), 'utf8');
    const known = new Set(EVERYWHERE.flatMap(keysNamedBy));
    expect(known.size).toBeGreaterThan(60);
    expect([...known].filter((key) => !new RegExp(`(?<![a-zA-Z])${key}(?::|\`)`).test(page))).toEqual([]);
  });

  it('shows on every page configurations that are accepted', () => {
    const roots = keysNamedBy('{ x: 1 }');
    const configurations = samples.filter(({ keys }) => keys.some((key) => roots.includes(key)));
    expect(configurations.length).toBeGreaterThan(20);
    for (const { page, keys, yaml } of configurations)
      expect(() =>
        parseConfig(keys.includes('providers') ? yaml : `providers: []\n${yaml}`, page),
      ).not.toThrow();
  });
});

function keysNamedBy(yaml: string): readonly string[] {
  try {
    parseConfig(yaml, 'f');
  } catch (error) {
    return [...(error as Error).message.matchAll(/is not known; known: ([\w, ]+)/g)].flatMap(
      ([, keys = '']) => keys.split(', '),
    );
  }
  throw new Error(`accepted: ${yaml}`);
}

async function yamlOfAllPages() {
  const pages = (await readdir(DOCS, { recursive: true })).filter((file) => file.endsWith('.md'));
  const texts = await Promise.all(pages.map((page) => readFile(path.join(DOCS, page), 'utf8')));
  return texts.flatMap((text, index) =>
    [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml = '']) => ({
      page: pages[index] ?? '',
      keys: [...yaml.matchAll(/^(\w+):/gm)].map(([, key = '']) => key),
      yaml,
    })),
  );
}
