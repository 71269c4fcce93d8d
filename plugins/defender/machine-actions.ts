import { isDeepStrictEqual } from 'node:util';
import {
  ProviderError,
  type CallContext,
  type CancelAnswer,
  type ExecutionContext,
  type Json,
  type PendingOperation,
  type ReconcileOutcome,
  type StepOutcome,
  type VendorOperation,
} from '#provider-sdk';
import { DefenderError, READ_MACHINES, quoted, type Context, type DefenderApi } from './defender-api.js';
import type { LiveResponses } from './live-responses.js';
import {
  endOf,
  isActive,
  machineActionList,
  machineActionSchema,
  newestFirst,
  type MachineAction,
} from './machine-action.js';
import type { MachineJob } from './machine-jobs.js';
import { hasMarker, marked, markerOf } from './marker.js';
import type { DefenderSettings } from './settings.js';

/** Rows a list may give at once, by Microsoft's documentation. */
const MOST_ROWS = 10_000;
const MOST_PAGES = 10;
/** A row has about 1 KiB. */
const MOST_LIST_BYTES = 33_554_432;
/** Milliseconds: by so much Defender's clock may be behind ours. */
const CLOCKS_DIFFER_MS = 120_000;
/** Milliseconds: a live response for a machine that is away stays pending for three days, all else for less. */
const LONGEST_LIFE_MS = 345_600_000;
/** Milliseconds until a machine that is busy with something else is tried again. */
const BUSY_MS = 30_000;
const YOUNG_MS = 30_000;
const OLD_MS = 600_000;

/** What an operation has to know of its machine action, to be polled by any worker. */
interface Watched {
  readonly type: string;
  readonly machineId: string;
  /** Its `creationDateTimeUtc`, as Defender gave it. */
  readonly createdAt: string;
  /** Milliseconds since 1970, by our clock. */
  readonly issuedAt: number;
  /** False: somebody else asked for it, and we only wait for its end. */
  readonly ours: boolean;
  readonly scripts?: readonly number[];
  readonly done: string;
  readonly hint?: string;
  readonly warnings?: readonly string[];
}

/** In which state a machine is, as its history tells; Defender has no field for it. */
export interface MachineState {
  /** Null: no finished action of either type is on record. */
  readonly inPlace: boolean | null;
  readonly by: MachineAction | null;
  readonly active: readonly MachineAction[];
}

/** Response actions on machines: issued once, found again by their marker, followed to their end. */
export class MachineActions {
  readonly #told = new Set<string>();

  constructor(
    readonly api: DefenderApi,
    readonly liveResponses: LiveResponses,
  ) {}

  /**
   * Sends the job, unless the machine is in the wanted state, or the same is under way there: that is waited for.
   * Called again with the same key it goes on with what it made.
   */
  async issue(
    context: ExecutionContext<DefenderSettings>,
    job: MachineJob,
    machineId: string,
    words: string,
  ): Promise<StepOutcome> {
    const marker = markerOf(context.actionId, context.idempotencyKey);
    const history = await this.#historyOf(context, job, machineId);
    const mine = history.find(
      ({ type, requestorComment }) => type === job.type && hasMarker(requestorComment, marker),
    );
    if (mine !== undefined) return this.#begun(context, job, mine, true);
    const state = stateOf(history, job);
    const opposed = state.active.some(({ type }) => type === job.counterpart);
    if (state.inPlace === true && !opposed) return unchanged(job, machineId, state);
    const same = state.active.find((action) => isSame(action, job));
    if (same !== undefined) return this.#begun(context, job, same, false);
    const warnings = job.releases === true ? state.active.map(warningOf) : [];
    let made: MachineAction;
    await context.heartbeat({ checkpoint: sendingUnder(context) });
    try {
      made = await this.#post(context, job, machineId, marked(words, marker));
    } catch (error) {
      if (error instanceof DefenderError && error.vendorCode === 'ActiveRequestAlreadyExists')
        return this.#adoptOrWait(context, job, machineId, error);
      throw error;
    }
    return this.#begun(context, job, made, true, warnings);
  }

  /** What became of a request whose answer was lost: it is found by its marker, whatever machine was meant. */
  async reconcile(context: CallContext<DefenderSettings>, job: MachineJob): Promise<ReconcileOutcome> {
    if (!mayHaveSent(context)) return { kind: 'neverSent' };
    const mine = await this.#findMine(context, job);
    if (mine === undefined) return { kind: 'notFound' };
    return this.#outcomeOf(context, operationOf(job, mine, true), mine);
  }

  async poll(context: Context, operation: VendorOperation): Promise<StepOutcome> {
    const found = await this.#read(context, operation.id);
    // Defender may show an action only a while after it took it.
    if (found === null) return pending(operation, context);
    return this.#outcomeOf(context, operation, found);
  }

  /** One list for all that are under way, for polling spends the quota of the actions. */
  async pollMany(
    context: Context,
    operations: readonly Pick<PendingOperation<unknown>, 'actionId' | 'operation'>[],
  ): Promise<ReadonlyMap<string, StepOutcome>> {
    const [first, ...others] = operations;
    if (first === undefined) return new Map();
    if (others.length === 0) return new Map([[first.actionId, await this.poll(context, first.operation)]]);
    const oldest = operations
      .map(({ operation }) => watchedIn(operation).createdAt)
      .reduce((a, b) => (Date.parse(a) <= Date.parse(b) ? a : b));
    const rows = await this.#list(context, `creationDateTimeUtc ge ${oldest}`);
    const byId = new Map(rows.map((row) => [row.id.toLowerCase(), row]));
    const outcomes = new Map<string, StepOutcome>();
    for (const { actionId, operation } of operations) {
      const row = byId.get(operation.id.toLowerCase());
      try {
        outcomes.set(
          actionId,
          row === undefined ? pending(operation, context) : await this.#outcomeOf(context, operation, row),
        );
      } catch (error) {
        context.signal.throwIfAborted();
        // The scripts of one live response say nothing of the others: it is left out, and asked about again.
        if (!(error instanceof ProviderError)) throw error;
        context.log.warn({ machineActionId: operation.id, error: error.message }, 'result could not be read');
      }
    }
    return outcomes;
  }

  /**
   * Asks Defender to stop it, and says what it said. What began on the machine may still finish there: unless the answer
   * is final, `poll` tells how it ended. What somebody else asked for is left alone.
   */
  async cancel(
    context: CallContext<DefenderSettings>,
    job: MachineJob,
    operation: VendorOperation | null,
  ): Promise<CancelAnswer> {
    if (operation !== null && !watchedIn(operation).ours) return 'notSupported';
    if (operation === null && !mayHaveSent(context)) return 'neverSent';
    const id = operation?.id ?? (await this.#findMine(context, job))?.id;
    // Not there is not the same as not on its way.
    if (id === undefined) return 'unknown';
    const { status, body } = await this.api.request(context, {
      method: 'POST',
      path: `/machineactions/${encodeURIComponent(id)}/cancel`,
      json: {
        Comment: marked('Cancelled by its caller', markerOf(context.actionId, context.idempotencyKey)),
      },
      accept: [400, 404],
      needs: [job.permission],
    });
    const told = status === 200 ? body : await this.#read(context, id);
    if (told === null)
      throw new ProviderError('transient', `Defender does not show machine action ${id} yet; ask again.`);
    switch (endOf(told as MachineAction)) {
      case 'cancelled':
        return 'cancelled';
      case 'succeeded':
      case 'failed':
      case 'timedOut':
        return 'tooLate';
      default:
        return status === 200 ? 'requested' : 'unknown';
    }
  }

  /** In which state the machine is, with respect to the job. */
  async stateOf(context: Context, job: MachineJob, machineId: string): Promise<MachineState> {
    return stateOf(await this.#historyOf(context, job, machineId), job);
  }

  async #post(context: Context, job: MachineJob, machineId: string, comment: string): Promise<MachineAction> {
    try {
      const { body } = await this.api.request(context, {
        method: 'POST',
        path: `/machines/${encodeURIComponent(machineId)}/${job.segment}`,
        json: { Comment: comment, ...job.body },
        answer: machineActionSchema,
        needs: [job.permission],
      });
      return body;
    } catch (error) {
      if (error instanceof DefenderError && error.errorClass === 'targetNotFound')
        throw new DefenderError(
          'targetNotFound',
          job.sha1 === undefined
            ? `Defender knows no machine ${machineId}. Check the id, and that it is onboarded in this tenant. ${error.message}`
            : `Defender knows no machine ${machineId}, or has never seen the file ${job.sha1} on it. ${error.message}`,
          error.vendorCode,
          error,
        );
      if (error instanceof DefenderError && error.errorClass === 'unsupported')
        throw new DefenderError(
          'unsupported',
          `Machine ${machineId} cannot do this: its system or sensor is too old for it, or another than it is made for. ${error.message}`,
          error.vendorCode,
          error,
        );
      throw error;
    }
  }

  async #adoptOrWait(
    context: ExecutionContext<DefenderSettings>,
    job: MachineJob,
    machineId: string,
    cause: DefenderError,
  ): Promise<StepOutcome> {
    const active = (await this.#activeAt(context, machineId)).filter(isActive);
    const marker = markerOf(context.actionId, context.idempotencyKey);
    const mine = active.find(({ requestorComment }) => hasMarker(requestorComment, marker));
    const same = mine ?? active.find((action) => isSame(action, job));
    if (same !== undefined) return this.#begun(context, job, same, mine !== undefined);
    throw new ProviderError(
      'targetBusy',
      `Machine ${machineId} is busy with ${active.map(busyWith).join(', ') || 'another action, which Defender does not show yet'}, and Defender takes no second one. It is tried again until its deadline; cancel that one if this one is more urgent.`,
      { httpStatus: cause.httpStatus, retryAfterMs: BUSY_MS },
    );
  }

  async #begun(
    context: ExecutionContext<DefenderSettings>,
    job: MachineJob,
    action: MachineAction,
    ours: boolean,
    warnings: readonly string[] = [],
  ): Promise<StepOutcome> {
    const operation = operationOf(job, action, ours, warnings);
    await context.saveOperation(operation);
    return this.#outcomeOf(context, operation, action);
  }

  async #outcomeOf(
    context: Context,
    operation: VendorOperation,
    action: MachineAction,
  ): Promise<StepOutcome> {
    const end = endOf(action);
    switch (end) {
      case 'succeeded':
        return this.#succeeded(context, operation, action);
      case 'failed':
      case 'timedOut':
        return { kind: 'failed', error: failureOf(action, end === 'timedOut') };
      case 'cancelled':
        return { kind: 'stopped' };
      case null:
        this.#tellOnce(context, action.status);
        return pending(operation, context, action.status);
      case 'active':
        return pending(operation, context, action.status);
    }
  }

  async #succeeded(
    context: Context,
    operation: VendorOperation,
    action: MachineAction,
  ): Promise<StepOutcome> {
    const watched = watchedIn(operation);
    const scripts =
      watched.scripts === undefined
        ? null
        : await this.liveResponses.resultsOf(context, action, watched.scripts);
    const failure = scripts?.find(({ failed }) => failed !== null)?.failed ?? null;
    if (failure !== null)
      return {
        kind: 'failed',
        error: new ProviderError('permanent', `${failure} (machine action ${action.id}).`),
      };
    return {
      kind: 'completed',
      result: {
        machineActionId: action.id,
        machineId: action.machineId,
        computerDnsName: action.computerDnsName ?? null,
        status: action.status,
        message: [watched.done, watched.hint].filter((text) => text !== undefined).join(' '),
        ...(watched.ours
          ? {}
          : {
              adopted: `It was asked for by ${action.requestor ?? 'somebody else'}; this action waited for it.`,
            }),
        ...(watched.warnings === undefined ? {} : { warnings: watched.warnings }),
        ...(scripts === null ? {} : { scripts: scripts.map(({ shown }) => shown) }),
      },
      effect: {
        changed: watched.ours,
        ids: [action.id],
        previous: { machineId: action.machineId },
      },
    };
  }

  #tellOnce(context: Context, status: string): void {
    const key = `${context.instance} ${status}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    context.log.warn({ status }, 'unknown status of a machine action is taken for pending');
  }

  async #findMine(
    context: CallContext<DefenderSettings>,
    job: MachineJob,
  ): Promise<MachineAction | undefined> {
    const marker = markerOf(context.actionId, context.idempotencyKey);
    const from = new Date((context.issuedAt ?? new Date()).getTime() - CLOCKS_DIFFER_MS);
    const rows = await this.#list(
      context,
      `type eq ${quoted(job.type)} and creationDateTimeUtc ge ${from.toISOString()}`,
    );
    return newestFirst(rows).find(
      ({ type, requestorComment }) => type === job.type && hasMarker(requestorComment, marker),
    );
  }

  async #historyOf(context: Context, job: MachineJob, machineId: string): Promise<readonly MachineAction[]> {
    const of = `machineId eq ${quoted(machineId)}`;
    const rows =
      job.counterpart === undefined
        ? await this.#list(
            context,
            `${of} and type eq ${quoted(job.type)} and creationDateTimeUtc ge ${longAgo()}`,
          )
        : await this.#list(
            context,
            `${of} and (type eq ${quoted(job.type)} or type eq ${quoted(job.counterpart)})`,
          );
    const types: readonly (string | undefined)[] = [job.type, job.counterpart];
    // What a filter lets through is looked at again: an isolation is not to be concluded from somebody else's.
    return newestFirst(
      rows.filter(
        (row) => types.includes(row.type) && row.machineId.toLowerCase() === machineId.toLowerCase(),
      ),
    );
  }

  async #activeAt(context: Context, machineId: string): Promise<readonly MachineAction[]> {
    const rows = await this.#list(
      context,
      `machineId eq ${quoted(machineId)} and creationDateTimeUtc ge ${longAgo()}`,
    );
    return newestFirst(rows.filter((row) => row.machineId.toLowerCase() === machineId.toLowerCase()));
  }

  async #list(context: Context, filter: string): Promise<readonly MachineAction[]> {
    const rows: MachineAction[] = [];
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const { body } = await this.api.request(context, {
        method: 'GET',
        path: '/machineactions',
        query: {
          $filter: filter,
          $top: String(MOST_ROWS),
          ...(page === 0 ? {} : { $skip: String(page * MOST_ROWS) }),
        },
        answer: machineActionList,
        maxBytes: MOST_LIST_BYTES,
        needs: READ_MACHINES,
      });
      rows.push(...body.value);
      if (body.value.length < MOST_ROWS) break;
    }
    return rows;
  }

  /** Null: Defender does not show it. */
  async #read(context: Context, id: string): Promise<MachineAction | null> {
    const { status, body } = await this.api.request(context, {
      method: 'GET',
      path: `/machineactions/${encodeURIComponent(id)}`,
      answer: machineActionSchema,
      accept: [404],
      needs: READ_MACHINES,
    });
    return status === 404 ? null : body;
  }
}

const longAgo = (): string => new Date(Date.now() - LONGEST_LIFE_MS).toISOString();

function stateOf(history: readonly MachineAction[], job: MachineJob): MachineState {
  const active = history.filter(isActive);
  if (job.counterpart === undefined) return { inPlace: null, by: null, active };
  const by = history.find((action) => endOf(action) === 'succeeded') ?? null;
  const inPlace = by === null ? null : by.type === job.type && isOfScope(by, job);
  return { inPlace, by, active };
}

/** Whether waiting for it comes to the same as doing it. Commands are never taken for others' commands. */
function isSame(action: MachineAction, job: MachineJob): boolean {
  if (action.type !== job.type || job.scripts !== undefined || !isOfScope(action, job)) return false;
  return job.sha1 === undefined || action.relatedFileInfo?.fileIdentifier?.toLowerCase() === job.sha1;
}

function isOfScope({ scope }: MachineAction, job: MachineJob): boolean {
  return job.scope === undefined || scope?.toLowerCase() === job.scope.toLowerCase();
}

function operationOf(
  job: MachineJob,
  action: MachineAction,
  ours: boolean,
  warnings: readonly string[] = [],
): VendorOperation {
  const watched: Watched = {
    type: job.type,
    machineId: action.machineId,
    createdAt: action.creationDateTimeUtc,
    issuedAt: Date.now(),
    ours,
    ...(job.scripts === undefined ? {} : { scripts: job.scripts }),
    done: job.done,
    ...(job.hint === undefined ? {} : { hint: job.hint }),
    ...(warnings.length === 0 ? {} : { warnings }),
  };
  return { id: action.id, state: { ...watched } };
}

function watchedIn({ state }: VendorOperation): Watched {
  return state as unknown as Watched;
}

function pending(operation: VendorOperation, { settings }: Context, status?: string): StepOutcome {
  const ageMs = Date.now() - watchedIn(operation).issuedAt;
  const times = ageMs < YOUNG_MS ? 1 : ageMs < OLD_MS ? 3 : 12;
  return {
    kind: 'pending',
    operation,
    nextPollMs: settings.pollEveryMs * times,
    ...(status === undefined ? {} : { progress: { machineActionId: operation.id, status } }),
  };
}

function unchanged(job: MachineJob, machineId: string, { by }: MachineState): StepOutcome {
  const since = by?.lastUpdateDateTimeUtc ?? by?.lastUpdateTimeUtc ?? by?.creationDateTimeUtc ?? '';
  return {
    kind: 'completed',
    result: {
      machineId,
      computerDnsName: by?.computerDnsName ?? null,
      message: `Nothing to do: since ${since}, by machine action ${by?.id ?? ''}. ${job.done}`,
    },
    effect: { changed: false, ...(by === null ? {} : { ids: [by.id] }), previous: { machineId } },
  };
}

function warningOf({ id, type, status, requestor }: MachineAction): string {
  return `${type} ${id} of ${requestor ?? 'somebody'} is ${status} and may take effect after this; cancel it if it is not wanted.`;
}

/** What is under way at a machine, since when, and who asked for it. */
function busyWith({ type, id, status, requestor, creationDateTimeUtc }: MachineAction): string {
  return `${type} (machine action ${id}, ${status} since ${creationDateTimeUtc}, asked for by ${requestor ?? 'somebody'})`;
}

/** Noted before anything is sent: under which intent. */
function sendingUnder({ issuedAt }: CallContext): Json {
  return { sendingUnder: issuedAt?.toISOString() ?? null };
}

/** False where no attempt under this intent came so far as to send anything that changes something. */
function mayHaveSent(context: CallContext): boolean {
  return isDeepStrictEqual(context.lastCheckpoint, sendingUnder(context));
}

function failureOf(action: MachineAction, timedOut: boolean): ProviderError {
  const { type, id, machineId, errorHResult } = action;
  const failed = (action.commands ?? []).flatMap(({ errors }) => errors ?? []);
  const code = errorHResult == null || errorHResult === 0 ? '' : `, error ${errorHResult}`;
  const why = failed.length === 0 ? '' : ` It says: ${failed.join('; ').slice(0, 300)}`;
  return new ProviderError(
    'permanent',
    timedOut
      ? `Defender gave ${type} of machine ${machineId} up, for the machine did not answer in time (machine action ${id}${code}). See that it is on and connected, then ask again.`
      : `Defender says that ${type} of machine ${machineId} failed (machine action ${id}${code}).${why} Look at it in the action center of the Defender portal.`,
  );
}

/** What a machine action did, for undoing it. */
export function machineIn(previous: Json | undefined): string | null {
  if (typeof previous !== 'object' || previous === null || !('machineId' in previous)) return null;
  const { machineId } = previous;
  return typeof machineId === 'string' ? machineId : null;
}
