import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CATALOGUE, openMetrics } from '#telemetry';
import { PROJECT_DIR } from '../support/project-dir.js';
import { findPromtool, onFile, promtoolPasses } from '../support/promtool.js';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook_url: string };
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const PROMETHEUS = path.join(PROJECT_DIR, 'deploy/prometheus');
const promtool = await findPromtool();

const read = (file: string) => readFile(path.join(PROJECT_DIR, file), 'utf8');

/** The labels of each metric, by the names that it is queried by. */
const labelsByName = new Map<string, readonly string[]>();
let rules: readonly Rule[];
let panels: readonly Panel[];

beforeAll(async () => {
  for (const { name, type, labels } of Object.values(CATALOGUE))
    for (const one of type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name])
      labelsByName.set(one, labels);
  // Those of the process, as the client has them.
  const { text } = await openMetrics({ process: 'api', version: '1', tenantLabel: false }).then(
    async (registry) => ({ text: await registry.text() }),
  );
  for (const [, name = ''] of text.matchAll(/^# TYPE ((?:process|nodejs)_\S+)/gm)) labelsByName.set(name, []);
  const file = parse(await read('deploy/prometheus/alerts.yaml')) as {
    readonly groups: readonly { readonly rules: readonly Rule[] }[];
  };
  rules = file.groups.flatMap((group) => group.rules);
  ({ panels } = JSON.parse(await read('deploy/grafana/riposte.json')) as {
    readonly panels: readonly Panel[];
  });
});

/** What an expression asks for: metrics, and by which of their labels. */
function selectorsIn(expr: string): readonly { readonly name: string; readonly labels: readonly string[] }[] {
  return [...expr.matchAll(/\b((?:riposte|process|nodejs)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)].map(
    ([, name = '', selected = '']) => ({
      name,
      labels: [...selected.matchAll(/(\w+)\s*[=!]~?/g)].flatMap(([, label]) => label ?? []),
    }),
  );
}

function expectKnown(expr: string): void {
  const selectors = selectorsIn(expr);
  expect(selectors.length, expr).toBeGreaterThan(0);
  for (const { name, labels } of selectors) {
    const known = labelsByName.get(name);
    expect(known, `${name} in ${expr}`).toBeDefined();
    expect(
      labels.filter((label) => known?.includes(label) === false && label !== 'le'),
      expr,
    ).toEqual([]);
  }
}

/** Label names that a result is made by. */
const groupedBy = (expr: string): readonly string[] =>
  [...expr.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, names = '']) => names.split(/,\s*/));

describe('the alerts', () => {
  it('look at metrics that there are, by labels that these have', () => {
    const labels = new Set([...labelsByName.values()].flat());
    for (const { expr } of rules) {
      expectKnown(expr);
      expect(
        groupedBy(expr).filter((name) => !labels.has(name) && !['le', 'job', 'instance'].includes(name)),
      ).toEqual([]);
    }
  });

  it('never sum what all API processes tell alike', () => {
    const state = Object.values(CATALOGUE)
      .filter(({ type, of }) => type === 'gauge' && of.length === 1 && of[0] === 'api')
      .map(({ name }) => name);
    for (const { expr } of rules)
      for (const name of state)
        expect(expr).not.toMatch(new RegExp(`\\b(?:sum|avg|count)\\b[^(]*\\(${name}\\b`));
  });

  it('have a page each that says what to do, and no page is left over', async () => {
    const pages = await readdir(path.join(PROJECT_DIR, 'docs/runbooks'));
    expect(pages.toSorted()).toEqual(rules.map(({ alert }) => `${alert}.md`).toSorted());
    for (const { alert, annotations, labels } of rules) {
      expect(annotations.runbook_url).toBe(`docs/runbooks/${alert}.md`);
      expect(annotations.summary).toMatch(/\.$/);
      expect(['critical', 'warning', 'info']).toContain(labels.severity);
      const page = await read(annotations.runbook_url);
      expect(page).toMatch(new RegExp(`^# ${alert}\n\n\\S`));
      expect(page).toMatch(/\n## How to look\n\n- /);
      expect(page).toMatch(/\n## What to do\n\n- /);
    }
  });

  it('are listed in docs/metrics.md', async () => {
    const page = await read('docs/metrics.md');
    const listed = [...page.matchAll(/^\| \[(\w+)\]\(runbooks\/\1\.md\) *\| (\w+)/gm)];
    expect(listed.map(([, alert, severity]) => [alert, severity])).toEqual(
      rules.map(({ alert, labels }) => [alert, labels.severity]),
    );
  });

  it('each have a case in which they fire', async () => {
    const cases = await read('deploy/prometheus/alerts.test.yaml');
    expect(rules.filter(({ alert }) => !cases.includes(`alertname="${alert}"`))).toEqual([]);
  });

  it.skipIf(promtool === null)('are rules to Prometheus, which fire when they have to', async () => {
    await promtoolPasses(promtool ?? '', ['check', 'rules', 'alerts.yaml'], PROMETHEUS);
    await promtoolPasses(promtool ?? '', ['test', 'rules', 'alerts.test.yaml'], PROMETHEUS);
  });
});

describe('the dashboard', () => {
  it('shows metrics that there are, each panel under an id of its own', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { type, targets = [] } of panels) {
      expect(targets.length > 0).toBe(type !== 'row');
      for (const { expr } of targets) expectKnown(expr);
    }
  });

  it.skipIf(promtool === null)('asks in PromQL', async () => {
    // `promtool check rules` parses; as rules, its expressions can be checked without a server.
    const asRules = panels
      .flatMap(({ targets = [] }) => targets)
      .map(({ expr }, index) => ({
        record: `panel:${index}`,
        expr: expr.replaceAll('$__rate_interval', '5m'),
      }));
    await onFile({ groups: [{ name: 'dashboard', rules: asRules }] }, (file) =>
      promtoolPasses(promtool ?? '', ['check', 'rules', file]),
    );
  });
});

describe('everything that is deployed', () => {
  it('names no metric that there is not', async () => {
    // Beside the expressions above: series of the alerts' cases, by which an alert on a misspelt metric would fire in its case alone;
    // what the dashboard offers to choose from; the chart.
    const entries = await readdir(path.join(PROJECT_DIR, 'deploy'), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    const named = await Promise.all(
      files.map(async ({ parentPath, name }) =>
        [...(await readFile(path.join(parentPath, name), 'utf8')).matchAll(/\briposte_[a-z0-9_]+/g)].map(
          ([metric]) => metric,
        ),
      ),
    );
    const all = new Set(named.flat());
    expect(all.size).toBeGreaterThan(20);
    expect([...all].filter((metric) => !labelsByName.has(metric))).toEqual([]);
  });
});
