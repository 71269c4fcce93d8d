import {
  UnsealError,
  type RecipientRecord,
  type SecretKeys,
  type SecretRecord,
  type SecretRecords,
  type SharedKeyRecord,
} from '#domain';
import { canonicalName, secretParameterNames } from '#provider-sdk';
import { placeOfAction, sealParameters } from './secret-parameters.js';
import type { ProviderRegistry } from './registry.js';

/** Actions looked at in one read. */
const PAGE = 500;
/** Of these, changed at the same time. */
const TOGETHER = 20;

/** What is stored sealed, and with which keys. */
export interface SecretsReport {
  /** Actions looked at: all there are. */
  readonly actions: number;
  /** How many actions, subscriptions, webhooks and shared keys need each key, by its id. */
  readonly keys: ReadonlyMap<string, number>;
  /** How many actions and shared keys have something secret in clear. */
  readonly inClear: number;
  /** Ids of actions that have parameters, nothing sealed, and an instance or action that is not configured: nobody knows whether any is secret. */
  readonly notConfigured: number;
}

/** What a rotation came to. */
export interface Rotation {
  /** Under the current key now. */
  readonly rewrapped: number;
  /** In clear before. */
  readonly sealed: number;
  /** Shared keys that nobody could open any more, made anew. */
  readonly renewed: number;
  /** Why what is left could not be opened: how many, by message. */
  readonly failed: ReadonlyMap<string, number>;
  /** As it is afterwards. */
  readonly after: SecretsReport;
}

/**
 * Brings all that is stored sealed under the current key, and seals what an earlier version stored in clear. It may run
 * beside all others and can be repeated: each record is changed by one conditional write, and one that is done is left
 * alone. Shared keys come last, so that no process starts without an old key while anything else needs it.
 */
export class RotateSecrets {
  readonly #records: SecretRecords;
  readonly #keys: SecretKeys;
  readonly #registry: ProviderRegistry;

  constructor(parts: {
    readonly records: SecretRecords;
    readonly keys: SecretKeys;
    /** Tells which parameters are secret. */
    readonly registry: ProviderRegistry;
  }) {
    this.#records = parts.records;
    this.#keys = parts.keys;
    this.#registry = parts.registry;
  }

  /** @throws OperationalError when database or keys cannot be had */
  async report(): Promise<SecretsReport> {
    const keys = new Map<string, number>();
    let actions = 0;
    let inClear = 0;
    let notConfigured = 0;
    const count = (sealed: string | null): void => {
      const id = sealed === null ? null : this.#keys.keyOf(sealed);
      if (id !== null) keys.set(id, (keys.get(id) ?? 0) + 1);
    };
    for await (const page of this.#pages()) {
      actions += page.length;
      for (const record of page) {
        count(record.sealed);
        const secret = this.#secretNames(record);
        // oxlint-disable-next-line security/detect-possible-timing-attacks -- names of parameters
        if (secret === null) notConfigured += record.sealed === null && record.parameters.length > 0 ? 1 : 0;
        else if (hasInClear(record, secret)) inClear += 1;
      }
    }
    for await (const page of this.#recipientPages()) for (const { sealed } of page) count(sealed);
    for (const { sealed } of await this.#records.sharedKeys()) {
      count(sealed);
      if (sealed === null) inClear += 1;
    }
    return { actions, keys, inClear, notConfigured };
  }

  /**
   * @param renewLost true: shared keys that cannot be opened are made anew. Positions in lists and, for a day,
   *   idempotency keys that were sent before are refused then
   * @param onProgress told how many actions were looked at
   * @throws OperationalError when database or keys cannot be had; what was done is done
   */
  async rotate(
    renewLost: boolean,
    onProgress: (looked: number) => void = () => undefined,
  ): Promise<Rotation> {
    const done = { rewrapped: 0, sealed: 0, renewed: 0 };
    const failed = new Map<string, number>();
    const change = async (what: () => Promise<keyof typeof done | null>): Promise<void> => {
      try {
        const kind = await what();
        if (kind !== null) done[kind] += 1;
      } catch (error) {
        if (!(error instanceof UnsealError)) throw error;
        failed.set(error.message, (failed.get(error.message) ?? 0) + 1);
      }
    };
    let looked = 0;
    for await (const page of this.#pages()) {
      for (let at = 0; at < page.length; at += TOGETHER)
        await Promise.all(
          page.slice(at, at + TOGETHER).map((record) => change(() => this.#rotateAction(record))),
        );
      looked += page.length;
      onProgress(looked);
    }
    for await (const page of this.#recipientPages())
      for (const record of page) await change(() => this.#rotateRecipient(record));
    for (const key of await this.#records.sharedKeys())
      await change(() => this.#rotateSharedKey(key, renewLost));
    return { ...done, failed, after: await this.report() };
  }

  #pages(): AsyncGenerator<readonly SecretRecord[]> {
    return pages(
      (after) => this.#records.page(after, PAGE),
      ({ id }) => id,
    );
  }

  #recipientPages(): AsyncGenerator<readonly RecipientRecord[]> {
    return pages(
      (after) => this.#records.recipients(after, PAGE),
      ({ place }) => place.id,
    );
  }

  async #rotateRecipient(record: RecipientRecord): Promise<'rewrapped' | null> {
    if (this.#keys.keyOf(record.sealed) === this.#keys.current) return null;
    const next = await this.#keys.rewrap(record.sealed, record.place);
    return (await this.#records.replaceRecipient(record, next)) ? 'rewrapped' : null;
  }

  async #rotateAction(record: SecretRecord): Promise<'rewrapped' | 'sealed' | null> {
    const { parameters, sealed } = record;
    const secret = this.#secretNames(record);
    const place = placeOfAction(record);
    if (secret !== null && hasInClear(record, secret)) {
      const next = await sealParameters(this.#keys, place, secret, parameters, sealed);
      return (await this.#records.replace(record, next)) ? 'sealed' : null;
    }
    if (sealed === null || this.#keys.keyOf(sealed) === this.#keys.current) return null;
    const next = { parameters, sealed: await this.#keys.rewrap(sealed, place) };
    return (await this.#records.replace(record, next)) ? 'rewrapped' : null;
  }

  async #rotateSharedKey(
    key: SharedKeyRecord,
    renewLost: boolean,
  ): Promise<'rewrapped' | 'sealed' | 'renewed' | null> {
    const { place, sealed, clear } = key;
    const store = async <T>(next: string, kind: T): Promise<T | null> =>
      (await this.#records.replaceSharedKey(key, next)) ? kind : null;
    if (sealed === null)
      return store(await this.#keys.seal(clear ?? this.#records.newSharedKey(), place), 'sealed');
    try {
      // Also one under the current key: whether it can be opened decides whether any process starts.
      const next = await this.#keys.rewrap(sealed, place);
      return this.#keys.keyOf(sealed) === this.#keys.current ? null : await store(next, 'rewrapped');
    } catch (error) {
      if (!renewLost || !(error instanceof UnsealError)) throw error;
      return store(await this.#keys.seal(this.#records.newSharedKey(), place), 'renewed');
    }
  }

  /** Null: its instance or action is not configured. */
  #secretNames({ instance, actionName }: SecretRecord): ReadonlySet<string> | null {
    const manifest = this.#registry.byId(instance)?.findAction(actionName)?.manifest;
    return manifest === undefined ? null : secretParameterNames(manifest);
  }
}

/** All there are, one page after the other. */
async function* pages<T>(
  read: (after: string | null) => Promise<readonly T[]>,
  idOf: (record: T) => string,
): AsyncGenerator<readonly T[]> {
  let after: string | null = null;
  for (;;) {
    const page: readonly T[] = await read(after);
    if (page.length > 0) yield page;
    const last = page.at(-1);
    if (page.length < PAGE || last === undefined) return;
    after = idOf(last);
  }
}

function hasInClear({ parameters }: SecretRecord, secret: ReadonlySet<string>): boolean {
  return (
    secret.size > 0 && parameters.some(({ name, value }) => value !== null && secret.has(canonicalName(name)))
  );
}
