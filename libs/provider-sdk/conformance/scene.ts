import { ModelAction } from './model-action.js';
import type { Problem, Verdict } from './report.js';
import type { Rig, Trial } from './rig.js';

/** What becomes of an action when nothing goes wrong. */
export interface Baseline {
  readonly trial: Trial;
  /** Effects that it has at the vendor. */
  readonly did: number;
  /** Requests that `execute` makes, and those of them that may change something. */
  readonly requests: number;
  readonly changing: number;
  readonly came: 'completed' | 'pending' | 'failed';
  /** Why it failed. */
  readonly error: unknown;
}

/** The rig with what all checks need to know of the actions. */
export class Scene {
  readonly #baselines: Baseline[] = [];

  private constructor(readonly rig: Rig) {}

  static async on(rig: Rig): Promise<Scene> {
    const scene = new Scene(rig);
    for (const trial of rig.trials) scene.#baselines.push(await baselineOf(rig, trial));
    return scene;
  }

  /** Those whose sample does not work; `manifestClaims` tells of them, and no other check tries them. */
  get broken(): readonly Baseline[] {
    return this.#baselines.filter(({ came }) => came === 'failed');
  }

  get working(): readonly Baseline[] {
    return this.#baselines.filter(({ came }) => came !== 'failed');
  }

  /** With an effect at the vendor. */
  get effective(): readonly Baseline[] {
    return this.working.filter(({ did }) => did > 0);
  }

  get pending(): readonly Baseline[] {
    return this.working.filter(({ came }) => came === 'pending');
  }

  action(trial: Trial, instance: 0 | 1 = 0): ModelAction {
    return new ModelAction(this.rig, trial, this.rig.firstWorker, instance);
  }

  /** Takes an action to its good end; false where the work is under way and the vendor has no `finish`. */
  async complete(action: ModelAction): Promise<boolean> {
    await action.settle();
    if (action.operation !== null && action.ended === null && this.rig.vendor.finish !== undefined) {
      await this.rig.vendor.finish(action.operation.id);
      await action.settle();
    }
    return action.ended?.kind === 'completed';
  }
}

async function baselineOf(rig: Rig, trial: Trial): Promise<Baseline> {
  await rig.fresh();
  const action = new ModelAction(rig, trial, rig.firstWorker);
  await action.look();
  const came =
    action.operation !== null ? 'pending' : action.ended?.kind === 'completed' ? 'completed' : 'failed';
  // The first may have fetched a token; the second shows what it makes as a rule.
  await rig.fresh();
  if (came !== 'failed') await new ModelAction(rig, trial, rig.firstWorker).look();
  return {
    trial,
    did: rig.options.vendor === null ? 0 : (await rig.effects()).did,
    requests: rig.requests.length,
    changing: rig.requests.filter(({ request }) => request.changes).length,
    came,
    error: action.lastError ?? new Error(`the action ${action.ending}`),
  };
}

/** Collects what a check finds. */
export class Findings {
  readonly #problems: Problem[] = [];
  #tried = 0;

  /** One more thing was tried. */
  tried(): void {
    this.#tried += 1;
  }

  add(action: string | null, what: string, fix: string): void {
    if (!this.#problems.some((known) => known.action === action && known.what === what))
      this.#problems.push({ action, what, fix });
  }

  /** @param why why nothing was tried, should that be so */
  verdict(why: string): Verdict {
    if (this.#problems.length > 0) return { outcome: 'failed', problems: this.#problems };
    return this.#tried === 0 ? { outcome: 'notApplicable', why } : { outcome: 'passed' };
  }
}

/** What was thrown, in words. */
export function inWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const kind = 'errorClass' in error ? `${error.name} ${String(error.errorClass)}` : error.name;
  return `${kind}: ${error.message}`;
}
