import type { Static, TObject, TProperties } from 'typebox';
import type { CancelOutcome, Idempotency, Json, VendorOperation } from '#domain';
import type { ProviderError } from './errors.js';

/** What a plugin declares of one action. Static and serialisable. */
export interface ActionManifest<Parameters extends TObject = TObject> {
  /** One sentence for people. */
  readonly title: string;
  /** Other names callers may use. Matched without regard to case, `_`, `-` and spaces. */
  readonly aliases?: readonly string[];
  /**
   * JSON Schema 2020-12 (built with TypeBox) of the typed parameters. Give each an `examples` entry: it is
   * shown in error messages. `writeOnly: true` marks a secret, which is never logged. `x-aliases: string[]`
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
  /** The plugin's own semantic version; an action records which one ran it. */
  readonly version: string;
  /** Schema of `settings` in riposte.config.yaml. Unknown keys are refused. */
  readonly settings: TObject<Settings>;
  /** Names of the secrets the instance must or may configure. */
  readonly secrets?: { readonly required?: readonly string[]; readonly optional?: readonly string[] };
  readonly actions: Actions;
}

/** What one call may use. Nothing else reaches a plugin. */
export interface CallContext<Settings = unknown> {
  readonly actionId: string;
  readonly tenantId: string;
  /** Id of the provider instance. */
  readonly instance: string;
  readonly settings: Settings;
  readonly secrets: Readonly<Record<string, string>>;
  /** Aborted with a `StopRequested` reason. Pass it to every outbound call. */
  readonly signal: AbortSignal;
  /** 1 for the first attempt at this action. */
  readonly attempt: number;
  /** The same on every attempt of one action: send it as the vendor's idempotency or correlation key. */
  readonly idempotencyKey: string;
  readonly deadlineAt: Date;
  /** Structured log; the values of secret parameters and of secrets are redacted. */
  readonly log: PluginLog;
}

export interface ExecutionContext<Settings = unknown> extends CallContext<Settings> {
  /**
   * Keeps the vendor's handle durably. Call it as soon as the vendor has answered with one and before any
   * wait; rejects when another worker has taken over.
   */
  saveOperation(operation: VendorOperation): Promise<void>;
}

export interface PluginLog {
  info(facts: Readonly<Record<string, unknown>>, event: string): void;
  warn(facts: Readonly<Record<string, unknown>>, event: string): void;
}

/** How far a call got. Throwing a `ProviderError` is the same as returning it in `failed`. */
export type StepOutcome =
  | { readonly kind: 'completed'; readonly result?: Json }
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
export type ReconcileOutcome = StepOutcome | { readonly kind: 'notFound' } | { readonly kind: 'cannotTell' };

/** The action's name with its typed parameters: a union over all actions of the manifest. */
export type ActionRequest<Actions extends ActionManifests> = {
  readonly [Name in keyof Actions & string]: {
    readonly action: Name;
    readonly parameters: Static<Actions[Name]['parameters']>;
  };
}[keyof Actions & string];

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
  ) => Promise<CancelOutcome>;
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
  /** Finds out whether a request whose answer was lost reached the vendor. Required for `lookup`. */
  readonly reconcile?: (context: CallContext<Settings>, request: Request) => Promise<ReconcileOutcome>;
  /** The idempotency where it depends on the instance's settings; overrides the manifest's. */
  readonly idempotencyOf?: (settings: Settings, action: string) => Idempotency;
}

/** A plugin as the engine holds it: manifest and calls, types erased. */
export interface Provider {
  readonly manifest: ProviderManifest;
  readonly calls: ProviderCalls<{ readonly action: string; readonly parameters: unknown }, unknown>;
}
