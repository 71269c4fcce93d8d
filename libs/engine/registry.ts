import {
  ConfigurationError,
  UserError,
  type Idempotency,
  type RateWindow,
  type VendorInformation,
} from '#domain';
import {
  canonicalName,
  compileSchema,
  describeSchemaError,
  schemaProblems,
  type ActionManifest,
  type NetworkPolicy,
  type Provider,
  type ProviderManifest,
  type RequestRefusal,
} from '#provider-sdk';

/** A provider instance as configured: a plugin with settings, credentials, limits and the tenants it serves. */
export interface InstanceConfig {
  readonly id: string;
  readonly plugin: string;
  /** Tells instances of one plugin apart: matched against `vendorInformation.subProvider`. */
  readonly subProvider?: string | undefined;
  /** Tenant ids, or `*` for all. */
  readonly tenants: readonly string[];
  readonly settings: Readonly<Record<string, unknown>>;
  /** Names of configured secrets with their resolved values; the API, which calls no vendor, has those of feeds alone. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Names of the configured secrets, also where none is resolved. Default: those of `secrets`. */
  readonly secretNames?: readonly string[];
  /** Calls one worker may have in flight. Default: as the plugin declares, or 16. */
  readonly concurrency?: number | undefined;
  readonly deadlineMs?: number | undefined;
  readonly attemptTimeoutMs?: number | undefined;
  /** The vendor's quota where it is another than the plugin declares. */
  readonly rateLimits?: readonly RateWindow[] | undefined;
  /** Share of each window that is kept for cancels and releases: 0 … 0.9. Default 0.2. */
  readonly reserve?: number;
  /** Where its calls may go. Default: to public addresses, by https. */
  readonly network?: NetworkPolicy;
}

/** Share of a quota that is kept for cancels and releases. */
const DEFAULT_RESERVE = 0.2;
/** Where a plugin's calls may go unless the configuration allows more. */
const PUBLIC_ONLY: NetworkPolicy = { allow: [], ports: [] };
const DEFAULT_CONCURRENCY = 16;
const DEFAULT_DEADLINE_MS = 3_600_000;
const DEFAULT_ATTEMPT_TIMEOUT_MS = 30_000;

/** A provider instance, ready to be asked for actions. */
export class ProviderInstance {
  readonly #actions: ReadonlyMap<string, { readonly name: string; readonly manifest: ActionManifest }>;

  constructor(
    readonly config: InstanceConfig,
    readonly provider: Provider,
  ) {
    const actions = new Map<string, { readonly name: string; readonly manifest: ActionManifest }>();
    for (const [name, manifest] of Object.entries(provider.manifest.actions)) {
      for (const spelling of [name, ...(manifest.aliases ?? [])]) {
        const canonical = canonicalName(spelling);
        if (!actions.has(canonical)) actions.set(canonical, { name, manifest });
      }
    }
    this.#actions = actions;
  }

  get id(): string {
    return this.config.id;
  }

  /** Calls one worker may have in flight. */
  get concurrency(): number {
    return this.config.concurrency ?? this.provider.manifest.concurrency ?? DEFAULT_CONCURRENCY;
  }

  /** The action of this name or alias, compared without regard to case, `_`, `-` and spaces. */
  findAction(name: string): { readonly name: string; readonly manifest: ActionManifest } | null {
    return this.#actions.get(canonicalName(name)) ?? null;
  }

  idempotencyOf(actionName: string, manifest: ActionManifest): Idempotency {
    return this.provider.calls.idempotencyOf?.(this.config.settings, actionName) ?? manifest.idempotency;
  }

  /** Why its plugin would not do this, as far as it can be told without asking the vendor; null: nothing is known. */
  refusalOf(request: { readonly action: string; readonly parameters: unknown }): RequestRefusal | null {
    return this.provider.calls.validate?.(this.config.settings, request) ?? null;
  }

  /**
   * What an action with these parameters acts upon, as one text; null where the plugin names no target. Of the instance,
   * whatever tenant asks: it is one vendor.
   */
  mutexKeyOf(manifest: ActionManifest, values: Readonly<Record<string, unknown>>): string | null {
    const names = manifest.mutexKey ?? [];
    if (names.length === 0) return null;
    const target = names.map((name) => JSON.stringify(values[name] ?? null).toLowerCase());
    return JSON.stringify([this.id, ...target]);
  }

  /** The windows of the vendor's quota: as configured, else as the plugin declares. */
  get rateLimits(): readonly RateWindow[] {
    return this.config.rateLimits ?? this.provider.manifest.rateLimits ?? [];
  }

  /** Where its calls may go: one object each, for connections are kept by it. */
  get network(): NetworkPolicy {
    return this.config.network ?? PUBLIC_ONLY;
  }

  deadlineMs(manifest: ActionManifest): number {
    return this.config.deadlineMs ?? manifest.deadlineMs ?? DEFAULT_DEADLINE_MS;
  }

  attemptTimeoutMs(manifest: ActionManifest): number {
    return this.config.attemptTimeoutMs ?? manifest.attemptTimeoutMs ?? DEFAULT_ATTEMPT_TIMEOUT_MS;
  }

  serves(tenantId: string): boolean {
    return this.config.tenants.some(
      (tenant) => tenant === '*' || tenant.toLowerCase() === tenantId.toLowerCase(),
    );
  }
}

/** All configured provider instances. */
export class ProviderRegistry {
  #instances: readonly ProviderInstance[];
  readonly #configs: readonly InstanceConfig[];
  #plugins: Readonly<Record<string, Provider>>;

  /**
   * @throws ConfigurationError naming the key, for an unknown plugin, settings its schema refuses, a missing
   * secret, or two instances that one request could mean
   */
  constructor(configs: readonly InstanceConfig[], plugins: Readonly<Record<string, Provider>>) {
    this.#configs = configs;
    this.#plugins = plugins;
    this.#instances = checkedInstances(configs, plugins);
  }

  get instances(): readonly ProviderInstance[] {
    return this.#instances;
  }

  /**
   * Puts another version of a plugin in the place of the one there is, for all that is looked up from now on. Who holds
   * an instance goes on with the version it found.
   *
   * @throws ConfigurationError, as the constructor; then nothing has changed
   */
  replacePlugin(name: string, provider: Provider): void {
    const plugins = { ...this.#plugins, [name]: provider };
    this.#instances = checkedInstances(this.#configs, plugins);
    this.#plugins = plugins;
  }

  byId(id: string): ProviderInstance | null {
    return this.#instances.find((instance) => instance.id === id) ?? null;
  }

  /**
   * The instance that `vendorInformation` means for this tenant.
   * @throws UserError naming what was wrong and what is known to this tenant
   */
  resolve(wanted: VendorInformation, tenantId: string): ProviderInstance {
    const served = this.#instances.filter((instance) => instance.serves(tenantId));
    const named = served.filter(
      ({ provider: { manifest } }) =>
        same(manifest.vendor, wanted.vendor) && namesOf(manifest).some((name) => same(name, wanted.provider)),
    );
    if (named.length === 0) {
      const known = served.map(({ provider: { manifest } }) => `${manifest.vendor}/${manifest.provider}`);
      const choice =
        known.length === 0
          ? 'none. An operator has to configure an instance that serves this tenant'
          : [...new Set(known)].join(', ');
      throw new UserError(
        'invalidRequest',
        `vendorInformation: no provider "${wanted.vendor}/${wanted.provider}" is configured; known: ${choice}.`,
      );
    }
    const subProvider = wanted.subProvider;
    const found =
      subProvider === null
        ? (named.find(({ config }) => config.subProvider === undefined) ??
          (named.length === 1 ? named[0] : undefined))
        : named.find(
            ({ config }) => config.subProvider !== undefined && same(config.subProvider, subProvider),
          );
    if (found !== undefined) return found;
    const known =
      named.flatMap(({ config }) => config.subProvider ?? []).join(', ') || 'none, so leave it out';
    throw new UserError(
      'invalidRequest',
      subProvider === null
        ? `vendorInformation.subProvider: "${wanted.vendor}/${wanted.provider}" has several instances; say which: ${known}.`
        : `vendorInformation.subProvider: "${subProvider}" is not known for "${wanted.vendor}/${wanted.provider}"; known: ${known}.`,
    );
  }
}

function checkedInstances(
  configs: readonly InstanceConfig[],
  plugins: Readonly<Record<string, Provider>>,
): readonly ProviderInstance[] {
  const instances = configs.map((configured, index) => checkedInstance(configured, index, plugins));
  checkDistinct(instances);
  return instances;
}

/**
 * One instance by itself, whatever others there are.
 * @param index its place in the configuration, for messages
 * @throws ConfigurationError naming the key, for an unknown plugin, settings its schema refuses, or a missing secret
 */
export function checkedInstance(
  configured: InstanceConfig,
  index: number,
  plugins: Readonly<Record<string, Provider>>,
): ProviderInstance {
  // Checking fills defaults in, which another version of the plugin may not know.
  const config = { ...configured, settings: structuredClone(configured.settings) };
  const key = `providers[${index}] (${config.id})`;
  const provider = Object.hasOwn(plugins, config.plugin) ? plugins[config.plugin] : undefined;
  if (provider === undefined) {
    throw new ConfigurationError(
      `${key}.plugin: "${config.plugin}" is not known; known: ${Object.keys(plugins).join(', ')}`,
    );
  }
  checkSettings(`${key}.settings`, config, provider);
  checkSecrets(`${key}.secrets`, config, provider);
  checkWindows(`${key}.limits.windows`, config, provider);
  const instance = new ProviderInstance(config, provider);
  checkRoom(`${key}.limits.windows`, instance);
  checkIdempotency(key, instance);
  return instance;
}

function checkDistinct(instances: readonly ProviderInstance[]): void {
  const ids = new Set<string>();
  for (const { id } of instances) {
    if (ids.has(id)) throw new ConfigurationError(`providers: the id "${id}" is given twice`);
    ids.add(id);
  }
  for (const [index, one] of instances.entries()) {
    const twin = instances.slice(index + 1).find((other) => meansTheSame(one, other));
    if (twin !== undefined) {
      throw new ConfigurationError(
        `providers: "${one.id}" and "${twin.id}" answer to the same vendor, provider and subProvider for a tenant; give one a subProvider`,
      );
    }
  }
}

/** The quotas of all instances, as who permits calls needs them. */
export function quotasOf({ instances }: Pick<ProviderRegistry, 'instances'>) {
  return instances.map(({ id, rateLimits, config: { reserve = DEFAULT_RESERVE } }) => ({
    instance: id,
    windows: rateLimits,
    reserve,
  }));
}

function meansTheSame(one: ProviderInstance, other: ProviderInstance): boolean {
  const a = one.provider.manifest;
  const b = other.provider.manifest;
  return (
    same(a.vendor, b.vendor) &&
    namesOf(a).some((name) => namesOf(b).some((alike) => same(name, alike))) &&
    same(one.config.subProvider ?? '', other.config.subProvider ?? '') &&
    (one.config.tenants.some((tenant) => tenant === '*' || other.serves(tenant)) ||
      other.config.tenants.includes('*'))
  );
}

function checkSettings(key: string, config: InstanceConfig, provider: Provider): void {
  const validate = compileSchema(provider.manifest.settings);
  // Validation fills defaults in; the configuration's own object becomes the plugin's.
  if (!validate(config.settings)) {
    throw new ConfigurationError(
      schemaProblems(validate)
        .map((error) => describeSchemaError(error, key))
        .join('; '),
    );
  }
}

/** A plugin that names no secrets is given those that are configured, as they are. */
function checkSecrets(
  key: string,
  { secrets, secretNames = Object.keys(secrets) }: InstanceConfig,
  { manifest: { secrets: declared } }: Provider,
): void {
  if (declared === undefined) return;
  const { required = [], optional = [] } = declared;
  for (const name of required)
    if (!secretNames.includes(name))
      throw new ConfigurationError(`${key}.${name} is missing; give a reference, for example env:MY_SECRET`);
  const known = [...required, ...optional];
  for (const name of secretNames)
    if (!known.includes(name))
      throw new ConfigurationError(`${key}.${name} is not known; known: ${known.join(', ') || 'none'}`);
}

/** A window of an action that is written wrong would hold nothing back. */
function checkWindows(key: string, { rateLimits = [] }: InstanceConfig, { manifest }: Provider): void {
  const known = Object.keys(manifest.actions);
  for (const [index, { actions = [] }] of rateLimits.entries())
    for (const name of actions)
      if (!known.includes(name))
        throw new ConfigurationError(
          `${key}[${index}].actions names "${name}", which is no action; there are ${known.join(', ')}`,
        );
}

/** An action that makes more calls than a window holds could not be carried out without exceeding it. */
function checkRoom(key: string, { rateLimits, provider }: ProviderInstance): void {
  for (const [index, { calls: most, perSeconds, actions }] of rateLimits.entries())
    for (const [name, { calls = 1 }] of Object.entries(provider.manifest.actions))
      if (calls > most && (actions === undefined || actions.includes(name)))
        throw new ConfigurationError(
          `${key}[${index}] has room for ${most} calls in ${perSeconds} s, and ${name} makes ${calls} at once; allow as many, over a longer time where the vendor's quota asks for it`,
        );
}

function checkIdempotency(key: string, instance: ProviderInstance): void {
  if (instance.provider.calls.reconcile !== undefined) return;
  for (const [name, manifest] of Object.entries(instance.provider.manifest.actions)) {
    if (instance.idempotencyOf(name, manifest) === 'lookup') {
      throw new ConfigurationError(
        `${key}: its settings make ${name} idempotent by "lookup", but the plugin has no reconcile()`,
      );
    }
  }
}

/** The provider's name and its aliases. */
function namesOf({ provider, providerAliases = [] }: ProviderManifest): readonly string[] {
  return [provider, ...providerAliases];
}

function same(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
