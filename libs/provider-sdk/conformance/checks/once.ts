import { ProviderError } from '../../errors.js';
import type { StepOutcome } from '../../provider.js';
import type { CallOptions } from '../rig.js';
import { Findings, inWords } from '../scene.js';
import { NO_EFFECT, type Check } from './check.js';
import { recover } from './recover.js';

/** Checks that what is asked for once is done once, whatever is lost on the way. */

export const executeTwice: Check = {
  id: 'executeTwice',
  needsVendor: true,
  async run(scene) {
    const { rig } = scene;
    const { execute } = rig.firstWorker.provider.calls;
    const findings = new Findings();
    for (const { trial, did } of scene.effective) {
      const idempotency = rig.idempotencyOf(trial);
      const { name, request } = trial;
      if (idempotency === 'key' || idempotency === 'natural') {
        findings.tried();
        await rig.fresh();
        const subject = rig.subject();
        for (let times = 1; times <= 2; times += 1) {
          const came = await rig.call('execute', name, subject, (context) => execute(context, request));
          const ok = came.kind === 'returned' && ['completed', 'pending'].includes(came.value.kind);
          if (!ok)
            findings.add(
              name,
              `execute() with a key that was used before ${came.kind === 'returned' ? `says ${came.value.kind}` : `fails (${inWords(came.kind === 'killed' || came.kind === 'hung' ? came.kind : came.error)})`}`,
              'A repeat has to come to what the first came to.',
            );
        }
        const now = (await rig.effects()).did;
        if (now > did)
          findings.add(
            name,
            `execute() twice with one key had ${now} effects, and once ${did}; it is declared "${idempotency}"`,
            idempotency === 'key'
              ? "Send context.idempotencyKey in the vendor's idempotency header, the same on every attempt; or declare `lookup` or `none`."
              : 'Send what has no further effect the second time; or declare `lookup` or `none`.',
          );
      }
      if (idempotency !== 'natural') {
        findings.tried();
        await rig.fresh();
        // The first brings it about; of a second that says it was so already there is no effect to miss.
        let wanted = did;
        // At a target one runs at a time: the second begins when the first has ended.
        if ((trial.manifest.mutexKey ?? []).length > 0) await scene.complete(scene.action(trial));
        else await rig.call('execute', name, rig.subject(), (context) => execute(context, request));
        const second = await rig.call('execute', name, rig.subject(), (context) => execute(context, request));
        if (second.kind !== 'returned' || saysChanged(second.value)) wanted += did;
        const now = (await rig.effects()).did;
        if (now < wanted)
          findings.add(
            name,
            `two actions had ${now} effects instead of ${wanted}: one is lost`,
            'Use context.idempotencyKey, which is another for each action.',
          );
      }
    }
    return findings.verdict(NO_EFFECT);
  },
};

const saysChanged = (outcome: StepOutcome): boolean =>
  outcome.kind !== 'completed' || outcome.effect?.changed !== false;

export const killBeforeSave: Check = {
  id: 'killBeforeSave',
  needsVendor: true,
  after: ['executeTwice'],
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    for (const baseline of scene.effective) {
      const { trial, requests } = baseline;
      for (let point = 1; point <= requests + 1; point += 1) {
        findings.tried();
        await rig.fresh();
        const action = scene.action(trial);
        await action.look(point > requests ? { dieAtReturn: true } : dyingAfter(point));
        await recover(
          scene,
          findings,
          baseline,
          action,
          point > requests
            ? 'the worker died when execute() returned'
            : `the worker died at the answer to request ${point} of ${requests}`,
        );
      }
    }
    return findings.verdict(NO_EFFECT);
  },
};

function dyingAfter(request: number): CallOptions {
  let kill: (() => void) | undefined;
  let count = 0;
  return {
    steer: (call) => (kill = () => call.kill()),
    traffic: {
      after: () => {
        count += 1;
        if (count === request) kill?.();
        return undefined;
      },
    },
  };
}

export const lostAnswer: Check = {
  id: 'lostAnswer',
  needsVendor: true,
  after: ['executeTwice', 'killBeforeSave'],
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    for (const baseline of scene.effective) {
      const { trial, changing } = baseline;
      for (let lost = 1; lost <= changing; lost += 1) {
        findings.tried();
        await rig.fresh();
        let seen = 0;
        let applied = false;
        const action = scene.action(trial);
        await action.look({
          traffic: {
            after: async (request) => {
              if (request.changes) seen += 1;
              if (!request.changes || seen !== lost) return undefined;
              applied = (await rig.effects()).did > 0;
              return 'lose';
            },
          },
        });
        const when = `the answer to changing request ${lost} of ${changing} was lost`;
        const error = action.lastError;
        if (applied && error !== null && !(error instanceof ProviderError && error.next === 'unknown'))
          findings.add(
            trial.name,
            `${when} after the vendor had done it, and execute() said ${inWords(error)}`,
            'Let the error of context.http through, or throw unknownOutcome: it may have been applied.',
          );
        else await recover(scene, findings, baseline, action, when);
      }
    }
    return findings.verdict('no action sends a request that changes something');
  },
};

export const killAfterSave: Check = {
  id: 'killAfterSave',
  needsVendor: true,
  async run(scene) {
    const { rig } = scene;
    const findings = new Findings();
    for (const { trial, did } of scene.pending) {
      findings.tried();
      for (const dies of ['after it returned', 'as soon as it had saved'] as const) {
        await rig.fresh();
        const action = scene.action(trial);
        let kill: (() => void) | undefined;
        await action.look(
          dies === 'after it returned'
            ? {}
            : { steer: (call) => (kill = () => call.kill()), saved: () => kill?.() },
        );
        await action.takeOver();
        for (let polls = 0; polls < 2; polls += 1) await action.look();
        const now = (await rig.effects()).did;
        const { ended } = action;
        if (now > did)
          findings.add(
            trial.name,
            `the worker died ${dies}, and polling for the operation had an effect`,
            'poll() only asks; execute() alone submits.',
          );
        else if (ended !== null && ended.kind !== 'completed')
          findings.add(
            trial.name,
            `the worker died ${dies}; the next one polled, and the action ended as ${ended.kind}${'error' in ended ? ` (${inWords(ended.error)})` : ''}`,
            'Keep all that poll() needs in the operation, as JSON; the memory of the worker is gone.',
          );
        else if (action.lastError !== null)
          findings.add(
            trial.name,
            `the worker died ${dies}, and the next one cannot poll (${inWords(action.lastError)})`,
            'Keep all that poll() needs in the operation, as JSON; the memory of the worker is gone.',
          );
      }
    }
    return findings.verdict('no action is left pending');
  },
};
