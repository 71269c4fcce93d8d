import { VERSION } from '#domain';
import type { WorkerReport } from '#persistence';
import type { Findings } from './finding.js';
import type { Installation } from './installation.js';

/** Milliseconds without a sign of life, which comes every 5 s, after which a worker counts as gone; as readiness has it. */
const ALIVE_MS = 15_000;

/** The workers: that there are some, of one version, and some for each instance. */
export async function checkWorkers(installation: Installation, findings: Findings): Promise<void> {
  const reports = await installation
    .database()
    .then(({ workers }) => workers.list())
    .catch(() => null);
  if (reports === null) {
    findings.unknown('workers.alive', 'not looked at: MongoDB cannot be asked');
    return;
  }
  const alive = reports.filter(({ silentMs }) => silentMs < ALIVE_MS);
  for (const { id, silentMs, running } of reports.filter((one) => !alive.includes(one)))
    findings.warning(
      'workers.silent',
      `was last heard of ${Math.round(silentMs / 1000)} s ago, with ${running} actions in hand`,
      'Where it was killed others have taken over, and it is forgotten after an hour; where it still runs, look at its log.',
      id,
    );
  if (alive.length === 0) {
    findings.problem(
      'workers.alive',
      'no worker is alive: actions are accepted, and wait',
      'Start one, or look at the log of one that does not come up.',
    );
    return;
  }
  const oldest = Math.max(...alive.map(({ silentMs }) => silentMs));
  findings.ok(
    'workers.alive',
    `${alive.length} alive, the longest silent for ${Math.round(oldest / 1000)} s`,
  );
  tellVersions(alive, findings);
  await tellInstances(installation, alive, findings);
}

function tellVersions(alive: readonly WorkerReport[], findings: Findings): void {
  const others = alive.filter(({ version }) => version !== VERSION);
  if (others.length === 0) {
    findings.ok('workers.version', `all run ${VERSION}`);
    return;
  }
  const told = others.map(({ id, version }) => `${id} (${version ?? 'older'})`).join(', ');
  findings.warning(
    'workers.version',
    `this is ${VERSION}, and others run: ${told}`,
    'During a rolling restart that passes; else restart them with the same version.',
  );
}

async function tellInstances(
  installation: Installation,
  alive: readonly WorkerReport[],
  findings: Findings,
): Promise<void> {
  const config = await installation.config().catch(() => null);
  if (config === null) {
    findings.unknown('workers.instance', 'not looked at: the configuration is not valid');
    return;
  }
  const known = new Set(config.providers.map(({ id }) => id));
  // One that does not say which is taken for one of all, as for a forecast.
  const serve = (id: string) => alive.filter(({ instances }) => instances === null || instances.includes(id));
  const fix = 'Restart the workers with this configuration.';
  for (const id of known) {
    const { length } = serve(id);
    if (length > 0) findings.ok('workers.instance', `${length} of ${alive.length} carry out its actions`, id);
    else findings.problem('workers.instance', 'no worker carries out its actions: they wait', fix, id);
  }
  for (const id of new Set(alive.flatMap(({ instances }) => instances ?? [])))
    if (!known.has(id))
      findings.warning('workers.instance', 'workers have it, and this configuration has not', fix, id);
}
