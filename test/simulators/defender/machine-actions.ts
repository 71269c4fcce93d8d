import { randomUUID } from 'node:crypto';
import { entityModel, type EntityModel } from '#odata';
import type { Behaviour, Ending, Fate } from './behaviour.js';
import { shownTime, type VendorClock } from './clock.js';
import { runCommands, toRun, type Command, type CommandRun } from './live-response.js';
import type { Machine, Machines } from './machines.js';
import { badRequest, notFound, Refusal } from './refusal.js';
import { markerOf, type Referee } from './referee.js';

export type ActionType =
  | 'Isolate'
  | 'Unisolate'
  | 'RestrictCodeExecution'
  | 'UnrestrictCodeExecution'
  | 'RunAntiVirusScan'
  | 'StopAndQuarantineFile'
  | 'CollectInvestigationPackage'
  | 'Offboard'
  | 'LiveResponse';

type Status = 'Pending' | 'InProgress' | 'Succeeded' | 'Failed' | 'TimeOut' | 'Cancelled';

/** What is asked for, checked. */
export interface Order {
  readonly type: ActionType;
  readonly machine: Machine;
  readonly comment: string;
  readonly requestor: string;
  readonly scope?: string;
  readonly sha1?: string;
  readonly commands?: readonly Command[];
}

export interface MachineAction extends Order {
  readonly id: string;
  readonly createdAt: number;
  readonly visibleAt: number;
  readonly runs: readonly CommandRun[];
  readonly end: Ending;
  status: Status;
  updatedAt: number;
  /** Not before then does it begin. */
  startsAt: number;
  /** Infinity until it has begun. */
  endsAt: number;
  cancelled: { readonly by: string; readonly comment: string; readonly at: number } | null;
}

const text = { type: 'string' } as const;
export const ACTION_MODEL: EntityModel = entityModel({
  id: { type: 'guid' },
  status: text,
  machineId: text,
  type: text,
  requestor: text,
  creationDateTimeUtc: { type: 'dateTime' },
});

/** Milliseconds that what is told to a machine waits for it to come online. */
const WAITS_FOR_MACHINE_MS = 3 * 86_400_000;
/** Live responses a tenant can have under way. */
const CONCURRENT_SESSIONS = 25;

/** What the machine actions of a tenant need to know. */
export interface ActionsContext {
  readonly clock: VendorClock;
  readonly referee: Referee;
  readonly machines: Machines;
  readonly behaviour: () => Behaviour;
  /** What becomes of the next action of this type at this machine. */
  readonly fate: (order: Order) => Fate | undefined;
  readonly library: () => Readonly<Record<string, number>>;
  readonly tenantId: string;
}

/** The machine actions of one tenant. Time passes when it is looked at: what was due happens then, in its order. */
export class MachineActions {
  readonly #actions = new Map<string, MachineAction>();
  /** Those that have not ended, by their machine, the oldest first. */
  readonly #open = new Map<Machine, readonly MachineAction[]>();

  constructor(readonly context: ActionsContext) {}

  /** @throws Refusal 400 ActiveRequestAlreadyExists while another is under way; 429 for too many live responses */
  create(order: Order): MachineAction {
    this.pass();
    const { clock, referee, tenantId, behaviour } = this.context;
    this.#refuseIfBusy(order);
    const now = clock.now();
    const { pendingMs, visibleAfterMs } = behaviour();
    const action: MachineAction = {
      ...order,
      id: randomUUID(),
      createdAt: now,
      visibleAt: now + clock.lasting(visibleAfterMs),
      runs: (order.commands ?? []).map(toRun),
      end: this.context.fate(order)?.end ?? 'Succeeded',
      status: 'Pending',
      updatedAt: now,
      startsAt: now + clock.lasting(pendingMs),
      endsAt: Infinity,
      cancelled: null,
    };
    const { type, machine, id, comment } = action;
    this.#actions.set(id, action);
    this.#open.set(machine, [...this.#openAt(machine), action]);
    referee.note({
      event: 'created',
      type,
      machineId: machine.id,
      actionId: id,
      marker: markerOf(comment),
      tenantId,
    });
    return action;
  }

  /** An action of somebody else that has succeeded: no fact for the referee. */
  putSucceeded(type: ActionType, machine: Machine): void {
    const now = this.context.clock.now();
    const id = randomUUID();
    this.#actions.set(id, {
      type,
      machine,
      comment: 'by hand',
      requestor: 'analyst@contoso.com',
      ...(type === 'Isolate' ? { scope: 'Full' } : {}),
      id,
      createdAt: now - 1,
      visibleAt: now - 1,
      runs: [],
      end: 'Succeeded',
      status: 'Succeeded',
      updatedAt: now - 1,
      startsAt: now - 1,
      endsAt: now - 1,
      cancelled: null,
    });
    applyTo(machine, type, 'Full');
  }

  /** @throws Refusal 404, also for one that cannot be seen yet */
  get(id: string): MachineAction {
    this.pass();
    const action = this.#actions.get(id.toLowerCase());
    if (action === undefined || action.visibleAt > this.context.clock.now())
      throw notFound(`Machine action ${id} was not found`);
    return action;
  }

  /** Those that can be seen, the newest first. */
  list(): readonly MachineAction[] {
    this.pass();
    const now = this.context.clock.now();
    return [...this.#actions.values()].filter(({ visibleAt }) => visibleAt <= now).toReversed();
  }

  /** @throws Refusal 400 for one that has ended */
  cancel(action: MachineAction, by: string, comment: string): MachineAction {
    this.pass();
    if (isFinal(action))
      throw badRequest('BadRequest', `Machine action ${action.id} is in the final state ${action.status}`);
    const now = this.context.clock.now();
    action.cancelled = { by, comment, at: now };
    const goesOn =
      action.status === 'InProgress' &&
      (action.type === 'Isolate' || action.type === 'RunAntiVirusScan') &&
      this.context.behaviour().lateCancel === 'finishes';
    if (goesOn) return action;
    this.#end(action, 'Cancelled', now);
    const { type, machine, id } = action;
    this.context.referee.note({ event: 'cancelled', type, machineId: machine.id, actionId: id });
    return action;
  }

  /** Ends one now, whatever it waits for; false where it has ended. */
  finish(id: string, end: Status = 'Succeeded'): boolean {
    this.pass();
    const action = this.#actions.get(id.toLowerCase());
    if (action === undefined || isFinal(action)) return false;
    this.#end(action, end, this.context.clock.now());
    return true;
  }

  /** Once it is online, what waited for it can begin. */
  setOnline(machine: Machine, online: boolean): void {
    this.pass();
    machine.online = online;
    this.#holdUntil(machine, this.context.clock.now());
  }

  /** Lets happen what was due until now. */
  pass(): void {
    const now = this.context.clock.now();
    for (;;) {
      let due: MachineAction | undefined;
      let dueAt = Infinity;
      for (const actions of this.#open.values())
        for (const action of actions) {
          const at = this.#nextAt(action);
          if (at <= now && at < dueAt) [due, dueAt] = [action, at];
        }
      if (due === undefined) return;
      this.#advance(due, dueAt);
    }
  }

  shown(action: MachineAction) {
    const { machine, cancelled, sha1 } = action;
    return {
      id: action.id,
      type: action.type,
      title: null,
      requestor: action.requestor,
      requestorComment: action.comment,
      requestSource: 'PublicApi',
      status: this.context.behaviour().shownStatus ?? action.status,
      machineId: machine.id,
      computerDnsName: machine.computerDnsName,
      scope: action.scope ?? null,
      creationDateTimeUtc: shownTime(action.createdAt),
      lastUpdateDateTimeUtc: shownTime(action.updatedAt),
      cancellationRequestor: cancelled?.by ?? null,
      cancellationComment: cancelled?.comment ?? null,
      cancellationDateTimeUtc: cancelled === null ? null : shownTime(cancelled.at),
      errorHResult: action.status === 'Failed' ? -2_147_024_809 : 0,
      externalID: null,
      relatedFileInfo: sha1 === undefined ? null : { fileIdentifier: sha1, fileIdentifierType: 'Sha1' },
      commands: action.runs.map(({ index, command, commandStatus, startedAt, endedAt, errors }) => ({
        index,
        startTime: startedAt === null ? null : shownTime(startedAt),
        endTime: endedAt === null ? null : shownTime(endedAt),
        commandStatus,
        errors,
        command,
      })),
    };
  }

  /** As the list shows it, which names one property differently. */
  shownInList(action: MachineAction) {
    const { lastUpdateDateTimeUtc, ...rest } = this.shown(action);
    return { ...rest, lastUpdateTimeUtc: lastUpdateDateTimeUtc };
  }

  #openAt(machine: Machine): readonly MachineAction[] {
    return this.#open.get(machine) ?? [];
  }

  #refuseIfBusy({ type, machine }: Order): void {
    const { duplicateIsolate, otherType } = this.context.behaviour();
    const busy = this.#openAt(machine).some((action) =>
      action.type === type ? type !== 'Isolate' || duplicateIsolate === 'refused' : otherType === 'refused',
    );
    if (busy) throw badRequest('ActiveRequestAlreadyExists', 'Action is already in progress');
    const sessions = [...this.#open.values()].flat().filter((action) => action.type === 'LiveResponse');
    if (type === 'LiveResponse' && sessions.length >= CONCURRENT_SESSIONS)
      throw new Refusal(429, 'TooManyRequests', 'Too many concurrent live response sessions', 60);
  }

  /** When something happens to it next; Infinity where that waits for something else. */
  #nextAt(action: MachineAction): number {
    const { clock } = this.context;
    if (action.status === 'InProgress') return action.end === 'stuckInProgress' ? Infinity : action.endsAt;
    if (action.end === 'stuckPending') return Infinity;
    if (!action.machine.online) return action.createdAt + clock.lasting(WAITS_FOR_MACHINE_MS);
    return this.#waitsForRelease(action) ? Infinity : action.startsAt;
  }

  /** An isolation of a host that is isolated, or that another one is about to isolate. */
  #waitsForRelease(action: MachineAction): boolean {
    if (action.type !== 'Isolate') return false;
    if (action.machine.isolated !== null) return true;
    return this.#openAt(action.machine).find(({ type }) => type === 'Isolate') !== action;
  }

  #advance(action: MachineAction, at: number): void {
    if (action.status === 'Pending' && !action.machine.online) return this.#end(action, 'TimeOut', at);
    if (action.status === 'Pending') {
      action.status = 'InProgress';
      action.updatedAt = at;
      action.endsAt = at + this.context.clock.lasting(this.context.behaviour().runningMs);
      return;
    }
    const { end } = action;
    this.#end(action, end === 'stuckPending' || end === 'stuckInProgress' ? 'Succeeded' : end, at);
  }

  #end(action: MachineAction, status: Status, at: number): void {
    const { type, machine, id, scope = 'Full' } = action;
    action.status = status;
    action.updatedAt = at;
    this.#open.set(
      machine,
      this.#openAt(machine).filter((one) => one !== action),
    );
    if (type === 'LiveResponse' && (status === 'Succeeded' || status === 'Failed'))
      runCommands(action.runs, this.context.library(), at, status === 'Failed');
    if (status === 'Succeeded') {
      const changed = applyTo(machine, type, scope);
      this.context.referee.note({ event: 'applied', type, machineId: machine.id, actionId: id, changed });
    }
    // Whatever waited for this one begins after it, not before.
    this.#holdUntil(machine, at);
  }

  #holdUntil(machine: Machine, at: number): void {
    for (const action of this.#openAt(machine))
      if (action.status === 'Pending') action.startsAt = Math.max(action.startsAt, at);
  }
}

function isFinal({ status }: Pick<MachineAction, 'status'>): boolean {
  return status !== 'Pending' && status !== 'InProgress';
}

/** What an action that succeeds does to its machine; false where it was so before. */
function applyTo(machine: Machine, type: ActionType, scope: string): boolean {
  const { isolated, restricted, onboardingStatus } = machine;
  switch (type) {
    case 'Isolate':
      machine.isolated = isolated ?? scope;
      return isolated === null;
    case 'Unisolate':
      machine.isolated = null;
      return isolated !== null;
    case 'RestrictCodeExecution':
      machine.restricted = true;
      return !restricted;
    case 'UnrestrictCodeExecution':
      machine.restricted = false;
      return restricted;
    case 'Offboard':
      machine.onboardingStatus = 'Offboarded';
      return onboardingStatus !== 'Offboarded';
    case 'RunAntiVirusScan':
    case 'StopAndQuarantineFile':
    case 'CollectInvestigationPackage':
    case 'LiveResponse':
      return true;
  }
}
