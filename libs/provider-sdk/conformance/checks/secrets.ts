import { Canaries } from '../canaries.js';
import type { Rig } from '../rig.js';
import { Findings, type Scene } from '../scene.js';
import type { FakeAnswer, SeenRequest } from '../vendor-proxy.js';
import type { Check } from './check.js';

/** Checks that secrets stay where they belong. */

const BAD_STATUSES = [400, 401, 403, 404, 409, 500] as const;

export const secretsStayInside: Check = {
  id: 'secretsStayInside',
  needsVendor: false,
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    if (rig.canaries.isEmpty)
      return findings.verdict('there are no secrets: none configured, no parameter with writeOnly');
    findings.tried();
    if (rig.options.vendor !== null) await provoke(scene);
    for (const where of rig.canaries.leaks)
      findings.add(
        null,
        `a secret stands in ${where}`,
        'Never log or return headers, requests, settings or raw answers; pick the fields you need.',
      );
    return findings.verdict('');
  },
};

/** A vendor that fails and repeats all that it was sent: the worst that may come back in an error. */
async function provoke(scene: Scene): Promise<void> {
  const { rig } = scene;
  for (const { trial, came } of scene.working) {
    for (const status of BAD_STATUSES) {
      const traffic = { before: (request: SeenRequest) => echo(request, status) };
      await rig.fresh();
      await scene.action(trial).look({ traffic });
      if (came !== 'pending') continue;
      await rig.fresh();
      const action = scene.action(trial);
      await action.look();
      await action.look({ traffic });
      action.cancel();
      await action.look({ traffic });
    }
  }
  const { health } = rig.firstWorker.provider.calls;
  if (health === undefined) return;
  for (const status of BAD_STATUSES)
    await rig.call('health', '', rig.subject(), (context) => health(context), {
      traffic: { before: (request) => echo(request, status) },
    });
}

function echo(request: SeenRequest, status: number): FakeAnswer {
  const message = `You sent ${JSON.stringify(request.headers)} ${request.path} ${request.body}`;
  return {
    status,
    body: JSON.stringify({ error: { code: 'echo', message }, message }),
  };
}

/** Headers that carry who asks. */
const CREDENTIAL =
  /^(?:authorization|proxy-authorization|cookie)$|(?:^|-)(?:auth|token|session|apikey|api-key|secret|credential)(?:-|$)/;

export const separateTokens: Check = {
  id: 'separateTokens',
  needsVendor: true,
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    const secrets = rig.options.instances.map((instance) => Object.values(instance.secrets ?? {}));
    if (secrets.some((values) => values.length === 0))
      return findings.verdict('the plugin has no secrets of its own');
    const canaries = secrets.map((values) => new Canaries(values)) as [Canaries, Canaries];
    for (const { trial } of scene.working) {
      findings.tried();
      await rig.fresh();
      // One after the other, then both at once: a cache may mix them up either way.
      for (const instance of [0, 1, 0] as const) await scene.action(trial, instance).look();
      await Promise.all(([0, 1, 1, 0] as const).map((instance) => scene.action(trial, instance).look()));
      judge(rig, findings, trial.name, canaries);
    }
    return findings.verdict('no action has a sample that works');
  },
};

function judge(rig: Rig, findings: Findings, name: string, canaries: readonly [Canaries, Canaries]): void {
  const seen: readonly [Map<string, string>, Map<string, string>] = [new Map(), new Map()];
  for (const { instance, request } of rig.requests) {
    const other = instance === 0 ? 1 : 0;
    if (canaries[other].isIn(`${JSON.stringify(request.headers)} ${request.path} ${request.body}`))
      findings.add(
        name,
        `a request of one instance (${request.method} ${request.path.split('?')[0]}) carried a secret of the other`,
        SEPARATE,
      );
    for (const [header, value] of Object.entries(request.headers))
      if (CREDENTIAL.test(header) && typeof value === 'string') seen[instance].set(value, header);
  }
  for (const [value, header] of seen[0]) {
    if (seen[1].has(value)) findings.add(name, `two instances sent the same ${header}`, SEPARATE);
  }
}

const SEPARATE = 'Keep tokens by context.instance, or by their secrets; never in one variable for all.';
