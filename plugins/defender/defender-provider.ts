import {
  ProviderError,
  Type,
  defineProvider,
  type CallContext,
  type ExecutionContext,
  type Plan,
  type Provider,
  type StepOutcome,
} from '#provider-sdk';
import { AccessTokens } from './access-tokens.js';
import { DefenderApi } from './defender-api.js';
import { health } from './health.js';
import { wishesOf, type IndicatorRequest } from './indicator-requests.js';
import { defeatWarnings, previousIn } from './indicator.js';
import { maintainIndicators } from './indicator-drift.js';
import { IndicatorLeases } from './indicator-leases.js';
import { IndicatorWriter } from './indicator-writer.js';
import { Indicators } from './indicators.js';
import { LiveResponses } from './live-responses.js';
import { MachineActions, machineIn } from './machine-actions.js';
import { RELEASES, type MachineJob } from './machine-jobs.js';
import { Machines, shownMachine } from './machines.js';
import { actions, rateLimits } from './manifest.js';
import { marked, markerOf } from './marker.js';
import { meaningOf, type Request } from './meaning.js';
import { refusalOf, refuseIfRefused } from './refusals.js';
import { settingsSchema, type DefenderSettings } from './settings.js';

/**
 * Microsoft Defender for Endpoint, with a memory of its own for access tokens. docs/plugins/defender.md has its settings,
 * permissions and actions.
 */
export function defenderProvider(): Provider {
  const api = new DefenderApi(new AccessTokens());
  const machines = new Machines(api);
  const machineActions = new MachineActions(api, new LiveResponses(api));
  const indicators = new Indicators(api);
  const writer = new IndicatorWriter(indicators);
  const leases = new IndicatorLeases(writer);

  return defineProvider({
    manifest: {
      vendor: 'Microsoft',
      provider: 'Microsoft Defender for Endpoint',
      // The name in Microsoft Graph's documents, and shorter ones.
      providerAliases: ['Windows Defender ATP', 'Microsoft Defender ATP', 'Defender for Endpoint'],
      version: '1.0.0',
      title:
        'Isolates, scans and examines machines, and blocks addresses, domains, URLs and files on all of them',
      docUrl: 'https://learn.microsoft.com/defender-endpoint/api/apis-intro',
      rateLimits,
      settings: settingsSchema,
      secrets: { required: ['clientSecret'] },
      actions,
    },

    validate: refusalOf,

    async execute(context, request) {
      refuseIfRefused(context.settings, request);
      const wanted = meaningOf(request);
      switch (wanted.of) {
        case 'machine': {
          const machineId = await machines.idOf(context, wanted.machine);
          return machineActions.issue(context, wanted.job, machineId, wanted.words);
        }
        case 'indicator':
          return setOrRemove(leases, context, request, wanted.request);
        case 'investigation':
          return investigate(api, context, await machines.idOf(context, wanted.machine), wanted.words);
      }
    },

    poll(context, operation) {
      return machineActions.poll(context, operation);
    },

    pollMany(context, pending) {
      return machineActions.pollMany(context, pending);
    },

    async reconcile(context, request) {
      const wanted = meaningOf(request);
      return wanted.of === 'machine' ? machineActions.reconcile(context, wanted.job) : { kind: 'cannotTell' };
    },

    async cancel(context, operation, request) {
      const wanted = meaningOf(request);
      return wanted.of === 'machine' ? machineActions.cancel(context, wanted.job, operation) : 'notSupported';
    },

    async revert(context, done) {
      const { effect } = done;
      const wanted = meaningOf(done);
      if (wanted.of === 'indicator') {
        const { target, verb } = wanted.request;
        const previous = previousIn({ previous: effect?.previous ?? null }) ?? null;
        if ('remove' in verb) return leases.putBack(context, target, previous);
        // Also where it changed nothing: it wants what others set.
        return leases.letGo(context, target, done.actionId, previous);
      }
      if (effect?.changed === false) return { kind: 'completed', effect: { changed: false } };
      const release = wanted.of === 'machine' ? releaseOf(wanted.job) : null;
      if (release === null || wanted.of !== 'machine')
        throw new ProviderError('unsupported', `${done.action} cannot be undone by Defender's API.`);
      const machineId = machineIn(effect?.previous) ?? (await machines.idOf(context, wanted.machine));
      return machineActions.issue(context, release, machineId, `Undoes action ${done.actionId}`);
    },

    async plan(context, request) {
      refuseIfRefused(context.settings, request);
      const wanted = meaningOf(request);
      if (wanted.of === 'indicator')
        return planOfIndicator(indicators, context, request.action, wanted.request);
      const machine = await machines.find(context, wanted.machine);
      const name = machine.computerDnsName ?? machine.id;
      const state =
        wanted.of === 'machine' ? await machineActions.stateOf(context, wanted.job, machine.id) : null;
      const nothing = state?.inPlace === true;
      const silent = machine.healthStatus != null && machine.healthStatus !== 'Active';
      return {
        summary: `${actions[request.action].title}: ${name}`,
        changes: nothing ? [] : [`${request.action} at ${name} (${machine.id}).`],
        warnings: [
          ...(nothing ? [`It is in place already, by machine action ${state.by?.id ?? ''}.`] : []),
          ...(state?.active ?? []).map(
            ({ type, id, status }) => `${type} ${id} is ${status} at the machine.`,
          ),
          ...(silent
            ? [
                `The machine is ${machine.healthStatus}, last seen ${machine.lastSeen ?? 'never'}: it may be long until it hears of it.`,
              ]
            : []),
        ],
        target: shownMachine(machine),
      };
    },

    async observe(context, request) {
      const wanted = meaningOf(request);
      if (wanted.of === 'indicator') {
        const { target, verb } = wanted.request;
        const { current, defeatedBy } = await indicators.stateOf(context, target);
        const inPlace = 'set' in verb ? current?.action === verb.set : current === null;
        const defeated = 'set' in verb ? defeatWarnings(verb.set, defeatedBy) : [];
        return {
          inPlace,
          message: [
            current === null
              ? `Defender has no indicator for ${target.value}.`
              : `Indicator ${current.id} for ${target.value} is ${current.action}.`,
            ...defeated,
          ].join(' '),
        };
      }
      if (wanted.of !== 'machine' || wanted.job.counterpart === undefined)
        return { inPlace: null, message: 'Defender does not tell.' };
      const machineId = await machines.idOf(context, wanted.machine);
      const { inPlace, by, active } = await machineActions.stateOf(context, wanted.job, machineId);
      return {
        // With nothing on record the machine has never been in that state.
        inPlace: inPlace ?? wanted.job.releases === true,
        message:
          by === null
            ? 'Defender has no record of it at this machine.'
            : `The last that took effect is ${by.type}, machine action ${by.id} of ${by.creationDateTimeUtc}.`,
        details: { machineId, underWay: active.map(({ id, type, status }) => ({ id, type, status })) },
      };
    },

    health: (context) => health(api, context),

    maintain: (context) => maintainIndicators(writer, context),
  });
}

function releaseOf({ type }: MachineJob): MachineJob | null {
  return type === 'Isolate' || type === 'RestrictCodeExecution' ? RELEASES[type] : null;
}

function setOrRemove(
  leases: IndicatorLeases,
  context: ExecutionContext<DefenderSettings>,
  { action, parameters, effectUntil }: Request,
  { target, verb }: IndicatorRequest,
): Promise<StepOutcome> {
  if ('remove' in verb) return leases.remove(context, target, verb.only);
  const wishes = wishesOf(action, context.actionId, parameters as Readonly<Record<string, unknown>>);
  return leases.set(context, target, { ...wishes, action: verb.set }, effectUntil);
}

async function planOfIndicator(
  indicators: Indicators,
  context: CallContext<DefenderSettings>,
  action: keyof typeof actions,
  { target, verb }: IndicatorRequest,
): Promise<Plan> {
  const { current, defeatedBy } = await indicators.stateOf(context, target);
  const wanted = 'set' in verb ? verb.set : null;
  const nothing = wanted === null ? current === null : current?.action === wanted;
  return {
    summary: `${actions[action].title}: ${target.value}`,
    changes: nothing
      ? []
      : [
          `Indicator of ${target.type} ${target.value}: ${current?.action ?? 'none'} becomes ${wanted ?? 'none'}.`,
        ],
    warnings: wanted === null ? [] : defeatWarnings(wanted, defeatedBy),
    target: { indicatorType: target.type, indicatorValue: target.value },
  };
}

/** Microsoft withdraws it, and has not documented how far one can be followed: what is told is that it began. */
async function investigate(
  api: DefenderApi,
  context: ExecutionContext<DefenderSettings>,
  machineId: string,
  words: string,
): Promise<StepOutcome> {
  const marker = markerOf(context.actionId, context.idempotencyKey);
  const { body } = await api.request(context, {
    method: 'POST',
    path: `/machines/${machineId}/startInvestigation`,
    json: { Comment: marked(words, marker) },
    answer: Type.Object({ id: Type.Union([Type.String(), Type.Number()]) }),
    needs: ['Alert.ReadWrite.All'],
  });
  return {
    kind: 'completed',
    result: {
      investigationId: String(body.id),
      machineId,
      message: 'Defender has started the investigation. Follow it in the Defender portal.',
    },
    effect: { changed: true, ids: [String(body.id)] },
  };
}
