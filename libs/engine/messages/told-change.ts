import type { ActionPhase, SecurityAction } from '#domain';
import { plainLine } from '../plain-text.js';
import type { Fact, Told, Tone } from './message.js';

const MOST_NAME = 100;
const MOST_LABEL = 40;
const MOST_VALUE = 300;
const MOST_PARAMETERS = 6;

const ENDED: Partial<Readonly<Record<ActionPhase, readonly [outcome: string, tone: Tone]>>> = {
  done: ['completed', 'good'],
  failed: ['failed', 'bad'],
  cancelled: ['was cancelled', 'neutral'],
  cancelledAtProvider: ['was cancelled at the vendor', 'neutral'],
  timedOut: ['timed out', 'bad'],
  expired: ['expired before it was started', 'neutral'],
  outcomeUnknown: ['ended with an unknown outcome: find out what became of it', 'unknown'],
  poisoned: ['was given up: workers crashed on it', 'bad'],
};

/**
 * What people are told of a change of an action.
 * @param step which of its changes, from 0
 * @param publicUrl where the console is; null: nobody knows
 */
export function toldChange(action: SecurityAction, step: number, publicUrl: string | null): Told {
  const { status, updatedAt, user, appId } = action.states[step] ?? {
    ...action,
    updatedAt: action.lastActionAt,
  };
  const [outcome, tone] = outcomeOf(status, action.phase);
  const { vendor, provider, subProvider } = action.vendorInformation;
  const who = user ?? `application ${appId}`;
  const facts: readonly (readonly [string, string | null])[] = [
    // Secret ones have no value on record.
    ...action.parameters.slice(0, MOST_PARAMETERS).map(({ name, value }) => [name, value] as const),
    ['Problem', status === 'Failed' ? (action.errorInfo?.message ?? null) : null],
    ['Reason', action.actionReason],
    [status === 'NotStarted' ? 'Requested by' : 'By', who],
    ['Provider', [vendor, provider, subProvider].filter((one) => one !== null && one !== '').join(' / ')],
    ['Instance', action.instance],
    ['Time', updatedAt.toISOString()],
    ['Action', action.id],
    ['Tenant', action.tenantId],
  ];
  return {
    name: plainLine(action.name, MOST_NAME),
    outcome,
    tone,
    facts: facts.flatMap(([label, value]) => factOf(label, value)),
    link: publicUrl === null ? null : `${publicUrl}/actions/${action.id}`,
  };
}

function outcomeOf(status: SecurityAction['status'], phase: ActionPhase): readonly [string, Tone] {
  switch (status) {
    case 'NotStarted':
      return ['was requested', 'neutral'];
    case 'Running':
      return ['was started', 'neutral'];
    case 'Completed':
      return ['completed', 'good'];
    case 'Failed':
      return ENDED[phase] ?? ['failed', 'bad'];
  }
}

function factOf(label: string, value: string | null): readonly Fact[] {
  const shown = plainLine(value ?? '', MOST_VALUE);
  return shown === '' ? [] : [{ label: plainLine(label, MOST_LABEL), value: shown }];
}
