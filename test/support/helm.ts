import { execFile } from 'node:child_process';
import { access, constants, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';

const run = promisify(execFile);

/**
 * The helm program: `RIPOSTE_HELM`, else of `PATH`, else where `go install` puts it. Null where there is none.
 */
export async function findHelm(): Promise<string | null> {
  const named = process.env['RIPOSTE_HELM'];
  const folders = [...(process.env['PATH'] ?? '').split(path.delimiter), path.join(homedir(), 'go/bin')];
  const candidates =
    named === undefined || named === '' ? folders.map((folder) => path.join(folder, 'helm')) : [named];
  for (const candidate of candidates) {
    const isThere = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return candidate;
  }
  return null;
}

/**
 * The manifests of a chart as `helm template` prints them for Kubernetes 1.34.
 * @throws Error with what helm says, also where the values are not those of the chart's schema
 */
export async function renderChart(
  helm: string,
  chart: string,
  values: string,
  release: string,
  more: readonly string[] = [],
): Promise<string> {
  const child = run(
    helm,
    [
      'template',
      release,
      chart,
      '--namespace',
      'security',
      '--kube-version',
      '1.34.0',
      '--values',
      '-',
      ...more,
    ],
    { maxBuffer: 16 * 1024 * 1024 },
  );
  child.child.stdin?.end(values);
  return (await child).stdout;
}

/**
 * What helm says after an installation of the chart with these values. Helm renders that for a cluster alone; here it is part of a
 * manifest of a copy of the chart.
 *
 * @throws Error with what helm says
 */
export async function renderNotes(
  helm: string,
  chart: string,
  values: string,
  release: string,
): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'riposte-chart-'));
  try {
    await cp(chart, folder, { recursive: true });
    const templates = path.join(folder, 'templates');
    const notes = await readFile(path.join(templates, 'NOTES.txt'), 'utf8');
    await writeFile(path.join(templates, '_notes.tpl'), `{{ define "notes" }}${notes}{{ end }}`);
    await writeFile(
      path.join(templates, 'notes.yaml'),
      'kind: Notes\nnotes: {{ include "notes" . | toJson }}\n',
    );
    const manifests = await renderChart(helm, folder, values, release, [
      '--show-only',
      'templates/notes.yaml',
    ]);
    return (parse(manifests) as { readonly notes: string }).notes;
  } finally {
    await rm(folder, { recursive: true });
  }
}
