import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ConfigurationError } from '#domain';
import { checkManifest, type Provider, type ProviderManifest } from '#provider-sdk';
import type { Logger } from '#telemetry';
import { OutsideProvider } from './outside-provider.js';
import { PluginProcess, type PluginProcessOptions } from './plugin-process.js';
import { findPackage, signatureOf, stage, type PluginPackage } from './plugin-package.js';

/** Milliseconds between looks at a watched package. */
const WATCH_MS = 500;
/** Milliseconds an old version has for its calls when a new one has taken its place. */
const OLD_VERSION_MS = 660_000;
const CLOSE_MS = 1000;

/** A plugin that is not shipped, as configured. */
export interface OutsidePluginConfig {
  readonly package?: string | undefined;
  /** MiB of heap of its process. */
  readonly memoryMb: number;
  /** What its files have to hash to, in hex. */
  readonly sha256?: string | undefined;
  /** Load it again when its files change. */
  readonly watch: boolean;
}

export interface OutsidePluginsOptions {
  readonly plugins: Readonly<Record<string, OutsidePluginConfig>>;
  /** The configuration's file: named in messages, and packages are looked for from its folder. */
  readonly configFile: string;
  /** Names that are taken. */
  readonly shipped: ReadonlySet<string>;
  readonly log: Logger;
  /** Milliseconds between pings, default 5,000, and after which an unanswered one ends a process, default 15,000. */
  readonly pingMs?: number;
  readonly hungAfterMs?: number;
}

/**
 * The plugins of the configuration that are packages of others. Their code never runs in this process: one that is
 * started for a moment says what the plugin declares, and each instance has one for its calls from the first on.
 */
export class OutsidePlugins {
  readonly #options: OutsidePluginsOptions;
  readonly #folder: string;
  readonly #loaded = new Map<string, OutsideProvider>();
  readonly #old = new Set<OutsideProvider>();
  readonly #packages = new Map<string, PluginPackage>();
  /** For an end of the process that `close` did not come before, such as a start that is refused later on. */
  readonly #leave = () => rmSync(this.#folder, { recursive: true, force: true });
  #generation = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  private constructor(options: OutsidePluginsOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    process.once('exit', this.#leave);
  }

  /** @throws ConfigurationError naming file and key, for the first plugin that cannot be had */
  static async load(options: OutsidePluginsOptions): Promise<OutsidePlugins> {
    const folder = await mkdtemp(path.join(tmpdir(), 'riposte-plugins-'));
    const outside = new OutsidePlugins(options, folder);
    try {
      for (const [name, config] of Object.entries(options.plugins)) {
        if (config.package === undefined) continue;
        const key = `${options.configFile}: plugins.${name}`;
        if (options.shipped.has(name))
          throw new ConfigurationError(`${key}: a shipped plugin has this name; give it another`);
        const found = await findPackage(key, config.package, path.dirname(options.configFile));
        outside.#packages.set(name, found);
        outside.#loaded.set(name, await outside.#open(name, config, found));
      }
    } catch (error) {
      await outside.close();
      throw error;
    }
    return outside;
  }

  /** By the configuration's name, as the registry takes them. */
  get providers(): Readonly<Record<string, Provider>> {
    return Object.fromEntries([...this.#loaded].map(([name, { provider }]) => [name, provider]));
  }

  /**
   * Has the plugins with `watch` loaded again when their files change. A version that cannot be had is logged, and the
   * one before goes on; calls under way end in the version they began in.
   *
   * @param replace takes the new version, or throws where it cannot be
   */
  watch(replace: (name: string, provider: Provider) => void): void {
    const watched = [...this.#packages].filter(([name]) => this.#options.plugins[name]?.watch === true);
    if (watched.length === 0) return;
    const known = new Map<string, string>();
    const look = async (): Promise<void> => {
      for (const [name, found] of watched) {
        const before = known.get(name);
        const now = await signatureOf(found.folder);
        known.set(name, now);
        // Once it is as it was at the last look: a build writes for a while.
        if (before === undefined || now === before || now !== (await later(found))) continue;
        await this.#reload(name, found, replace);
      }
    };
    const later = async (found: PluginPackage): Promise<string> => {
      await new Promise((resolve) => setTimeout(resolve, WATCH_MS / 2));
      return signatureOf(found.folder);
    };
    let idle = true;
    const once = () => {
      if (!idle) return;
      idle = false;
      this.#looking = look()
        .catch((error: unknown) => this.#options.log.warn({ err: error }, 'watching plugins failed'))
        .finally(() => (idle = true));
    };
    this.#timer = setInterval(once, WATCH_MS).unref();
    once();
  }

  /** Ends all processes of plugins. Calls under way have a second. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    await Promise.all([...this.#loaded.values(), ...this.#old].map((plugin) => plugin.close(CLOSE_MS)));
    await rm(this.#folder, { recursive: true, force: true });
    process.off('exit', this.#leave);
  }

  async #reload(
    name: string,
    found: PluginPackage,
    replace: (name: string, provider: Provider) => void,
  ): Promise<void> {
    const config = this.#options.plugins[name];
    const before = this.#loaded.get(name);
    if (config === undefined || before === undefined) return;
    try {
      const next = await this.#open(name, config, found);
      replace(name, next.provider);
      this.#loaded.set(name, next);
      this.#old.add(before);
      void before.close(OLD_VERSION_MS).then(() => this.#old.delete(before));
      this.#options.log.info(
        { plugin: name, version: next.provider.manifest.version },
        'plugin loaded again',
      );
    } catch (error) {
      this.#options.log.warn(
        { plugin: name, error: (error as Error).message },
        'a changed plugin cannot be loaded; the version before goes on',
      );
    }
  }

  async #open(name: string, config: OutsidePluginConfig, found: PluginPackage): Promise<OutsideProvider> {
    const key = `${this.#options.configFile}: plugins.${name}`;
    this.#generation += 1;
    const staged = await stage(found, path.join(this.#folder, `${this.#generation}`)).catch(
      (cause: unknown) => {
        throw new ConfigurationError(`${key}.package: cannot be copied: ${(cause as Error).message}`, {
          cause,
        });
      },
    );
    if (config.sha256 !== undefined && config.sha256 !== staged.sha256)
      throw new ConfigurationError(
        `${key}.sha256: the files of ${found.folder} hash to ${staged.sha256}, not to ${config.sha256}; look at what changed before you take that in`,
      );
    const options: PluginProcessOptions = {
      name,
      staged,
      memoryMb: config.memoryMb,
      log: this.#options.log,
      pingMs: this.#options.pingMs ?? 5000,
      hungAfterMs: this.#options.hungAfterMs ?? 15_000,
    };
    const started = await PluginProcess.start(options).catch((cause: unknown) => {
      throw new ConfigurationError(
        `${key}.package: ${found.entry} does not load: ${(cause as Error).message}`,
        {
          cause,
        },
      );
    });
    started.process.kill('it has described itself');
    const calls = new Set(started.description.calls);
    // Parsed JSON of any form; `checkManifest` holds it against a schema first.
    const manifest = started.description.manifest as ProviderManifest;
    try {
      checkManifest(manifest, calls);
    } catch (error) {
      throw new ConfigurationError(`${key}.package: ${(error as Error).message}`, { cause: error });
    }
    if (calls.has('idempotencyOf'))
      throw new ConfigurationError(
        `${key}.package: idempotencyOf() is for shipped plugins only; declare the idempotency in the manifest`,
      );
    this.#options.log.info(
      { plugin: name, version: manifest.version, sha256: staged.sha256 },
      'plugin loaded',
    );
    return new OutsideProvider(manifest, calls, options);
  }
}
