import type { RateWindow } from '#domain';
import { ProviderError } from '../../errors.js';
import type { Rig } from '../rig.js';
import { Findings, inWords, type Baseline, type Scene } from '../scene.js';
import { SeededRandom } from '../seeded-random.js';
import { NO_EFFECT, type Check } from './check.js';

/** Checks of how a plugin treats the vendor's quota. */

const RETRY_AFTER_S = 7;
const STORM_ACTIONS = 6;
/** Answers of 429 that one action gets at most. */
const MOST_REFUSALS = 4;
const MOST_LOOKS = 30;

export const rateLimited: Check = {
  id: 'rateLimited',
  needsVendor: true,
  after: ['executeTwice'],
  async run(scene) {
    const findings = new Findings();
    for (const baseline of scene.effective) {
      findings.tried();
      await storm(scene, findings, baseline);
    }
    return findings.verdict(NO_EFFECT);
  },
};

async function storm(scene: Scene, findings: Findings, { trial, did, came }: Baseline): Promise<void> {
  const { rig } = scene;
  const { name } = trial;
  const random = new SeededRandom(rig.options.seed ?? 1);
  await rig.fresh();
  let unchanged = 0;
  for (let number = 0; number < STORM_ACTIONS; number += 1) {
    const action = scene.action(trial);
    let refusals = 0;
    for (let looks = 0; looks < MOST_LOOKS && action.ended === null; looks += 1) {
      let refused = false;
      let insisted = false;
      action.lastError = null;
      // The first is refused at once; later ones by chance.
      const wanted = number === 0 && refusals === 0 ? 1 : 0.5;
      await action.look({
        traffic: {
          before: () => {
            if (refused) insisted = true;
            if (!refused && (refusals >= MOST_REFUSALS || !random.chance(wanted))) return undefined;
            refused = true;
            refusals += 1;
            return TOO_MANY;
          },
        },
      });
      const call = action.calls.at(-1);
      if (insisted)
        findings.add(
          name,
          `${call}() sent more requests after a 429, within the same call`,
          'Let the rateLimited error of context.http through: the engine comes back when the vendor wants it.',
        );
      if (refused && action.ended !== null)
        findings.add(
          name,
          `a 429 to ${call}() ended it: the action ${action.ending}`,
          'Let the rateLimited error of context.http through.',
        );
      else if (refused && !isPatient(action.lastError))
        findings.add(
          name,
          `a 429 with Retry-After: ${RETRY_AFTER_S} to ${call}() came back as ${inWords(action.lastError ?? 'no error')}${action.lastError instanceof ProviderError ? `, retryAfterMs ${action.lastError.retryAfterMs}` : ''}`,
          'Throw rateLimited with retryAfterMs, as context.http does; it uses up no attempt.',
        );
      if (!refused && action.isPending && call === 'poll') break;
    }
    if (action.ended === null ? !action.isPending : action.ended.kind !== 'completed')
      findings.add(
        name,
        `after the storm an action ${action.ending}`,
        'Let the rateLimited error of context.http through.',
      );
    // At a target one runs at a time: the next begins when this one has ended.
    if ((trial.manifest.mutexKey ?? []).length > 0) await scene.complete(action);
    if (number > 0 && action.changedNothing) unchanged += 1;
  }
  const now = (await rig.effects()).did;
  const least = rig.idempotencyOf(trial) === 'natural' ? did : did * (STORM_ACTIONS - unchanged);
  if (now < least)
    findings.add(
      name,
      `${STORM_ACTIONS} actions (${came}) had ${now} effects instead of ${least}: some were lost`,
      'Say completed or pending only when the vendor has taken it.',
    );
  else if (now > did * STORM_ACTIONS)
    findings.add(
      name,
      `${STORM_ACTIONS} actions had ${now} effects instead of ${did * STORM_ACTIONS}`,
      'After a 429 nothing was done; send it once more, with the same key.',
    );
}

const TOO_MANY = {
  status: 429,
  headers: { 'retry-after': String(RETRY_AFTER_S) },
  body: '{"error":"too many requests"}',
} as const;

function isPatient(error: unknown): boolean {
  return (
    error instanceof ProviderError &&
    error.errorClass === 'rateLimited' &&
    (error.retryAfterMs ?? 0) >= RETRY_AFTER_S * 1000
  );
}

const MOST_ACTIONS = 150;

export const declaredQuota: Check = {
  id: 'declaredQuota',
  needsVendor: true,
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    for (const { trial, requests } of scene.working) {
      findings.tried();
      const declared = trial.manifest.calls ?? 1;
      if (requests > declared)
        findings.add(
          trial.name,
          `execute() makes ${requests} requests as a rule, and the manifest says calls: ${declared}`,
          `Declare \`calls: ${requests}\`: so many permits are taken before it is called.`,
        );
    }
    const windows = rig.manifest.rateLimits ?? [];
    if (windows.length > 0 && scene.working.length > 0) await underWindows(scene, findings, windows);
    return findings.verdict('no action has a sample that works');
  },
};

/** Runs more actions than the tightest window allows at once, and reckons what went over the wire. */
async function underWindows(scene: Scene, findings: Findings, windows: readonly RateWindow[]): Promise<void> {
  const { rig } = scene;
  await rig.fresh();
  const granted: { readonly at: number; readonly action: string }[] = [];
  rig.spend = (action) => {
    for (const window of windows) rig.now = Math.max(rig.now, freeAt(granted, window, action, rig.now));
    granted.push({ at: rig.now, action });
  };
  const count = Math.min(MOST_ACTIONS, 2 * Math.min(...windows.map(({ calls }) => calls)) + 1);
  for (let number = 0; number < count; number += 1) {
    const baseline = scene.working[number % scene.working.length];
    if (baseline !== undefined) await scene.action(baseline.trial).look();
  }
  for (const window of windows) {
    const most = mostWithin(rig, window);
    if (most > window.calls)
      findings.add(
        null,
        `${most} requests within ${window.perSeconds} s, and the manifest declares ${window.calls}`,
        'Send by context.http alone: it waits for the quota.',
      );
  }
  rig.spend = () => undefined;
}

const counts = ({ actions }: RateWindow, action: string): boolean =>
  actions === undefined || actions.includes(action);

/** When the next call of this action fits the window. */
function freeAt(
  granted: readonly { readonly at: number; readonly action: string }[],
  window: RateWindow,
  action: string,
  now: number,
): number {
  if (!counts(window, action)) return now;
  const inIt = granted.filter((one) => counts(window, one.action));
  const oldest = inIt.at(-window.calls);
  return oldest === undefined ? now : Math.max(now, oldest.at + window.perSeconds * 1000);
}

/** The most requests in any period of the window's length. */
function mostWithin({ requests }: Rig, window: RateWindow): number {
  const times = requests.filter(({ action }) => counts(window, action)).map(({ at }) => at);
  return Math.max(
    0,
    ...times.map((from) => times.filter((at) => at >= from && at < from + window.perSeconds * 1000).length),
  );
}
