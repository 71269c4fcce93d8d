import { createHash } from 'node:crypto';
import type { SecurityAction } from '#domain';
import { canonicalJson } from './canonical-json.js';
import type { AuditActor, AuditEvent } from './entry.js';
import type { NewAuditEvent } from './recorder.js';

/** What the record of an action has to hold for its {@link eventsOf}. */
export type AuditedAction = Pick<
  SecurityAction,
  | 'id'
  | 'tenantId'
  | 'appId'
  | 'user'
  | 'name'
  | 'instance'
  | 'parameters'
  | 'reverts'
  | 'phase'
  | 'states'
  | 'createdAt'
  | 'completedAt'
  | 'errorInfo'
  | 'cancel'
  | 'resolution'
>;

/**
 * What was done with an action, out of its own history: that is written in one with what it tells of, so nothing can
 * have been done that is not there. Each event is told the same way for as long as the record is there, whenever it is
 * read. The engine's own doings (claims, attempts, a cancel at the deadline) are none, but how it ended is.
 */
export function eventsOf(action: AuditedAction): readonly AuditEvent[] {
  const { id, tenantId, cancel, resolution, completedAt, states, errorInfo } = action;
  const event = (
    kind: AuditEvent['kind'],
    at: Date,
    by: { readonly appId: string; readonly user: string | null },
    details: AuditEvent['details'],
  ): AuditEvent => ({
    chain: tenantId,
    at: at.toISOString(),
    kind,
    by: { appId: by.appId, user: by.user, address: null },
    about: { actionId: id, instance: action.instance },
    details,
    source: `action:${id}:${kind}`,
  });
  const events = [
    event('action.created', action.createdAt, action, {
      name: action.name,
      parameters: action.parameters.map(({ name }) => name),
      reverts: action.reverts,
    }),
  ];
  if (cancel?.why === 'caller') {
    // One write stamps both where nothing had been issued; else the action ends by another one, later.
    const atOnce = action.phase === 'cancelled' && completedAt?.getTime() === cancel.at.getTime();
    events.push(
      event('action.cancelRequested', cancel.at, cancel, { answer: atOnce ? 'cancelled' : 'requested' }),
    );
  }
  const last = states.at(-1);
  if (completedAt !== null && last !== undefined)
    events.push(
      event('action.ended', completedAt, last, {
        status: last.status,
        phase: action.phase,
        code: errorInfo?.code ?? null,
      }),
    );
  if (resolution !== null)
    events.push(event('action.resolved', resolution.at, resolution.by, { verdict: resolution.verdict }));
  return events;
}

/**
 * That somebody asked for the end of an action whose history, of which {@link eventsOf} tells, has another who asked for
 * it, or its deadline. It has the same id however often they ask.
 *
 * @param answer what it came to
 * @returns null: the history tells of them
 */
export function cancelBeside(
  { id, tenantId, instance, cancel }: Pick<AuditedAction, 'id' | 'tenantId' | 'instance' | 'cancel'>,
  by: AuditActor,
  answer: 'cancelled' | 'requested',
): NewAuditEvent | null {
  const { appId, user } = by;
  if (cancel?.why === 'caller' && cancel.appId === appId && cancel.user === user) return null;
  const who = createHash('sha256')
    .update(canonicalJson([appId, user]))
    .digest('hex');
  return {
    id: `cancel:${id}:${who}`,
    chain: tenantId,
    kind: 'action.cancelRequested',
    by,
    about: { actionId: id, instance },
    details: { answer },
  };
}
