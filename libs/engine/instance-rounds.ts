import type { SharedLease } from '#domain';
import { Rounds } from '#rounds';
import type { Logger } from '#telemetry';
import type { ProviderInstance } from './registry.js';

export interface InstanceRoundsOptions {
  /** What is done, in small letters: part of the leases' names, and told in the log. */
  readonly what: string;
  /** The instances it is done at. */
  readonly instances: () => readonly ProviderInstance[];
  readonly visit: (instance: ProviderInstance) => Promise<unknown>;
  /** The lease of this name: one worker visits an instance for all. */
  readonly lease: (name: string) => SharedLease;
  /** This worker, as the leases know it. */
  readonly owner: string;
  readonly log: Logger;
  /** Milliseconds between two rounds, give or take 10 %. */
  readonly periodMs: number;
  /** True: the first round goes to all instances, also where another worker was lately: it may have been before a crash. */
  readonly firstToAll: boolean;
}

/** In periods: a crashed worker's lease keeps the others from an instance for so long. */
const LEASE_PERIODS = 1.5;

/** Visits provider instances now and then, one worker for all; one visit that hangs holds up no other. */
export class InstanceRounds {
  readonly #options: InstanceRoundsOptions;
  readonly #rounds: Rounds;
  #isFirst = true;

  constructor(options: InstanceRoundsOptions) {
    this.#options = options;
    const { what, periodMs, log } = options;
    this.#rounds = new Rounds({
      periodMs,
      firstMs: 0,
      // The leases last for little longer than a period.
      spread: 0.1,
      round: () => this.go(),
      failed: `${what} checks failed`,
      log,
    });
  }

  /** Goes now and every period from then on. */
  start(): void {
    this.#rounds.start();
  }

  /** Begins no more, waits for what is under way, and lets another worker go on. */
  async stop(): Promise<void> {
    await this.#rounds.stop();
    const { instances, owner } = this.#options;
    await Promise.all(instances().map((instance) => this.#leaseOf(instance).giveBack(owner)));
  }

  /** One round. Never rejects: what fails is logged, and tried again with the next. */
  async go(): Promise<void> {
    const { instances, owner, visit, log, what, periodMs, firstToAll } = this.#options;
    const toAll = firstToAll && this.#isFirst;
    this.#isFirst = false;
    await Promise.all(
      instances().map(async (instance) => {
        try {
          if ((await this.#leaseOf(instance).take(owner, LEASE_PERIODS * periodMs)) || toAll)
            await visit(instance);
        } catch (error) {
          log.warn({ instance: instance.id, error: String(error) }, `${what} check failed`);
        }
      }),
    );
  }

  #leaseOf({ id }: ProviderInstance): SharedLease {
    return this.#options.lease(`${this.#options.what}:${id}`);
  }
}
