import { badRequest } from './refusal.js';

/** How the vendor is, until it is told to be otherwise. Times are the vendor's: they pass `speed` times as fast. */
export interface Behaviour {
  /** Milliseconds an action is Pending, then InProgress. Defaults 2,000 and 3,000. */
  readonly pendingMs: number;
  readonly runningMs: number;
  /** Milliseconds until what was created can be got and listed. Default 0. */
  readonly visibleAfterMs: number;
  /** Milliseconds before every answer. Default 0. */
  readonly latencyMs: number;
  /**
   * A second isolate while the first is under way: `refused` with ActiveRequestAlreadyExists (default), or `pending`,
   * as a new action that waits. One of a host that is isolated always waits until the host is released, and then
   * isolates it again.
   */
  readonly duplicateIsolate: 'refused' | 'pending';
  /** An action of another type while one is under way at the machine. Default `accepted`. */
  readonly otherType: 'accepted' | 'refused';
  /** What a cancel does to an isolation or a scan that is InProgress. Default `cancelled`; `finishes`: it goes on. */
  readonly lateCancel: 'cancelled' | 'finishes';
  /** Whether machines can be filtered by `lastIpAddress`: the documentation's pages differ. Default true. */
  readonly filtersByLastIp: boolean;
  /** What every action shows as its status; null: its own. Default null. */
  readonly shownStatus: string | null;
  /** Indicators a tenant can have. Default 15,000. */
  readonly mostIndicators: number;
  /** Values that an import says have failed, whatever they are. Default none. */
  readonly badRows: readonly string[];
  /** Seconds a token holds, on the wall. Default 3,599. */
  readonly tokenSeconds: number;
}

export const DEFAULT_BEHAVIOUR: Behaviour = {
  pendingMs: 2000,
  runningMs: 3000,
  visibleAfterMs: 0,
  latencyMs: 0,
  duplicateIsolate: 'refused',
  otherType: 'accepted',
  lateCancel: 'cancelled',
  filtersByLastIp: true,
  shownStatus: null,
  mostIndicators: 15_000,
  badRows: [],
  tokenSeconds: 3599,
};

/** How an action ends, or where it stays. */
const ENDINGS = ['Succeeded', 'Failed', 'TimeOut', 'Cancelled', 'stuckPending', 'stuckInProgress'] as const;
export type Ending = (typeof ENDINGS)[number];

/** What becomes of the next actions of a kind. */
export interface Fate {
  /** Of this type only, as `Isolate`. Default: any. */
  readonly type?: string;
  /** Of this machine only. Default: any. */
  readonly machineId?: string;
  readonly end: Ending;
  /** How many actions. Default 1. */
  times?: number;
}

/** What happens to requests. `After`: what was asked for has been done. */
const FAULTS = [
  'error',
  'errorAfter',
  'cut',
  'cutAfter',
  'hang',
  'hangAfter',
  'throttle',
  'activeRequest',
  'expireToken',
  'garbage',
] as const;

/** A fault that the next requests meet. */
export interface Fault {
  /** A call by its name (`isolate`, `getAction`, `token` …), or `*` for any but the token's. */
  readonly call: string;
  readonly how: (typeof FAULTS)[number];
  /** Of `error` and `errorAfter`. Default 500. */
  readonly status?: number;
  /** Seconds, of `throttle`. Default 1. */
  readonly retryAfter?: number;
  /** Requests that meet it. Default 1; with `share`, without end. */
  times?: number;
  /** Requests that pass before the first one meets it. Default 0. */
  after?: number;
  /** Of the requests, the share that meets it, drawn from the seed. Default 1. */
  readonly share?: number;
}

/** @throws Refusal for a key that no behaviour has */
export function parseBehaviour(given: object): Partial<Behaviour> {
  const unknown = Object.keys(given).find((key) => !(key in DEFAULT_BEHAVIOUR));
  if (unknown !== undefined)
    throw badRequest(
      'UnknownBehaviour',
      `there is ${Object.keys(DEFAULT_BEHAVIOUR).join(', ')}, not ${unknown}`,
    );
  return given;
}

/** @throws Refusal for a fault that there is not */
export function parseFault(given: Fault): Fault {
  if (!FAULTS.includes(given.how))
    throw badRequest('UnknownFault', `there is ${FAULTS.join(', ')}, not ${given.how}`);
  return given.share === undefined ? { times: 1, ...given } : { ...given };
}

/** @throws Refusal for an end that there is not */
export function parseFate(given: Fate): Fate {
  if (!ENDINGS.includes(given.end))
    throw badRequest('UnknownEnding', `there is ${ENDINGS.join(', ')}, not ${given.end}`);
  return { times: 1, ...given };
}
