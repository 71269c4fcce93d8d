import type { EffectRecord, Json } from '#domain';
import { ProviderError } from '../../errors.js';
import type { StepOutcome } from '../../provider.js';
import { plain, type CallOptions, type Came, type Trial } from '../rig.js';
import { Findings, inWords, type Scene } from '../scene.js';
import type { Check } from './check.js';

/** Checks of undoing. */

const MOST_POLLS = 10;
const NONE_REVERTIBLE = 'no action is declared revertible';

interface Done {
  readonly actionId: string;
  readonly result: Json;
  readonly effect: EffectRecord | null;
}

export const revertTwice: Check = {
  id: 'revertTwice',
  needsVendor: true,
  async run(scene) {
    const findings = new Findings();
    for (const { trial } of revertible(scene)) {
      const done = await completed(scene, trial);
      if (done === null) continue;
      findings.tried();
      await twice(scene, findings, trial, done);
      const again = await completed(scene, trial);
      if (again !== null) await afterLostAnswer(scene, findings, trial, again);
    }
    return findings.verdict(NONE_REVERTIBLE);
  },
};

async function twice(scene: Scene, findings: Findings, trial: Trial, done: Done): Promise<void> {
  const { rig } = scene;
  const first = await revert(scene, trial, done);
  if (!isCompleted(first))
    return findings.add(
      trial.name,
      `revert() of a completed action ${words(first)}`,
      'Undo it by the effect and result that you returned.',
    );
  const once = (await rig.effects()).undid;
  if (once === 0)
    return findings.add(
      trial.name,
      'revert() said completed, and the vendor undid nothing',
      'Undo it at the vendor, and say completed when it confirms.',
    );
  const second = await revert(scene, trial, done);
  if (!isCompleted(second))
    findings.add(
      trial.name,
      `revert() for the second time ${words(second)}`,
      'To undo what is gone already is to succeed: accept the 404.',
    );
  const now = (await rig.effects()).undid;
  if (now > once)
    findings.add(
      trial.name,
      `revert() twice undid ${now} things, and once ${once}`,
      'Undo only what this action made; nothing when it is gone.',
    );
}

async function afterLostAnswer(scene: Scene, findings: Findings, trial: Trial, done: Done): Promise<void> {
  const { rig } = scene;
  let lost = false;
  const came = await revert(scene, trial, done, {
    traffic: {
      after: (request) => {
        if (lost || !request.changes) return undefined;
        lost = true;
        return 'lose';
      },
    },
  });
  const once = (await rig.effects()).undid;
  if (!lost || once === 0) return;
  if (came.kind === 'threw' && !(came.error instanceof ProviderError && came.error.next === 'unknown'))
    findings.add(
      trial.name,
      `the answer to revert() was lost, and it ${words(came)}`,
      'Let the error of context.http through.',
    );
  const again = await revert(scene, trial, done);
  if (!isCompleted(again))
    findings.add(
      trial.name,
      `the answer to revert() was lost, and issued again it ${words(again)}`,
      'To undo what is gone already is to succeed: accept the 404.',
    );
}

export const revertPreexisting: Check = {
  id: 'revertPreexisting',
  needsVendor: true,
  after: ['revertTwice'],
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    if (rig.vendor.preexisting === undefined) return findings.verdict('the vendor has no `preexisting`');
    for (const { trial } of revertible(scene)) {
      const done = await completed(scene, trial, true);
      if (done === null) continue;
      findings.tried();
      if (done.effect?.changed !== false)
        findings.add(
          trial.name,
          `the effect was there before, and execute() said ${done.effect === null ? 'nothing of it' : 'changed: true'}`,
          'Return effect: { changed: false } when the target was in the wanted state.',
        );
      const came = await revert(scene, trial, done);
      if (!isCompleted(came))
        findings.add(
          trial.name,
          `revert() of what was not changed ${words(came)}`,
          'To undo nothing is to succeed.',
        );
      if ((await rig.effects()).undid > 0)
        findings.add(
          trial.name,
          'revert() took away what was there before',
          'Where effect.changed is false, complete and do nothing.',
        );
    }
    return findings.verdict(NONE_REVERTIBLE);
  },
};

function revertible(scene: Scene): Scene['effective'] {
  return scene.rig.firstWorker.provider.calls.revert === undefined
    ? []
    : scene.effective.filter(({ trial }) => trial.manifest.revertible === true);
}

/** A completed action on a vendor that knows nothing else; null where its end cannot be brought about. */
async function completed(scene: Scene, trial: Trial, preexisting = false): Promise<Done | null> {
  const { rig } = scene;
  await rig.fresh();
  if (preexisting) await rig.vendor.preexisting?.(trial.name, trial.request.parameters);
  const action = scene.action(trial);
  await scene.complete(action);
  const { ended } = action;
  return ended?.kind === 'completed'
    ? { actionId: action.id, result: ended.result, effect: ended.effect }
    : null;
}

/** Undoes it, and follows work that is left pending. */
async function revert(
  scene: Scene,
  trial: Trial,
  done: Done,
  options: CallOptions = {},
): Promise<Came<StepOutcome>> {
  const { rig } = scene;
  const { calls } = rig.firstWorker.provider;
  const subject = rig.subject();
  let came: Came<StepOutcome> = await rig.call(
    'revert',
    trial.name,
    subject,
    (context) =>
      calls.revert?.(context, { ...trial.request, ...plain(done), completedAt: new Date() }) ??
      Promise.reject(new TypeError('there is no revert()')),
    options,
  );
  for (
    let polls = 0;
    polls < MOST_POLLS && came.kind === 'returned' && came.value.kind === 'pending';
    polls += 1
  ) {
    const operation = plain(came.value.operation);
    const { poll } = calls;
    if (poll === undefined) break;
    await rig.vendor.finish?.(operation.id);
    came = await rig.call('poll', trial.name, subject, (context) => poll(context, operation, trial.request));
  }
  return came;
}

function isCompleted(came: Came<StepOutcome>): boolean {
  return came.kind === 'returned' && came.value.kind === 'completed';
}

function words(came: Came<StepOutcome>): string {
  if (came.kind === 'returned')
    return came.value.kind === 'failed' ? `failed (${inWords(came.value.error)})` : `said ${came.value.kind}`;
  return came.kind === 'threw' || came.kind === 'stopped' ? `failed (${inWords(came.error)})` : came.kind;
}
