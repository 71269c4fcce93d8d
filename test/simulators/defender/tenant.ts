import { randomUUID } from 'node:crypto';
import type { Behaviour } from './behaviour.js';
import { shownTime, type VendorClock } from './clock.js';
import { Indicators } from './indicators.js';
import { MachineActions, type ActionsContext } from './machine-actions.js';
import { Machines, type Machine, type MachineSpec } from './machines.js';
import { badRequest, notFound } from './refusal.js';
import type { Referee } from './referee.js';

interface Investigation {
  readonly id: string;
  readonly machine: Machine;
  readonly startedAt: number;
}

/** What one tenant has. Nothing of it is seen by another. */
export class Tenant {
  readonly machines: Machines;
  readonly actions: MachineActions;
  readonly indicators: Indicators;
  readonly #investigations = new Map<string, Investigation>();

  constructor(
    readonly context: Omit<ActionsContext, 'machines'> & { readonly referee: Referee },
    machines: readonly MachineSpec[],
  ) {
    const { clock, referee, behaviour, tenantId } = context;
    this.machines = new Machines(clock, machines);
    this.actions = new MachineActions({ ...context, machines: this.machines });
    this.indicators = new Indicators(clock, referee, behaviour, tenantId);
  }

  /** @throws Refusal 400 while one of this machine is under way */
  investigate(machine: Machine): Investigation {
    const { clock, behaviour } = this.context;
    const busy = [...this.#investigations.values()].some(
      (one) => one.machine === machine && stateOf(one, clock, behaviour()) === 'Running',
    );
    if (busy) throw badRequest('ActiveRequestAlreadyExists', 'Action is already in progress');
    const id = String(this.#investigations.size + 1);
    const investigation = { id, machine, startedAt: clock.now() };
    this.#investigations.set(id, investigation);
    return investigation;
  }

  /** @throws Refusal 404 */
  investigation(id: string): Investigation {
    const found = this.#investigations.get(id);
    if (found === undefined) throw notFound(`Investigation ${id} was not found`);
    return found;
  }

  shownInvestigation(investigation: Investigation) {
    const { id, machine, startedAt } = investigation;
    return {
      id,
      startTime: shownTime(startedAt),
      endTime: null,
      state: stateOf(investigation, this.context.clock, this.context.behaviour()),
      cancelledBy: null,
      statusDetails: null,
      machineId: machine.id,
      computerDnsName: machine.computerDnsName,
      triggeringAlertId: randomUUID(),
    };
  }
}

function stateOf({ startedAt }: Investigation, clock: VendorClock, behaviour: Behaviour): string {
  const { pendingMs, runningMs } = behaviour;
  return clock.now() < startedAt + clock.lasting(pendingMs + runningMs) ? 'Running' : 'Benign';
}
