import type { ServerResponse } from 'node:http';
import { answerJson, type Incoming } from '../simulator-server.js';
import type { Behaviour, Ending, Fate, Fault } from './behaviour.js';
import type { MachineSpec } from './machines.js';
import { badRequest, notFound, Refusal } from './refusal.js';
import type { Counts, Fact } from './referee.js';
import type { Tenant } from './tenant.js';
import type { App, Tokens } from './tokens.js';

/** What can be told by `/_control`. */
export interface Controlled {
  readonly tokens: Tokens;
  reset(): void;
  behave(behaviour: Partial<Behaviour>): Behaviour;
  fault(...faults: readonly Fault[]): void;
  clearFaults(): void;
  destine(...fates: readonly Fate[]): void;
  setLibrary(library: Readonly<Record<string, number>>): void;
  tenant(tenantId?: string): Tenant;
  counts(): Counts;
  facts(): readonly Fact[];
}

/** Answers a request below `/_control`: 200 with what it tells, `{}` where that is nothing; 400, 404 with `error`. */
export function answerControl(
  simulator: Controlled,
  path: string,
  { method, body, url }: Incoming,
  response: ServerResponse,
): void {
  try {
    const route = `${method} ${path.slice('/_control'.length)}`;
    answerJson(response, 200, told(simulator, route, body, url.searchParams.get('tenant')) ?? {});
  } catch (error) {
    if (error instanceof SyntaxError) return answerJson(response, 400, { error: 'no JSON' });
    if (!(error instanceof Refusal)) throw error;
    answerJson(response, error.status, { error: error.message });
  }
}

function told(simulator: Controlled, route: string, body: string, tenantId: string | null): unknown {
  const tenant = (): Tenant => simulator.tenant(tenantId ?? undefined);
  const [, first = '', second = ''] = /^\w+ \/[a-z]+\/([^/]+)(?:\/([^/]+))?$/.exec(route) ?? [];
  switch (route.replace(/^(\w+ \/(?:machines|actions|apps))\/.+/, '$1/:id')) {
    case 'GET /ledger':
      return { ...simulator.counts(), facts: simulator.facts() };
    case 'POST /reset':
      return simulator.reset();
    case 'PUT /behaviour':
      return simulator.behave(JSON.parse(body) as Partial<Behaviour>);
    case 'POST /faults':
      return simulator.fault(...([JSON.parse(body)].flat() as readonly Fault[]));
    case 'DELETE /faults':
      return simulator.clearFaults();
    case 'POST /fates':
      return simulator.destine(...([JSON.parse(body)].flat() as readonly Fate[]));
    case 'PUT /library':
      return simulator.setLibrary(JSON.parse(body) as Readonly<Record<string, number>>);
    case 'POST /tokens/expire':
      return simulator.tokens.expireAll();
    case 'PUT /apps/:id':
      return simulator.tokens.register(first, second, JSON.parse(body) as App);
    case 'POST /machines':
      return { id: tenant().machines.add(JSON.parse(body) as MachineSpec).id };
    case 'PUT /machines/:id':
      return changeMachine(tenant(), first, JSON.parse(body) as MachineChange);
    case 'POST /actions/:id': {
      const { end = 'Succeeded' } = JSON.parse(body === '' ? '{}' : body) as { end?: Ending };
      if (end === 'stuckPending' || end === 'stuckInProgress')
        throw badRequest('UnknownEnding', `${end} is no end`);
      return { finished: tenant().actions.finish(first, end) };
    }
    default:
      throw notFound(`there is no ${route}`);
  }
}

interface MachineChange {
  readonly online?: boolean;
  readonly isolated?: boolean;
}

function changeMachine({ machines, actions }: Tenant, id: string, { online, isolated }: MachineChange): void {
  const machine = machines.byId(id);
  if (online !== undefined) actions.setOnline(machine, online);
  if (isolated !== undefined) actions.putSucceeded(isolated ? 'Isolate' : 'Unisolate', machine);
}
