import { ERROR_INFO_CODES, errorInfo, type ErrorInfo } from '#domain';

/**
 * Why a provider call failed, by what the engine may do next.
 *
 * | class | code | then |
 * |---|---|---|
 * | `invalidInput`, `unsupported` | 400 | fails |
 * | `auth` | 401 | fails |
 * | `permission` | 403 | fails |
 * | `targetNotFound` | 404 | fails |
 * | `ambiguousTarget`, `conflict` | 409 | fails |
 * | `rateLimited` | 429 | tried again after `retryAfterMs`, uses up no attempt |
 * | `targetBusy` | 409 | tried again, after `retryAfterMs` where it is given; uses up no attempt: nothing was applied |
 * | `transient` | 502 | tried again with backoff: nothing was applied |
 * | `unreachable` | 503 | tried again with backoff: nothing was sent |
 * | `capacity` | 507 | fails |
 * | `unknownOutcome` | 520 | by the declared idempotency: issued again, reconciled, or `outcomeUnknown` |
 * | `permanent` | 502 | fails |
 */
const PROVIDER_ERROR_CLASSES = {
  invalidInput: { code: ERROR_INFO_CODES.parametersRefused, next: 'fail' },
  unsupported: { code: ERROR_INFO_CODES.parametersRefused, next: 'fail' },
  auth: { code: ERROR_INFO_CODES.credentialsRefused, next: 'fail' },
  permission: { code: ERROR_INFO_CODES.permissionMissing, next: 'fail' },
  targetNotFound: { code: ERROR_INFO_CODES.targetUnknown, next: 'fail' },
  ambiguousTarget: { code: ERROR_INFO_CODES.conflict, next: 'fail' },
  conflict: { code: ERROR_INFO_CODES.conflict, next: 'fail' },
  rateLimited: { code: ERROR_INFO_CODES.vendorRateLimited, next: 'retry' },
  targetBusy: { code: ERROR_INFO_CODES.conflict, next: 'retry' },
  transient: { code: ERROR_INFO_CODES.vendorError, next: 'retry' },
  unreachable: { code: ERROR_INFO_CODES.vendorUnreachable, next: 'retry' },
  capacity: { code: ERROR_INFO_CODES.vendorFull, next: 'fail' },
  unknownOutcome: { code: ERROR_INFO_CODES.outcomeUnknown, next: 'unknown' },
  permanent: { code: ERROR_INFO_CODES.vendorError, next: 'fail' },
} as const;
export type ProviderErrorClass = keyof typeof PROVIDER_ERROR_CLASSES;

const ENGINES_OWN: ReadonlySet<number> = new Set([
  ERROR_INFO_CODES.timedOut,
  ERROR_INFO_CODES.expired,
  ERROR_INFO_CODES.cancelled,
  ERROR_INFO_CODES.outcomeUnknown,
]);

export interface ProviderErrorDetails {
  /** The vendor's own HTTP status; shown as `errorInfo.subcode`. Default 0. */
  readonly httpStatus?: number;
  /** Milliseconds the vendor asked to wait (its `Retry-After`). Clamped to 1 s … 1 h. */
  readonly retryAfterMs?: number;
  /**
   * Overrides the class's `errorInfo.code` (Int32). For vendors whose codes already have HTTP's meanings. The engine's
   * own verdicts (408, 410, 499, 520) are not a plugin's to give, and ignored.
   */
  readonly code?: number;
  readonly cause?: unknown;
}

/**
 * The one failure a plugin throws or returns. Throw `unknownOutcome` whenever the request may have reached
 * the vendor and its answer did not come back: anything else would be a guess.
 */
export class ProviderError extends Error {
  readonly httpStatus: number;
  readonly retryAfterMs: number | null;
  readonly #code: number;

  constructor(
    readonly errorClass: ProviderErrorClass,
    message: string,
    details: ProviderErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'ProviderError';
    this.httpStatus = details.httpStatus ?? 0;
    this.retryAfterMs = details.retryAfterMs ?? null;
    const { code } = details;
    this.#code = code === undefined || ENGINES_OWN.has(code) ? PROVIDER_ERROR_CLASSES[errorClass].code : code;
  }

  /** What the engine does next: `fail`, `retry`, or resolve an `unknown` outcome. */
  get next(): 'fail' | 'retry' | 'unknown' {
    return PROVIDER_ERROR_CLASSES[this.errorClass].next;
  }

  /** The failure as the action shows it. */
  toErrorInfo(): ErrorInfo {
    return errorInfo(this.#code, this.message, this.httpStatus);
  }
}

/** True for the name of an error class. */
export function isProviderErrorClass(name: unknown): name is ProviderErrorClass {
  return typeof name === 'string' && Object.hasOwn(PROVIDER_ERROR_CLASSES, name);
}

/**
 * The process that ran a plugin ended, or was ended, while it ran this call alone. The host throws it; the engine counts
 * it against the action, as it counts workers that died on one.
 */
export class PluginDied extends ProviderError {
  constructor(errorClass: 'unknownOutcome' | 'transient', message: string) {
    super(errorClass, message, { code: ERROR_INFO_CODES.defect });
    this.name = 'PluginDied';
  }
}

/**
 * Where a call was to go is refused here, so it says nothing of the vendor: a name that a caller gave, and that stands
 * for a private address, must not stop the calls of all others.
 */
export class AddressRefused extends ProviderError {
  constructor(errorClass: 'permanent' | 'unreachable', message: string) {
    super(errorClass, message);
    this.name = 'AddressRefused';
  }
}

/**
 * The vendor's certificate is not believed, so nothing was sent. It is tried again as what cannot be reached: it passes
 * when the vendor is given another, or the instance is told whom to trust.
 */
export class CertificateRefused extends ProviderError {
  constructor(message: string, details: ProviderErrorDetails = {}) {
    super('unreachable', message, details);
    this.name = 'CertificateRefused';
  }
}

/**
 * A plugin gave the engine, or asked of it, what there is not. The message is for the plugin's author, and tells nothing of
 * the installation.
 */
export class PluginDefect extends TypeError {
  override readonly name = 'PluginDefect';
}

/** The reason of a call's `AbortSignal`: why the engine asks the plugin to stop. */
export class StopRequested extends Error {
  constructor(
    /**
     * `cancel`: somebody wants the action stopped. `shutdown`: this process ends; leave the vendor alone, another
     * worker goes on. `deadline`: the call took too long. `leaseLost`: another worker owns the action now.
     */
    readonly why: 'cancel' | 'shutdown' | 'deadline' | 'leaseLost',
  ) {
    super(`stop requested: ${why}`);
    this.name = 'StopRequested';
  }
}
