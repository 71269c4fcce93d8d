import { isDeepStrictEqual } from 'node:util';
import { compileSchema, describeSchemaError } from '../../json-schema.js';
import { parseParameters } from '../../parameters.js';
import type { ActionManifest, ProviderManifest } from '../../provider.js';
import { readSample, sentAs } from '../sample.js';
import { Findings, inWords, type Scene } from '../scene.js';
import type { Check } from './check.js';

/** Checks of what the plugin declares. */

export const schemaRoundTrip: Check = {
  id: 'schemaRoundTrip',
  needsVendor: false,
  run({ rig }) {
    const { samples, leaveOut = {} } = rig.options;
    const findings = new Findings();
    for (const path of unserialisable(rig.manifest))
      findings.add(
        null,
        `manifest.${path} is no JSON`,
        'Declare it as plain data; functions, dates and classes do not reach the API.',
      );
    for (const name of Object.keys({ ...samples, ...leaveOut })) {
      if (!Object.hasOwn(rig.manifest.actions, name))
        findings.add(
          name,
          'is in samples or leaveOut, and the manifest has no such action',
          'Take it out, or spell it as the manifest does.',
        );
    }
    for (const [name, action] of Object.entries(rig.manifest.actions)) {
      const sample = samples[name];
      if (sample !== undefined) {
        findings.tried();
        roundTrip(findings, name, action, sample);
      } else if (leaveOut[name] === undefined) {
        findings.add(
          name,
          'has no sample',
          'Give valid parameters in samples, or say in leaveOut why it cannot be tried.',
        );
      }
    }
    return Promise.resolve(findings.verdict('no action has a sample'));
  },
};

function roundTrip(
  findings: Findings,
  name: string,
  action: ActionManifest,
  sample: Readonly<Record<string, unknown>>,
): void {
  const read = readSample(action, sample);
  if (!read.ok) {
    findings.add(
      name,
      `its sample is refused: ${read.problems.join('; ')}`,
      'Mend the sample or the schema.',
    );
    return;
  }
  const again = readSample(action, read.values);
  if (!again.ok || !isDeepStrictEqual(again.values, read.values)) {
    findings.add(
      name,
      `its canonical parameters ${JSON.stringify(read.values)} come back as ${again.ok ? JSON.stringify(again.values) : again.problems.join('; ')}`,
      'Use types and formats that the schema accepts in their canonical form, too.',
    );
  }
  // What the API shows and an external plugin sends is a copy of the schema.
  const copy = {
    ...action,
    parameters: JSON.parse(JSON.stringify(action.parameters)) as ActionManifest['parameters'],
  };
  const byCopy = parseParameters(copy, sentAs(sample));
  if (!byCopy.ok || !isDeepStrictEqual(byCopy.values, read.values))
    findings.add(
      name,
      'its schema means something else once it was JSON',
      'Build it of plain JSON Schema keywords.',
    );
  const properties = action.parameters.properties as Readonly<
    Record<string, { readonly examples?: readonly unknown[]; readonly writeOnly?: boolean }>
  >;
  const required = new Set((action.parameters as { readonly required?: readonly string[] }).required);
  for (const [parameter, schema] of Object.entries(properties)) {
    const { examples = [] } = schema;
    if (examples.length === 0 && required.has(parameter) && schema.writeOnly !== true)
      findings.add(
        name,
        `parameter ${parameter} has no example`,
        'Add `examples`: they are shown where a value is refused.',
      );
    for (const example of examples) {
      const tried = readSample(action, { ...sample, [parameter]: example });
      if (!tried.ok)
        findings.add(
          name,
          `the example of ${parameter} is refused: ${tried.problems.join('; ')}`,
          'Give an example that is valid.',
        );
    }
  }
}

/** Places in a manifest that JSON cannot hold. */
function unserialisable(value: unknown, path = ''): readonly string[] {
  if (value === undefined || value === null || ['string', 'boolean'].includes(typeof value)) return [];
  if (typeof value === 'number') return Number.isFinite(value) ? [] : [path];
  if (typeof value !== 'object') return [path];
  if (
    !Array.isArray(value) &&
    ![Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null)
  )
    return [path];
  return Object.entries(value).flatMap(([key, item]) =>
    unserialisable(item, path === '' ? key : `${path}.${key}`),
  );
}

export const manifestClaims: Check = {
  id: 'manifestClaims',
  needsVendor: false,
  async run(scene) {
    const { rig } = scene;
    const { calls } = rig.firstWorker.provider;
    const findings = new Findings();
    findings.tried();
    for (const [name, action] of Object.entries(rig.manifest.actions)) {
      if (action.revertible === true && calls.revert === undefined)
        findings.add(
          name,
          'is declared revertible, and there is no revert()',
          'Write revert(), or leave `revertible` out.',
        );
      if (action.observable === true && calls.observe === undefined)
        findings.add(
          name,
          'is declared observable, and there is no observe()',
          'Write observe(), or leave `observable` out.',
        );
      for (const instance of [0, 1] as const) {
        const trial = rig.trials.find((one) => one.name === name);
        if (
          trial !== undefined &&
          rig.idempotencyOf(trial, instance) === 'lookup' &&
          calls.reconcile === undefined
        )
          findings.add(
            name,
            'is idempotent by lookup, and there is no reconcile()',
            'Write reconcile(), or declare `none`.',
          );
      }
      for (const parameter of action.mutexKey ?? []) {
        if (!Object.hasOwn(action.parameters.properties, parameter))
          findings.add(
            name,
            `mutexKey names ${parameter}, which is no parameter`,
            'Name a parameter of the schema.',
          );
      }
    }
    for (const window of rig.manifest.rateLimits ?? []) {
      for (const name of window.actions ?? []) {
        if (!Object.hasOwn(rig.manifest.actions, name))
          findings.add(
            null,
            `rateLimits names ${name}, which is no action`,
            'Name an action of the manifest.',
          );
      }
    }
    secretsClaimed(findings, rig.manifest, rig.options.instances);
    for (const { trial, error } of scene.broken)
      findings.add(
        trial.name,
        `its sample comes to nothing (${inWords(error)})`,
        'Give a sample that the simulator carries out, or mend execute().',
      );
    for (const baseline of scene.working) await workingClaims(scene, findings, baseline);
    return findings.verdict('');
  },
};

async function workingClaims(
  scene: Scene,
  findings: Findings,
  { trial, came }: Scene['working'][number],
): Promise<void> {
  const { rig } = scene;
  const { calls } = rig.firstWorker.provider;
  const { name, manifest, request } = trial;
  if (came === 'pending' && calls.poll === undefined && calls.pollMany === undefined)
    findings.add(name, 'is left pending, and there is neither poll() nor pollMany()', 'Write poll().');
  await rig.fresh();
  const action = scene.action(trial);
  await action.look();
  if (action.ended?.kind === 'completed' && manifest.result !== undefined) {
    const validate = compileSchema(manifest.result);
    if (!validate(action.ended.result))
      findings.add(
        name,
        `its result is not what the manifest says: ${(validate.errors ?? []).map((error) => describeSchemaError(error, 'result')).join('; ')}`,
        'Mend `result` in the manifest, or what is returned.',
      );
  }
  if (!manifest.cancellable) return;
  const told = await rig.call('cancel', name, rig.subject({ actionId: action.id }), (context) =>
    calls.cancel(context, action.operation, request),
  );
  if (told.kind === 'returned' && told.value === 'notSupported')
    findings.add(
      name,
      'is declared cancellable, and cancel() says notSupported',
      'Declare `cancellable: false`.',
    );
}

function secretsClaimed(
  findings: Findings,
  { secrets = {} }: ProviderManifest,
  instances: readonly { readonly secrets?: Readonly<Record<string, string>> }[],
): void {
  const known = new Set([...(secrets.required ?? []), ...(secrets.optional ?? [])]);
  for (const [index, instance] of instances.entries()) {
    const given = Object.keys(instance.secrets ?? {});
    for (const name of secrets.required ?? []) {
      if (!given.includes(name))
        findings.add(
          null,
          `instances[${index}].secrets lacks ${name}, which the manifest requires`,
          'Give it, or declare it optional.',
        );
    }
    for (const name of given) {
      if (!known.has(name))
        findings.add(
          null,
          `instances[${index}].secrets has ${name}, which the manifest does not declare`,
          'Declare it in `secrets`.',
        );
    }
  }
}

export const readOnlyCalls: Check = {
  id: 'readOnlyCalls',
  needsVendor: true,
  async run(scene) {
    const { rig } = scene;
    const { plan, observe, health, reconcile, poll } = rig.firstWorker.provider.calls;
    const findings = new Findings();
    const changed = async (name: string | null, what: string, before: number): Promise<void> => {
      findings.tried();
      if ((await rig.effects()).all.length > before)
        findings.add(name, `${what}() changed something at the vendor`, 'Only ask; change nothing.');
    };
    if (health !== undefined) {
      await rig.fresh();
      const came = await rig.call('health', '', rig.subject(), (context) => health(context));
      if (came.kind !== 'returned' || !came.value.ok)
        findings.add(
          null,
          `health() does not say ok of a simulator that works (${said(came)})`,
          'Return { ok: true } when the vendor answers.',
        );
      await changed(null, 'health', 0);
    }
    for (const { trial, did } of scene.effective) {
      const { name, request } = trial;
      await rig.fresh();
      const action = scene.action(trial);
      const ask = rig.subject({ actionId: action.id });
      if (plan !== undefined) {
        const came = await rig.call('plan', name, ask, (context) => plan(context, request));
        if (
          came.kind !== 'returned' ||
          typeof came.value?.summary !== 'string' ||
          !Array.isArray(came.value.changes)
        )
          findings.add(name, `plan() gives no plan (${said(came)})`, 'Return a summary and changes.');
        await changed(name, 'plan', 0);
      }
      if (reconcile !== undefined && rig.idempotencyOf(trial) === 'lookup') {
        const came = await rig.call('reconcile', name, ask, (context) => reconcile(context, request));
        if (came.kind === 'returned' && ['completed', 'pending', 'stopped'].includes(came.value.kind))
          findings.add(
            name,
            `reconcile() finds (${came.value.kind}) what was never issued`,
            'Look for this very idempotencyKey.',
          );
        await changed(name, 'reconcile', 0);
      }
      if (observe !== undefined && trial.manifest.observable === true) {
        const before = await rig.call('observe', name, ask, (context) => observe(context, request));
        if (before.kind === 'returned' && before.value.inPlace === true && trial.manifest.revertible === true)
          findings.add(
            name,
            'observe() says inPlace before anything was done',
            'Read the state of the target.',
          );
        await changed(name, 'observe', 0);
        if (await scene.complete(action)) {
          const after = await rig.call('observe', name, ask, (context) => observe(context, request));
          if (after.kind !== 'returned' || after.value.inPlace === false)
            findings.add(
              name,
              `observe() does not see the effect of a completed action (${said(after)})`,
              'Read the state of the target.',
            );
          await changed(name, 'observe', did);
        }
      } else {
        await action.look();
      }
      const { operation } = action;
      if (poll !== undefined && operation !== null) {
        for (let times = 0; times < 2; times += 1)
          await rig.call('poll', name, ask, (context) => poll(context, operation, request));
        await changed(name, 'poll', did);
      }
    }
    return findings.verdict('the plugin has no call that only asks');
  },
};

function said(came: { readonly kind: string; readonly value?: unknown; readonly error?: unknown }): string {
  return came.kind === 'returned' ? JSON.stringify(came.value) : `${came.kind} ${inWords(came.error)}`;
}

export const onlyContextHttp: Check = {
  id: 'onlyContextHttp',
  needsVendor: true,
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    for (const { trial } of scene.working) {
      findings.tried();
      await rig.fresh();
      const action = scene.action(trial);
      await action.look();
      if (action.operation !== null) await action.look();
      const calls = await rig.vendor.calls?.();
      if (calls !== undefined && calls !== rig.requests.length)
        findings.add(
          trial.name,
          `the vendor got ${calls} requests, of which ${rig.requests.length} came by context.http`,
          USE_CONTEXT,
        );
    }
    for (const request of rig.watch.past)
      findings.add(null, `a request was made past context.http: ${request}`, USE_CONTEXT);
    return findings.verdict('no action has a sample that works');
  },
};

const USE_CONTEXT =
  'Use context.http: only its requests count in the quota, are bounded, and stop with the call.';
