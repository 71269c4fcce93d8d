/** What a list shows of an action. */
export interface ChangedAction {
  readonly id: string;
  readonly name: string;
  readonly instance: string;
  readonly status: string;
  readonly phase: string;
  readonly createdAt: Date;
  readonly lastActionAt: Date;
  readonly unresolved: boolean;
}

/** What a tenant is told of a stretch of changes: one and the same object for all who are told. */
export interface TenantChanges {
  /** In their latest states, each once. */
  readonly actions: readonly ChangedAction[];
  /** Provider instances whose record changed, whichever tenants they serve. */
  readonly instances: readonly string[];
}

/** What changed until a position. */
export class Stretch {
  readonly #byTenant: ReadonlyMap<string, TenantChanges>;
  readonly #others: TenantChanges | null;
  /** How many actions are in it. */
  readonly size: number;

  constructor(
    readonly upTo: string,
    actions: ReadonlyMap<string, readonly ChangedAction[]>,
    instances: readonly string[],
  ) {
    this.#byTenant = new Map([...actions].map(([tenantId, own]) => [tenantId, { actions: own, instances }]));
    this.#others = instances.length === 0 ? null : { actions: [], instances };
    this.size = [...actions.values()].reduce((sum, own) => sum + own.length, 0);
  }

  /** Null: nothing that the tenant is told of. */
  of(tenantId: string): TenantChanges | null {
    return this.#byTenant.get(tenantId) ?? this.#others;
  }
}

/** Some minutes of changes. */
const MOST_STRETCHES = 1000;

/**
 * The recent changes, in order. A position is a resume token of MongoDB's, and positions are ordered as their texts
 * are (src/mongo/db/pipeline/resume_token.h, by which mongos merges its shards' streams). A place is a stretch's number.
 */
export class ChangeLog {
  readonly #stretches: Stretch[] = [];
  #first = 0;
  #actions = 0;
  #startsAfter: string;
  #position: string;

  /**
   * @param position what changes after it will be in the log
   * @param mostActions how many are kept, in all
   */
  constructor(
    position: string,
    private readonly mostActions: number,
  ) {
    this.#startsAfter = position;
    this.#position = position;
  }

  /** Until there everything is known. */
  get position(): string {
    return this.#position;
  }

  /** The place of the stretch to come. */
  get end(): number {
    return this.#first + this.#stretches.length;
  }

  /** The place of the first stretch with something after the position; null: the log begins later. */
  placeAfter(position: string): number | null {
    if (position < this.#startsAfter) return null;
    const index = this.#stretches.findIndex(({ upTo }) => upTo > position);
    return index === -1 ? this.end : this.#first + index;
  }

  /** The stretch at a place before {@link end}; undefined: it is not kept any more. */
  at(place: number): Stretch | undefined {
    return this.#stretches[place - this.#first];
  }

  append(stretch: Stretch): void {
    this.#stretches.push(stretch);
    this.#actions += stretch.size;
    this.#position = stretch.upTo;
    while (this.#stretches.length > MOST_STRETCHES || this.#actions > this.mostActions) {
      const oldest = this.#stretches.shift();
      if (oldest === undefined) return;
      this.#first += 1;
      this.#actions -= oldest.size;
      this.#startsAfter = oldest.upTo;
    }
  }

  /** Nothing changed until then. */
  advance(position: string): void {
    this.#position = position;
  }
}
