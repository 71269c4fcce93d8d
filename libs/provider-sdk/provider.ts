import type { Static, TObject, TProperties, TSchema } from 'typebox';
import type {
  BlastClass,
  CancelOutcome,
  EffectRecord,
  EntryLedger,
  HealthReport,
  Idempotency,
  Json,
  Lane,
  Maintained,
  RateWindow,
  VendorOperation,
} from '#domain';
import type { ProviderError } from './errors.js';
import type { VendorHttp } from './vendor-http.js';

/** What a plugin declares of one action. Static and serialisable. */
export interface ActionManifest<Parameters extends TObject = TObject> {
  /** One sentence for people. */
  readonly title: string;
  /** Other names callers may use. Matched without regard to case, `_`, `-` and spaces. */
  readonly aliases?: readonly string[];
  /**
   * JSON Schema 2020-12 (built with TypeBox) of the typed parameters. Give each an `examples` entry: it is
   * shown in error messages. `writeOnly: true` marks a secret, which is stored sealed and
   * never shown or logged. `x-aliases: string[]`
   * lists other names of a parameter. String formats `ip`, `cidr`, `domain`, `url`, `hash` are checked and
   * canonicalised.
   */
  readonly parameters: Parameters;
  /**
   * What a vendor does with the same request twice. `key`: it deduplicates by our idempotency key. `natural`:
   * repeating has no further effect. `lookup`: `reconcile` can find what was issued. `none`: neither.
   */
  readonly idempotency: Idempotency;
  /** True when `cancel` can stop it at the vendor. */
  readonly cancellable: boolean;
  /** True when `revert` can undo it once it is completed. Default false. */
  readonly revertible?: boolean;
  /**
   * True when the vendor is told `effectUntil` and lifts the effect then by itself. The engine lifts it at that time in
   * any case, by `revert`. Default false.
   */
  readonly supportsExpiry?: boolean;
  /** True when `observe` can tell whether its effect is in place. Default false. */
  readonly observable?: boolean;
  /**
   * What goes first while the vendor's quota is short: `release` for what lets go (also of an undoing), `containment`
   * for what shuts off, `routine` for the rest. Default `routine`.
   */
  readonly lane?: Lane;
  /**
   * The class of actions of which an application may ask for so many in an hour only (`limits.blastRadius` of the
   * configuration): `isolation` for what cuts machines off. Default none. What lets go has none.
   */
  readonly blastRadius?: BlastClass;
  /** Requests to the vendor that `execute` makes, as a rule: so many are waited for before it is called. Default 1. */
  readonly calls?: number;
  /**
   * Names of the parameters that name its target. One action at a time runs at a target, in the order they were asked
   * for. Absent: others may run beside it.
   */
  readonly mutexKey?: readonly string[];
  /** JSON Schema of the result of a completed one, for documentation. */
  readonly result?: TSchema;
  /** Permissions that the credentials need at the vendor, by the vendor's names. */
  readonly requiredPermissions?: readonly string[];
  /** The vendor withdraws it, or the plugin does. */
  readonly deprecated?: { readonly since: string; readonly replacement?: string };
  /** The vendor's page about it. */
  readonly docUrl?: string;
  /** Milliseconds from creation until it must have ended. Default 3,600,000; range 1,000 … 604,800,000. */
  readonly deadlineMs?: number;
  /** Milliseconds one call of the plugin may take. Default 30,000; range 100 … 600,000. */
  readonly attemptTimeoutMs?: number;
}

export type ActionManifests = Readonly<Record<string, ActionManifest>>;

/** What a plugin declares of itself. */
export interface ProviderManifest<
  Actions extends ActionManifests = ActionManifests,
  Settings extends TProperties = TProperties,
> {
  /** Matched (case-insensitively) against `vendorInformation.vendor`. */
  readonly vendor: string;
  /** Matched (case-insensitively) against `vendorInformation.provider`. */
  readonly provider: string;
  /** Other names of the provider that callers may use, such as earlier ones of the product. Matched likewise. */
  readonly providerAliases?: readonly string[];
  /** The plugin's own semantic version; an action records which one ran it. */
  readonly version: string;
  /** One sentence for people. */
  readonly title?: string;
  /** The vendor's page about its interface. */
  readonly docUrl?: string;
  /**
   * The vendor's quota, all of which hold together. Calls of all actions count in a window without `actions`. An
   * installation may configure others.
   */
  readonly rateLimits?: readonly RateWindow[];
  /**
   * Calls one worker may have in flight, 1 to 1,000, unless the installation says otherwise. Default 16. More where the plugin
   * does together what comes at the same time.
   */
  readonly concurrency?: number;
  /** Schema of `settings` in riposte.config.yaml. Unknown keys are refused. */
  readonly settings: TObject<Settings>;
  /** Names of the secrets the instance must or may configure. */
  readonly secrets?: { readonly required?: readonly string[]; readonly optional?: readonly string[] };
  readonly actions: Actions;
}

/** What a call that is about no action may use. Nothing else reaches a plugin. */
export interface InstanceContext<Settings = unknown> {
  /** Id of the provider instance. */
  readonly instance: string;
  readonly settings: Settings;
  readonly secrets: Readonly<Record<string, string>>;
  /** Aborted with a `StopRequested` reason. Pass it to what does not go through `http`. */
  readonly signal: AbortSignal;
  /** The way to the vendor: within its quota, bounded, guarded, and with failures as `ProviderError`. */
  readonly http: VendorHttp;
  /**
   * Who wants which entry in the device's lists. There for shipped plugins only: one in a process of its own has no way
   * to the database.
   */
  readonly ledger?: EntryLedger;
  /** Structured log; the values of secret parameters and of secrets are redacted. */
  readonly log: PluginLog;
}

/** What a call about one action may use. */
export interface CallContext<Settings = unknown> extends InstanceContext<Settings> {
  readonly actionId: string;
  readonly tenantId: string;
  /** 1 for the first attempt at this action. */
  readonly attempt: number;
  /** The same on every attempt of one action: send it as the vendor's idempotency or correlation key. */
  readonly idempotencyKey: string;
  /** When the attempt at hand was issued; null before the first. What to look for is younger. */
  readonly issuedAt: Date | null;
  readonly deadlineAt: Date;
  /** What an attempt noted last with `heartbeat`; null where none did. */
  readonly lastCheckpoint: Json;
}

export interface ExecutionContext<Settings = unknown> extends CallContext<Settings> {
  /**
   * Keeps the vendor's handle durably. Call it as soon as the vendor has answered with one and before any
   * wait; rejects when another worker has taken over.
   */
  saveOperation(operation: VendorOperation): Promise<void>;
  /**
   * Says that the work goes on, shows its progress, and notes how far it is for a later attempt. At most 16 KiB of JSON
   * each. Rejects when another worker has taken over: then stop, and change nothing more. With a `checkpoint` it rejects,
   * with a ProviderError `unknownOutcome`, also where that could not be kept: what resolves is on record.
   */
  heartbeat(report?: { readonly progress?: Json; readonly checkpoint?: Json }): Promise<void>;
}

export interface PluginLog {
  info(facts: Readonly<Record<string, unknown>>, event: string): void;
  warn(facts: Readonly<Record<string, unknown>>, event: string): void;
}

/** How far a call got. Throwing a `ProviderError` is the same as returning it in `failed`. */
export type StepOutcome =
  | { readonly kind: 'completed'; readonly result?: Json; readonly effect?: EffectRecord }
  | {
      readonly kind: 'pending';
      readonly operation: VendorOperation;
      /** Milliseconds until `poll` should look again. Default 1,000; clamped to 50 ms … 1 h. */
      readonly nextPollMs?: number;
      /** Shown on the native API. */
      readonly progress?: Json;
    }
  | { readonly kind: 'failed'; readonly error: ProviderError }
  /** The vendor confirms that the work was stopped before it finished. */
  | { readonly kind: 'stopped' };

/** What `reconcile` found of a request whose answer was lost. */
export type ReconcileOutcome =
  | StepOutcome
  /** It is not there. It may show itself yet, and is looked for again for a while. */
  | { readonly kind: 'notFound' }
  | { readonly kind: 'cannotTell' }
  /**
   * Nothing that changes anything was sent under this intent, and nothing is on its way: it is issued anew. A plugin knows
   * this where it notes a checkpoint before it sends, and that is not there; compare it with `issuedAt`.
   */
  | { readonly kind: 'neverSent' };

/** What `cancel` answers; `neverSent` as of `ReconcileOutcome`. */
export type CancelAnswer = CancelOutcome | 'neverSent';

/** The action's name with its typed parameters: a union over all actions of the manifest. */
export type ActionRequest<Actions extends ActionManifests> = {
  readonly [Name in keyof Actions & string]: {
    readonly action: Name;
    readonly parameters: Static<Actions[Name]['parameters']>;
    /** When its effect is to be over; absent: it stays. May be past where it was slow to begin. */
    readonly effectUntil?: Date;
  };
}[keyof Actions & string];

/** Why a request is refused before anything is recorded. */
export interface RequestRefusal {
  /** For people: what is refused, and what to do. */
  readonly message: string;
  /** `forbidden`: a rule of this installation stands against it (403). `invalid`: it means nothing (400). Default `forbidden`. */
  readonly kind?: 'forbidden' | 'invalid';
}

/** An action that is completed, to be undone. */
export type CompletedAction<Request> = Request & {
  readonly actionId: string;
  readonly completedAt: Date;
  readonly result: Json;
  /** What the plugin said it changed; null where it did not say. */
  readonly effect: EffectRecord | null;
};

/** What an action would do, found out without doing it. */
export interface Plan {
  /** One sentence: what would change, at what. */
  readonly summary: string;
  /** What would change, one line each; none where nothing would. */
  readonly changes: readonly string[];
  /** What speaks against it, one line each. */
  readonly warnings?: readonly string[];
  /** The target as the vendor knows it. */
  readonly target?: Json;
}

/** Whether the effect of an action is in place at its target now. */
export interface ObservedState {
  /** Null: the vendor does not tell. */
  readonly inPlace: boolean | null;
  /** In words. */
  readonly message: string;
  readonly details?: Json;
}

/** A pending operation to be asked about together with others. */
export interface PendingOperation<Request> {
  readonly actionId: string;
  readonly operation: VendorOperation;
  readonly request: Request;
}

/** The calls of a plugin, functions without a `this`. None of them writes a state: they return outcomes. */
export interface ProviderCalls<Request, Settings> {
  /** Submits the action to the vendor. Returns as soon as the vendor has it; long work is `pending`. */
  readonly execute: (context: ExecutionContext<Settings>, request: Request) => Promise<StepOutcome>;
  /**
   * Stops what `execute` began. `operation` is null when its handle never came back. `requested`: the vendor
   * will say later (`poll` tells); `tooLate`: it has ended already; `unknown`: it cannot be told.
   */
  readonly cancel: (
    context: CallContext<Settings>,
    operation: VendorOperation | null,
    request: Request,
  ) => Promise<CancelAnswer>;
  /**
   * Asks the vendor how far a pending operation is. Required when `execute` may return `pending`. A failure that it
   * throws and that may pass, or that is about the credentials (`auth`, `permission`), is one of the question: it is
   * asked again until the deadline.
   */
  readonly poll?: (
    context: CallContext<Settings>,
    operation: VendorOperation,
    request: Request,
  ) => Promise<StepOutcome>;
  /**
   * Asks about several operations with one request to the vendor; goes before `poll` where there is both. One that the
   * answer leaves out is asked about again later.
   *
   * @returns what became of each, by the action's id
   */
  readonly pollMany?: (
    context: InstanceContext<Settings>,
    pending: readonly PendingOperation<Request>[],
  ) => Promise<ReadonlyMap<string, StepOutcome>>;
  /**
   * Undoes a completed action. To undo it twice, or what was not changed (`effect.changed` false) or is gone already,
   * is to succeed and change nothing: after a lost answer it is called again. It is not cancelled once it was called, and
   * what it leaves `pending` is asked about by `poll` or `pollMany`, by the state of its own operation. Required for
   * `revertible`.
   */
  readonly revert?: (
    context: ExecutionContext<Settings>,
    done: CompletedAction<Request>,
  ) => Promise<StepOutcome>;
  /** What the action would do. Changes nothing. */
  readonly plan?: (context: CallContext<Settings>, request: Request) => Promise<Plan>;
  /** Whether its effect is in place. Changes nothing. Required for `observable`. */
  readonly observe?: (context: CallContext<Settings>, request: Request) => Promise<ObservedState>;
  /** Whether the vendor can be reached with these credentials and their permissions, by its cheapest read; within 10 s. */
  readonly health?: (context: InstanceContext<Settings>) => Promise<HealthReport>;
  /**
   * Compares what the device has with what it should have, and repairs it: on start, every few minutes, by one worker for
   * all. Repeating it changes nothing.
   */
  readonly maintain?: (context: InstanceContext<Settings>) => Promise<Maintained>;
  /** Finds out whether a request whose answer was lost reached the vendor. Required for `lookup`. */
  readonly reconcile?: (context: CallContext<Settings>, request: Request) => Promise<ReconcileOutcome>;
  /**
   * What speaks against a request, by what is known without asking anybody: quick, pure, no network. It is asked before
   * an action is recorded, in the API, which has no secrets and stands on another machine perhaps; so `execute` has to
   * check what matters itself (`refusalError` says it in the same words). Of a plugin in a process of its own it is asked
   * by the worker, right before each `execute`.
   *
   * @returns null where nothing does
   */
  readonly validate?: (settings: Settings, request: Request) => RequestRefusal | null;
  /** The idempotency where it depends on the instance's settings; overrides the manifest's. */
  readonly idempotencyOf?: (settings: Settings, action: string) => Idempotency;
}

/** A plugin as the engine holds it: manifest and calls, types erased. */
export interface Provider {
  readonly manifest: ProviderManifest;
  readonly calls: ProviderCalls<
    { readonly action: string; readonly parameters: unknown; readonly effectUntil?: Date },
    unknown
  >;
}
