import type { ModelAction } from '../model-action.js';
import type { Baseline, Findings, Scene } from '../scene.js';

/**
 * Another worker takes the action over, as after a crash. Finds what is wrong then: an effect too many, one too few, or an
 * end that says another thing than what the vendor did.
 *
 * @param when what happened before, in words
 */
export async function recover(
  scene: Scene,
  findings: Findings,
  { trial, did }: Baseline,
  action: ModelAction,
  when: string,
): Promise<void> {
  const { rig } = scene;
  const idempotency = rig.idempotencyOf(trial);
  const fix = HOW[idempotency];
  const then = (await rig.effects()).did;
  await action.takeOver();
  await action.settle();
  const now = (await rig.effects()).did;
  const { ended } = action;
  const known = ended === null ? action.operation !== null : ended.kind === 'completed';
  const repeats = idempotency === 'key' || idempotency === 'natural';
  if (now > did) {
    const counted = `there are ${now} effects instead of ${did}`;
    findings.add(trial.name, `${when}, and after recovery ("${idempotency}") ${counted}`, fix);
  } else if (now < did && repeats) {
    findings.add(trial.name, `${when}, and recovery did not carry it out: the action ${action.ending}`, fix);
  } else if (now >= did && !known && repeats) {
    findings.add(trial.name, `${when}; the vendor did it, and the action ${action.ending}`, fix);
  } else if (then >= did && !known && idempotency === 'lookup') {
    findings.add(
      trial.name,
      `${when}; the vendor did it, and reconcile() does not find it: the action ${action.ending}`,
      fix,
    );
  } else if (now >= did && ended !== null && !known && ended.kind !== 'unknown') {
    findings.add(trial.name, `${when}; the vendor did it, and the action ${action.ending}`, fix);
  }
}

const HOW = {
  key: 'Send context.idempotencyKey on every attempt; it stays the same after a crash.',
  natural: 'A repeat must have no further effect and come to the same; or declare `lookup` or `none`.',
  lookup:
    'Put context.idempotencyKey where it can be found again (a tag, a comment) in the first request, and look for it in reconcile().',
  none: 'Do not send it again by yourself: nobody knows whether it was done.',
} as const;
