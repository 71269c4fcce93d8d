import type { CancelAnswer } from '../../provider.js';
import type { ModelAction } from '../model-action.js';
import type { Came, CallOptions } from '../rig.js';
import { Findings, inWords, type Baseline, type Scene } from '../scene.js';
import { SeededRandom } from '../seeded-random.js';
import { NO_EFFECT, type Check } from './check.js';

/** Checks of what becomes of a cancel, whenever it comes. */

const NONE_CANCELLABLE = 'no action that is declared cancellable is left pending';
const DEFAULT_INTERLEAVINGS = 1000;

export const cancelBeforeSubmit: Check = {
  id: 'cancelBeforeSubmit',
  needsVendor: true,
  async run(scene) {
    const { rig } = scene;
    const { execute, cancel } = rig.firstWorker.provider.calls;
    const findings = new Findings();
    for (const { trial } of scene.effective) {
      findings.tried();
      const { name, request } = trial;
      await rig.fresh();
      const came = await rig.call('execute', name, rig.subject(), (context) => execute(context, request), {
        steer: (call) => call.stop('cancel'),
      });
      if ((await rig.effects()).did > 0)
        findings.add(
          name,
          'execute() submitted although its signal was aborted before it began',
          'Send by context.http alone, and look at context.signal before what has an effect.',
        );
      else if (came.kind === 'hung')
        findings.add(
          name,
          'execute() did not come back although its signal was aborted before it began',
          'Let the error of context.http through, and look at context.signal while you wait.',
        );
      else if (came.kind === 'returned' && came.value.kind !== 'stopped' && came.value.kind !== 'failed')
        findings.add(
          name,
          `execute() said ${came.value.kind} although its signal was aborted before anything was sent`,
          'Throw context.signal.reason.',
        );
      if (!trial.manifest.cancellable) continue;
      await rig.fresh();
      const told = await rig.call('cancel', name, rig.subject(), (context) => cancel(context, null, request));
      if ((await rig.effects()).did > 0)
        findings.add(
          name,
          'cancel() of what never reached the vendor had an effect',
          'Do nothing where there is nothing to stop.',
        );
      else if (told.kind === 'returned' && told.value === 'tooLate')
        findings.add(
          name,
          'cancel() said tooLate of what never reached the vendor',
          'Say `cancelled` where the vendor will refuse it ever after, else `unknown`.',
        );
      else if (told.kind !== 'returned')
        findings.add(
          name,
          `cancel() of what never reached the vendor did not answer (${words(told)})`,
          'Answer `unknown` where it cannot be told.',
        );
    }
    return findings.verdict(NO_EFFECT);
  },
};

const words = (came: Came<unknown>): string =>
  came.kind === 'threw' || came.kind === 'stopped' ? inWords(came.error) : came.kind;

const cancellable = (scene: Scene): readonly Baseline[] =>
  scene.pending.filter(({ trial }) => trial.manifest.cancellable);

export const cancelWhilePending: Check = {
  id: 'cancelWhilePending',
  needsVendor: true,
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    for (const { trial } of cancellable(scene)) {
      findings.tried();
      const { name, request } = trial;
      const { poll } = rig.firstWorker.provider.calls;
      await rig.fresh();
      const action = scene.action(trial);
      await action.look();
      action.cancel();
      await action.look();
      const outcome = action.cancelOutcome;
      const { stopped } = await rig.effects();
      switch (outcome) {
        case null:
          findings.add(
            name,
            `cancel() did not answer (${inWords(action.lastError ?? 'it did not come back')})`,
            'Answer with a CancelOutcome; throw only what may pass.',
          );
          break;
        case 'cancelled': {
          if (stopped === 0) {
            findings.add(
              name,
              'cancel() said cancelled, and the vendor still works on it',
              'Say `requested` until the vendor confirms.',
            );
            break;
          }
          const { operation } = action;
          if (operation === null || poll === undefined) break;
          const came = await rig.call('poll', name, rig.subject({ actionId: action.id }), (context) =>
            poll(context, operation, request),
          );
          if (came.kind === 'returned' && (came.value.kind === 'completed' || came.value.kind === 'pending'))
            findings.add(
              name,
              `poll() says ${came.value.kind} of work that was stopped`,
              'Return { kind: "stopped" }.',
            );
          break;
        }
        case 'requested':
          await action.settle();
          if (action.ended?.kind !== 'cancelled' && (await rig.effects()).stopped > 0)
            findings.add(
              name,
              `cancel() said requested and the vendor stopped it, and poll() does not tell: ${action.ended?.kind ?? 'it stays pending'}`,
              'Return { kind: "stopped" } from poll().',
            );
          else if (action.ended?.kind === 'cancelled' && (await rig.effects()).stopped === 0)
            findings.add(
              name,
              'poll() said stopped, and the vendor still works on it',
              'Return `stopped` only when the vendor says so.',
            );
          break;
        case 'tooLate':
        case 'unknown':
        case 'notSupported':
          findings.add(
            name,
            `cancel() said ${outcome} of work that was under way and that the vendor lets be stopped`,
            'Stop the operation that was handed over.',
          );
      }
    }
    return findings.verdict(NONE_CANCELLABLE);
  },
};

export const cancelAfterDone: Check = {
  id: 'cancelAfterDone',
  needsVendor: true,
  async run(scene) {
    const { rig } = scene;
    const { cancel } = rig.firstWorker.provider.calls;
    const findings = new Findings();
    for (const { trial } of scene.effective) {
      if (!trial.manifest.cancellable) continue;
      await rig.fresh();
      const action = scene.action(trial);
      if (!(await scene.complete(action))) continue;
      findings.tried();
      const came = await rig.call('cancel', trial.name, rig.subject({ actionId: action.id }), (context) =>
        cancel(context, action.operation, trial.request),
      );
      const { undid, stopped } = await rig.effects();
      const allowed: readonly CancelAnswer[] =
        action.operation === null ? ['tooLate', 'unknown', 'notSupported'] : ['tooLate', 'unknown'];
      if (undid + stopped > 0)
        findings.add(
          trial.name,
          'cancel() of a completed action took its effect back',
          'Leave what is done: undoing it is revert(), which a caller asks for.',
        );
      else if (came.kind !== 'returned')
        findings.add(
          trial.name,
          `cancel() of a completed action did not answer (${words(came)})`,
          "Say `tooLate`; accept the vendor's status for it.",
        );
      else if (!allowed.includes(came.value))
        findings.add(trial.name, `cancel() said ${came.value} of a completed action`, 'Say `tooLate`.');
    }
    return findings.verdict(
      'no action that is declared cancellable could be brought to its end; give the vendor `finish`',
    );
  },
};

export const cancelRace: Check = {
  id: 'cancelRace',
  needsVendor: true,
  after: ['killAfterSave', 'cancelWhilePending', 'cancelAfterDone'],
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    if (rig.vendor.finish === undefined)
      return findings.verdict('the vendor has no `finish`, so the end of its work cannot be timed');
    const { interleavings = DEFAULT_INTERLEAVINGS, seed = 1 } = rig.options;
    for (const baseline of cancellable(scene)) {
      findings.tried();
      for (let number = 0; number < interleavings; number += 1) {
        const wrong = await race(scene, baseline, new SeededRandom(seed * 1_000_003 + number));
        if (wrong === null) continue;
        findings.add(
          baseline.trial.name,
          `${wrong} (interleaving ${number} of seed ${seed})`,
          'Say what the vendor says of the operation when you are asked, and nothing that you assume.',
        );
        break;
      }
    }
    return findings.verdict(NONE_CANCELLABLE);
  },
};

/** Milliseconds on the kit's clock within which the cancel comes and the work ends. */
const RACE_MS = 3000;
const MOST_STEPS = 40;

/** One interleaving; null where the end of the action is what really happened, else what is wrong. */
async function race(scene: Scene, { trial, did }: Baseline, random: SeededRandom): Promise<string | null> {
  const { rig } = scene;
  await rig.fresh();
  const action = scene.action(trial);
  let finished = false;
  let tried = false;
  const finish = async (): Promise<void> => {
    if (tried || action.operation === null) return;
    tried = true;
    finished = (await rig.vendor.finish?.(action.operation.id)) === true;
  };
  await action.look();
  const cancelAt = random.next() * RACE_MS;
  const finishAt = random.next() * RACE_MS;
  let cancelled = false;
  for (let step = 0; step < MOST_STEPS && action.ended === null; step += 1) {
    const next = Math.min(action.dueAt, cancelled ? Infinity : cancelAt, tried ? Infinity : finishAt);
    rig.now = Math.max(rig.now, next);
    if (!tried && next === finishAt) {
      await finish();
    } else if (!cancelled && next === cancelAt) {
      cancelled = true;
      action.cancel();
      action.dueAt = rig.now;
    } else {
      await lookWhile(action, finish, random);
    }
  }
  const { stopped, did: effects } = await rig.effects();
  const ended = action.ended;
  if (ended === null)
    return `the action never ended, though the vendor had ${finished ? 'finished' : 'stopped'} the work`;
  if (effects > did) return `it was carried out ${effects} times`;
  switch (ended.kind) {
    case 'completed':
      return finished ? null : 'it ended as completed, and the vendor had not finished the work';
    case 'cancelled':
      return stopped > 0
        ? null
        : `it ended as cancelled, and the vendor had ${finished ? 'finished' : 'not stopped'} the work`;
    default:
      return `it ended as ${ended.kind}${'error' in ended ? ` (${inWords(ended.error)})` : ''}, though the vendor had ${finished ? 'finished' : 'stopped'} the work`;
  }
}

/** One look, during which the work may end, the answer to a cancel may be lost, or the worker may die. */
async function lookWhile(
  action: ModelAction,
  finish: () => Promise<void>,
  random: SeededRandom,
): Promise<void> {
  const [before, after, lose, die] = [
    random.chance(0.25),
    random.chance(0.25),
    random.chance(0.15),
    random.chance(0.1),
  ];
  let kill: (() => void) | undefined;
  const options: CallOptions = {
    steer: (call) => (kill = () => call.kill()),
    traffic: {
      before: async () => {
        if (before) await finish();
        return undefined;
      },
      after: async (request) => {
        if (after) await finish();
        if (die) kill?.();
        // Questions are asked again by the client itself, in real time: only what changes something is lost.
        return lose && request.changes ? 'lose' : undefined;
      },
    },
  };
  await action.look(options);
  if (die) await action.takeOver();
}
