import { randomUUID } from 'node:crypto';
import { INDICATOR_MODEL, type Asker } from './indicators.js';
import { listed } from './listing.js';
import { parseCommands } from './live-response.js';
import { ACTION_MODEL, type ActionType, type MachineAction, type Order } from './machine-actions.js';
import { MACHINE_MODEL, MACHINE_MODEL_WITH_IP, type Machine } from './machines.js';
import type { QuotaClass } from './quota.js';
import { badRequest, notFound, Refusal } from './refusal.js';
import type { Tenant } from './tenant.js';
import type { Caller } from './tokens.js';

/** A call that was let in. */
interface Call {
  readonly tenant: Tenant;
  readonly caller: Caller;
  /** What the path's groups hold, decoded. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  readonly body: string;
  /** A link to these contents, for half an hour. */
  readonly link: (contents: string) => string;
}

interface Answer {
  readonly status: number;
  /** Undefined: none. */
  readonly body?: unknown;
}

interface Route {
  /** By which faults name it. */
  readonly call: string;
  readonly method: string;
  /** Below `/api`. */
  readonly path: RegExp;
  /** One of these is needed. */
  readonly roles: readonly string[];
  readonly quota: QuotaClass;
  readonly answer: (call: Call) => Answer;
}

type Body = Readonly<Record<string, unknown>>;

const READ_MACHINES = ['Machine.Read.All', 'Machine.ReadWrite.All'];
const TI = ['Ti.ReadWrite', 'Ti.ReadWrite.All'];
const ROLE_OF: Readonly<Record<ActionType, string>> = {
  Isolate: 'Machine.Isolate',
  Unisolate: 'Machine.Isolate',
  RestrictCodeExecution: 'Machine.RestrictExecution',
  UnrestrictCodeExecution: 'Machine.RestrictExecution',
  RunAntiVirusScan: 'Machine.Scan',
  StopAndQuarantineFile: 'Machine.StopAndQuarantine',
  CollectInvestigationPackage: 'Machine.CollectForensics',
  Offboard: 'Machine.Offboard',
  LiveResponse: 'Machine.LiveResponse',
};
/** A file that no machine has seen. */
const UNSEEN_SHA1 = '0'.repeat(40);

export const ROUTES: readonly Route[] = [
  {
    call: 'findByIp',
    method: 'GET',
    path: /^\/machines\/findbyip\(ip='([^']+)',\s*timestamp=([^)]+)\)$/,
    roles: READ_MACHINES,
    quota: 'general',
    answer: ({ tenant: { machines }, path: [ip = '', timestamp = ''] }) =>
      list(machines.seenWith(ip, timestamp).map((machine) => machines.shown(machine))),
  },
  {
    call: 'listMachines',
    method: 'GET',
    path: /^\/machines$/,
    roles: READ_MACHINES,
    quota: 'general',
    answer: ({ tenant: { machines, context }, query }) =>
      list(
        listed(
          machines.all().map((machine) => machines.shown(machine)),
          query,
          context.behaviour().filtersByLastIp ? MACHINE_MODEL_WITH_IP : MACHINE_MODEL,
        ),
      ),
  },
  {
    call: 'getMachine',
    method: 'GET',
    path: /^\/machines\/([^/]+)$/,
    roles: READ_MACHINES,
    quota: 'general',
    answer: ({ tenant: { machines }, path: [id = ''] }) => ok(machines.shown(machines.get(id))),
  },
  machineAction('isolate', 'Isolate', (machine, body) => {
    const scope = oneOf(body, 'IsolationType', ['Full', 'Selective', 'UnManagedDevice'], 'Full');
    if ((scope === 'UnManagedDevice') === (machine.onboardingStatus === 'Onboarded'))
      throw badRequest('InvalidInput', `Isolation type ${scope} is not supported for this device`);
    if (scope === 'Selective') refuseUnlessWindows(machine);
    return { scope };
  }),
  machineAction('unisolate', 'Unisolate', () => ({})),
  machineAction('restrictCodeExecution', 'RestrictCodeExecution', windowsOnly),
  machineAction('unrestrictCodeExecution', 'UnrestrictCodeExecution', windowsOnly),
  machineAction('runAntiVirusScan', 'RunAntiVirusScan', (_, body) => ({
    scope: oneOf(body, 'ScanType', ['Quick', 'Full']),
  })),
  machineAction('StopAndQuarantineFile', 'StopAndQuarantineFile', (machine, body) => {
    const sha1 = required(body, 'Sha1');
    if (!/^[0-9a-f]{40}$/i.test(sha1)) throw badRequest('InvalidHashValue', `${sha1} is no SHA-1`);
    refuseUnlessWindows(machine);
    if (sha1 === UNSEEN_SHA1) throw notFound(`Sha1 ${sha1} not found in machine ${machine.id}`);
    return { sha1 };
  }),
  machineAction('collectInvestigationPackage', 'CollectInvestigationPackage', () => ({})),
  machineAction('offboard', 'Offboard', windowsOnly),
  machineAction('runliveresponse', 'LiveResponse', (_, body, tenant) => ({
    commands: parseCommands(body['Commands'], tenant.context.library()),
  })),
  {
    call: 'startInvestigation',
    method: 'POST',
    path: /^\/machines\/([^/]+)\/startInvestigation$/,
    roles: ['Alert.ReadWrite.All'],
    quota: 'investigation',
    answer: ({ tenant, path: [id = ''], body }) => {
      const machine = tenant.machines.byId(id);
      required(parseBody(body), 'Comment');
      return { status: 201, body: tenant.shownInvestigation(tenant.investigate(machine)) };
    },
  },
  {
    call: 'getInvestigation',
    method: 'GET',
    path: /^\/investigations\/([^/]+)$/,
    roles: ['Alert.Read.All', 'Alert.ReadWrite.All'],
    quota: 'general',
    answer: ({ tenant, path: [id = ''] }) => ok(tenant.shownInvestigation(tenant.investigation(id))),
  },
  {
    call: 'listActions',
    method: 'GET',
    path: /^\/machineactions$/,
    roles: READ_MACHINES,
    quota: 'general',
    answer: ({ tenant: { actions }, query }) =>
      list(
        listed(
          actions.list().map((action) => actions.shownInList(action)),
          query,
          ACTION_MODEL,
        ),
      ),
  },
  {
    call: 'getAction',
    method: 'GET',
    path: /^\/machineactions\/([^/]+)$/,
    roles: READ_MACHINES,
    quota: 'general',
    answer: ({ tenant: { actions }, path: [id = ''] }) => ok(actions.shown(actions.get(id))),
  },
  {
    call: 'cancel',
    method: 'POST',
    path: /^\/machineactions\/([^/]+)\/cancel$/,
    // Of these the one that the action needed.
    roles: [...new Set(Object.values(ROLE_OF))],
    quota: 'general',
    answer: ({ tenant: { actions }, caller, path: [id = ''], body }) => {
      const comment = required(parseBody(body), 'Comment');
      const action = actions.get(id);
      refuseWithout(caller, [ROLE_OF[action.type]]);
      return ok(actions.shown(actions.cancel(action, caller.appId, comment)));
    },
  },
  {
    call: 'getPackageUri',
    method: 'GET',
    path: /^\/machineactions\/([^/]+)\/getPackageUri$/,
    roles: ['Machine.CollectForensics'],
    quota: 'package',
    answer: ({ tenant: { actions }, path: [id = ''], link }) => {
      const action = actions.get(id);
      refuseUnfinished(action, 'CollectInvestigationPackage');
      // With quotation marks of its own, as documented.
      return ok({ value: `"${link(`the package of ${action.machine.computerDnsName}`)}"` });
    },
  },
  {
    call: 'getLiveResponseLink',
    method: 'GET',
    path: /^\/machineactions\/([^/]+)\/GetLiveResponseResultDownloadLink\(index=(\d+)\)$/,
    roles: ['Machine.LiveResponse'],
    quota: 'general',
    answer: ({ tenant: { actions }, path: [id = '', index = ''], link }) => {
      const action = actions.get(id);
      refuseUnfinished(action, 'LiveResponse');
      const result = action.runs[Number(index)]?.result ?? null;
      if (result === null) throw notFound(`Command ${index} of ${id} has no result`);
      return ok({ value: link(result) });
    },
  },
  {
    call: 'listIndicators',
    method: 'GET',
    path: /^\/indicators$/,
    roles: TI,
    quota: 'general',
    answer: ({ tenant: { indicators }, caller, query }) =>
      list(
        listed(
          indicators.list(asker(caller)).map((indicator) => indicators.shown(indicator)),
          query,
          INDICATOR_MODEL,
        ),
      ),
  },
  {
    call: 'setIndicator',
    method: 'POST',
    path: /^\/indicators$/,
    roles: TI,
    quota: 'general',
    answer: ({ tenant: { indicators }, caller, body }) =>
      ok(indicators.shown(indicators.set(parseBody(body), asker(caller)))),
  },
  {
    call: 'importIndicators',
    method: 'POST',
    path: /^\/indicators\/import$/,
    roles: TI,
    quota: 'bulk',
    answer: ({ tenant: { indicators }, caller, body }) =>
      list(indicators.import(rowsOf(parseBody(body), 'Indicators') as readonly Body[], asker(caller))),
  },
  {
    call: 'batchDelete',
    method: 'POST',
    path: /^\/indicators\/BatchDelete$/,
    roles: TI,
    quota: 'batchDelete',
    answer: ({ tenant: { indicators }, caller, body }) => {
      indicators.remove(rowsOf(parseBody(body), 'IndicatorIds').map(String), asker(caller));
      return { status: 204 };
    },
  },
  {
    call: 'getIndicator',
    method: 'GET',
    path: /^\/indicators\/([^/]+)$/,
    roles: TI,
    quota: 'general',
    answer: ({ tenant: { indicators }, caller, path: [id = ''] }) =>
      ok(indicators.shown(indicators.get(id, asker(caller)))),
  },
  {
    call: 'deleteIndicator',
    method: 'DELETE',
    path: /^\/indicators\/([^/]+)$/,
    roles: TI,
    quota: 'general',
    answer: ({ tenant: { indicators }, caller, path: [id = ''] }) => {
      indicators.remove([id], asker(caller));
      return { status: 204 };
    },
  },
];

/** @throws Refusal 403 in Defender's words */
export function refuseWithout({ roles }: Caller, needed: readonly string[]): void {
  if (!needed.some((role) => roles.includes(role)))
    throw new Refusal(
      403,
      'Forbidden',
      `The application does not have any of the required application permissions (${needed.join(', ')}) to access the resource.`,
    );
}

function machineAction(
  segment: string,
  type: ActionType,
  details: (machine: Machine, body: Body, tenant: Tenant) => Pick<Order, 'scope' | 'sha1' | 'commands'>,
): Route {
  return {
    call: segment,
    method: 'POST',
    path: new RegExp(`^/machines/([^/]+)/${segment}$`),
    roles: [ROLE_OF[type]],
    quota: type === 'LiveResponse' ? 'liveResponse' : 'general',
    answer: ({ tenant, caller, path: [id = ''], body }) => {
      const machine = tenant.machines.byId(id);
      const given = parseBody(body);
      const comment = required(given, 'Comment');
      const order = { type, machine, comment, requestor: caller.appId, ...details(machine, given, tenant) };
      return {
        // The one page that says "200 - Created".
        status: type === 'Offboard' ? 200 : 201,
        body: tenant.actions.shown(tenant.actions.create(order)),
      };
    },
  };
}

function windowsOnly(machine: Machine): object {
  refuseUnlessWindows(machine);
  return {};
}

function refuseUnlessWindows({ osPlatform }: Machine): void {
  if (!osPlatform.startsWith('Windows'))
    throw badRequest('OsPlatformNotSupported', `The action is not supported on ${osPlatform}`);
}

function refuseUnfinished(action: MachineAction, type: ActionType): void {
  if (action.type !== type || !['Succeeded', 'Failed'].includes(action.status))
    throw notFound(`Machine action ${action.id} has no result`);
}

function parseBody(text: string): Body {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = null;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw badRequest('InvalidRequestBody', 'Request body is incorrect');
  return parsed as Body;
}

/** Names count as they are written: `comment` is not `Comment`. */
function required(body: Body, name: string): string {
  const value = body[name];
  if (typeof value !== 'string' || value.trim() === '')
    throw badRequest('MissingRequiredParameter', `Required parameter ${name} is missing`);
  return value;
}

function oneOf(body: Body, name: string, allowed: readonly string[], otherwise?: string): string {
  const value = otherwise === undefined || body[name] !== undefined ? required(body, name) : otherwise;
  if (!allowed.includes(value)) throw badRequest('InvalidInput', `${name} ${value} is not supported`);
  return value;
}

function rowsOf(body: Body, name: string): readonly unknown[] {
  const rows = body[name];
  if (!Array.isArray(rows))
    throw badRequest('MissingRequiredParameter', `Required parameter ${name} is missing`);
  return rows;
}

function asker({ appId, roles }: Caller): Asker {
  return { appId, everybodys: roles.includes('Ti.ReadWrite.All') };
}

const ok = (body: unknown): Answer => ({ status: 200, body });

const list = (value: readonly unknown[]): Answer =>
  ok({ '@odata.context': 'https://api.security.microsoft.com/api/$metadata', value });

/** The body of a refusal; `target` is what Defender's support asks for. */
export function refusalBody({ code, message }: Refusal): object {
  return { error: { code, message, target: randomUUID() } };
}
