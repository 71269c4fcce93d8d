import type { StepOutcome } from '../../provider.js';
import type { Came, Call, CallOptions } from '../rig.js';
import { Findings, inWords, type Baseline, type Scene } from '../scene.js';
import { NO_EFFECT, type Check } from './check.js';
import { recover } from './recover.js';

/** Checks of what a plugin says when it hears something odd, nothing in time, or that it has to stop. */

const UNHEARD_OF = 'unheard-of-by-the-plugin';
/** Milliseconds after which a call that sends nothing is asked to stop. */
const STOP_AFTER_MS = 50;

export const unknownStatus: Check = {
  id: 'unknownStatus',
  needsVendor: true,
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    const { vendor } = rig;
    if (vendor.sayStatus === undefined) return findings.verdict('the vendor has no `sayStatus`');
    for (const { trial, came } of scene.working) {
      await rig.fresh();
      if (came === 'pending') {
        findings.tried();
        const action = scene.action(trial);
        await action.look();
        await vendor.sayStatus(UNHEARD_OF);
        await action.look();
        if (action.ended !== null)
          findings.add(
            trial.name,
            `poll() took the status "${UNHEARD_OF}" for an end: the action ${action.ending}`,
            STAY,
          );
      }
      await rig.fresh();
      await vendor.sayStatus(UNHEARD_OF);
      let heard = false;
      const action = scene.action(trial);
      await action.look({
        traffic: {
          after: (_request, answer) => {
            heard ||= answer.includes(UNHEARD_OF);
            return undefined;
          },
        },
      });
      if (!heard) continue;
      findings.tried();
      if (action.ended !== null && action.ended.kind !== 'unknown')
        findings.add(
          trial.name,
          `execute() took the status "${UNHEARD_OF}" for an end: the action ${action.ending}`,
          STAY,
        );
    }
    return findings.verdict('no answer of the vendor shows a status');
  },
};

const STAY =
  'List the statuses you know; for any other stay pending, or throw: transient from poll(), unknownOutcome from execute().';

export const deadline: Check = {
  id: 'deadline',
  needsVendor: false,
  async run(scene) {
    const { rig } = scene;
    const { execute, poll } = rig.firstWorker.provider.calls;
    const findings = new Findings();
    for (const hung of rig.hung)
      findings.add(
        hung.split(':')[0] ?? null,
        `${hung.split(': ')[1] ?? ''}() did not come back within its time`,
        COME_BACK,
      );
    for (const { trial } of scene.working) {
      findings.tried();
      const { name, request } = trial;
      await rig.fresh();
      const came = await silenced((options) =>
        rig.call('execute', name, rig.subject(), (context) => execute(context, request), options),
      );
      const told = claims(came, ['completed', 'pending']);
      if (told !== null && rig.options.vendor !== null && rig.requests.length > 0)
        findings.add(
          name,
          `execute() ${told} while the vendor had not answered`,
          'Let the error of context.http through.',
        );
      if (came.kind === 'hung')
        findings.add(name, 'execute() did not come back when its signal was aborted', COME_BACK);
      if (poll === undefined || rig.options.vendor === null) continue;
      await rig.fresh();
      const action = scene.action(trial);
      await action.look();
      const { operation } = action;
      if (operation === null) continue;
      const asked = await silenced((options) =>
        rig.call(
          'poll',
          name,
          rig.subject({ actionId: action.id }),
          (context) => poll(context, operation, request),
          options,
        ),
      );
      const end = claims(asked, ['completed', 'stopped']);
      if (end !== null)
        findings.add(
          name,
          `poll() ${end} while the vendor had not answered`,
          'Let the error of context.http through.',
        );
      if (asked.kind === 'hung')
        findings.add(name, 'poll() did not come back when its signal was aborted', COME_BACK);
    }
    return findings.verdict('no action has a sample that works');
  },
};

const COME_BACK =
  'Return as soon as the vendor has it, with `pending` for long work; listen to context.signal while you wait for anything.';

/** What it claims for certain that it cannot know; null where it claims nothing. */
function claims(came: Came<StepOutcome>, ends: readonly StepOutcome['kind'][]): string | null {
  if (came.kind !== 'returned') return null;
  const { value } = came;
  if (value.kind === 'failed') return value.error.next === 'unknown' ? null : `said ${inWords(value.error)}`;
  return ends.includes(value.kind) ? `said ${value.kind}` : null;
}

/** A call whose first request the vendor never answers, and whose time is then up. */
async function silenced<T>(run: (options: CallOptions) => Promise<T>): Promise<T> {
  const held = new Hold('deadline');
  try {
    return await run({
      steer: (call) => held.on(call),
      traffic: {
        before: async () => {
          await held.request();
          // Nobody listens any more, and the vendor must not get it late.
          return { status: 503 };
        },
      },
    });
  } finally {
    held.release();
  }
}

/** Holds the requests of a call back, and asks it to stop once there is one, or where there is none. */
class Hold {
  #call: Call | undefined;
  #release: (() => void) | undefined;
  readonly #released = new Promise<undefined>((resolve) => (this.#release = () => resolve(undefined)));
  #timer: NodeJS.Timeout | undefined;

  constructor(readonly why: 'deadline' | 'shutdown') {}

  /** The call whose requests they are. */
  of(call: Call): void {
    this.#call = call;
  }

  /** As `of`, for one that may send nothing. */
  on(call: Call): void {
    this.of(call);
    this.#timer = setTimeout(() => this.#call?.stop(this.why), STOP_AFTER_MS);
  }

  request(): Promise<undefined> {
    clearTimeout(this.#timer);
    this.#call?.stop(this.why);
    return this.#released;
  }

  release(): void {
    clearTimeout(this.#timer);
    this.#release?.();
  }
}

export const shutdown: Check = {
  id: 'shutdown',
  needsVendor: true,
  after: ['executeTwice', 'killBeforeSave', 'deadline'],
  async run(scene) {
    const findings = new Findings();
    for (const baseline of scene.effective) {
      for (let point = 1; point <= baseline.requests; point += 1)
        await stopAt(scene, findings, baseline, 'execute', point);
      if (baseline.came === 'pending') await stopAt(scene, findings, baseline, 'poll', 1);
    }
    return findings.verdict(NO_EFFECT);
  },
};

/** The worker stops when the vendor has answered a request and the plugin has not heard of it. */
async function stopAt(
  scene: Scene,
  findings: Findings,
  baseline: Baseline,
  during: 'execute' | 'poll',
  point: number,
): Promise<void> {
  const { rig } = scene;
  const { name } = baseline.trial;
  findings.tried();
  await rig.fresh();
  const action = scene.action(baseline.trial);
  if (during === 'poll') await action.look();
  const held = new Hold('shutdown');
  let answers = 0;
  let sentAfter = 0;
  await action.look({
    steer: (call) => held.of(call),
    traffic: {
      before: () => {
        if (answers >= point) sentAfter += 1;
        return undefined;
      },
      after: () => {
        answers += 1;
        return answers === point ? held.request() : undefined;
      },
    },
  });
  held.release();
  await settledTraffic();
  const { stopped, undid } = await rig.effects();
  if (stopped + undid > 0)
    findings.add(name, `${during}() stopped the work at the vendor when the worker shut down`, LEAVE);
  else if (sentAfter > 0)
    findings.add(
      name,
      `${during}() sent ${sentAfter} more requests after the worker was told to shut down`,
      LEAVE,
    );
  else await recover(scene, findings, baseline, action, `the worker shut down during ${during}()`);
}

const LEAVE =
  'When the reason is `shutdown`, throw context.signal.reason and do nothing else: another worker goes on.';

/** Lets what was sent without waiting arrive. */
function settledTraffic(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, 5));
}
