import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

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
): Promise<string> {
  const child = run(
    helm,
    ['template', release, chart, '--namespace', 'security', '--kube-version', '1.34.0', '--values', '-'],
    { maxBuffer: 16 * 1024 * 1024 },
  );
  child.child.stdin?.end(values);
  return (await child).stdout;
}
