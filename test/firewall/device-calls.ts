import { randomUUID } from 'node:crypto';
import {
  ProviderError,
  compileSchema,
  type EntryLedger,
  type ExecutionContext,
  type HealthReport,
  type Maintained,
  type NetworkPolicy,
  type Provider,
  type StepOutcome,
} from '#provider-sdk';
import { callContext } from '../support/call-context.js';
import { TENANT_A, freshDatabase } from '../support/database.js';

/** A block as it was carried out. */
export interface Blocked {
  readonly actionId: string;
  readonly ip: string;
  readonly outcome: Extract<StepOutcome, { kind: 'completed' }>;
}

/** Calls of a firewall's provider as the engine makes them, for one instance of it. */
export class DeviceCalls {
  readonly #settings: Record<string, unknown>;

  /** @param settings as an operator would write them; defaults are filled in */
  constructor(
    private readonly provider: Provider,
    private readonly ledger: EntryLedger,
    settings: Readonly<Record<string, unknown>>,
    private readonly secrets: Readonly<Record<string, string>>,
    private readonly instance = `fw-${randomUUID().slice(0, 8)}`,
    private readonly network: Partial<NetworkPolicy> = {},
  ) {
    this.#settings = { ...settings };
    if (!compileSchema(provider.manifest.settings)(this.#settings))
      throw new TypeError('these settings are refused');
  }

  /** The same instance with other secrets or settings. */
  with(secrets: Readonly<Record<string, string>>, settings: object = {}): DeviceCalls {
    return new DeviceCalls(
      this.provider,
      this.ledger,
      { ...this.#settings, ...settings },
      secrets,
      this.instance,
    );
  }

  /** The same instance, with more that its network settings say. */
  trusting(network: Partial<NetworkPolicy>): DeviceCalls {
    return new DeviceCalls(this.provider, this.ledger, this.#settings, this.secrets, this.instance, network);
  }

  async block(ip: string, until?: Date, actionId: string = randomUUID()): Promise<Blocked> {
    const outcome = await this.provider.calls.execute(this.#context(actionId), request('BlockIp', ip, until));
    if (outcome.kind !== 'completed') throw new TypeError(`it ended as ${outcome.kind}`);
    return { actionId, ip, outcome };
  }

  async undo({ actionId, ip }: Blocked): Promise<StepOutcome | undefined> {
    return this.provider.calls.revert?.(this.#context(randomUUID()), {
      ...request('BlockIp', ip),
      actionId,
      completedAt: new Date(),
      result: null,
      effect: { changed: true },
    });
  }

  unblock(ip: string): Promise<StepOutcome> {
    return this.provider.calls.execute(this.#context(randomUUID()), request('UnblockIp', ip));
  }

  maintain(): Promise<Maintained | undefined> {
    return Promise.resolve(this.provider.calls.maintain?.(this.#context('maintenance')));
  }

  health(): Promise<HealthReport | undefined> {
    return Promise.resolve(this.provider.calls.health?.(this.#context('health')));
  }

  /** Class and message of the error that a block fails with. */
  async refusal(ip: string): Promise<string> {
    return this.refusalOf('BlockIp', { IP: ip });
  }

  async refusalOf(action: string, parameters: Readonly<Record<string, unknown>>): Promise<string> {
    try {
      const outcome = await this.provider.calls.execute(this.#context(randomUUID()), { action, parameters });
      return `it ended as ${outcome.kind}`;
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      return `${error.errorClass}: ${error.message}`;
    }
  }

  #context(actionId: string): ExecutionContext {
    return {
      ...callContext({
        settings: this.#settings,
        secrets: this.secrets,
        key: actionId,
        instance: this.instance,
        network: this.network,
      }),
      tenantId: TENANT_A,
      ledger: this.ledger,
    };
  }
}

function request(
  action: string,
  ip: string,
  effectUntil?: Date,
): { readonly action: string; readonly parameters: object; readonly effectUntil?: Date } {
  return { action, parameters: { IP: ip }, ...(effectUntil === undefined ? {} : { effectUntil }) };
}

/** In so many milliseconds. */
export const inMs = (ms: number): Date => new Date(Date.now() + ms);

/** What the conformance kit cannot try with a device that sees addresses only. */
export const ADDRESSES_ONLY: Readonly<Record<string, string>> = Object.fromEntries(
  ['BlockDomain', 'UnblockDomain', 'BlockUrl', 'UnblockUrl'].map((name) => [
    name,
    'the device sees addresses only, and the action is refused',
  ]),
);

/** Makes a ledger of its own each time, in a database whose connection is closed when the test file ends. */
export async function entryLedgers(): Promise<() => EntryLedger> {
  const database = await freshDatabase();
  return () => database.entryLedger(randomUUID());
}
