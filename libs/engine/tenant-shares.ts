/** Fewer than this is none: a rest of what was worked off long ago. */
const NONE = 0.5;

/**
 * About how many of the actions that wait each tenant has brought, without asking the database: what this process accepted
 * is counted, and where fewer wait than that, the others are taken to be worked off of all tenants alike. What other
 * processes accepted, or one before this, is nobody's.
 */
export class TenantShares {
  readonly #of = new Map<string, number>();
  #all = 0;

  of(tenantId: string): number {
    return this.#of.get(tenantId) ?? 0;
  }

  /** One more, which the tenant brought. */
  add(tenantId: string): void {
    this.#of.set(tenantId, this.of(tenantId) + 1);
    this.#all += 1;
  }

  /** One that was added is not to be, after all. */
  remove(tenantId: string): void {
    // It may have been taken to be worked off.
    const less = Math.min(1, this.of(tenantId));
    this.#of.set(tenantId, this.of(tenantId) - less);
    this.#all -= less;
  }

  /** No more than these wait now. */
  fit(waiting: number): void {
    if (this.#all <= waiting) return;
    const factor = waiting / this.#all;
    this.#all = 0;
    for (const [tenantId, count] of this.#of) {
      const left = count * factor;
      if (left < NONE) this.#of.delete(tenantId);
      else {
        this.#of.set(tenantId, left);
        this.#all += left;
      }
    }
  }
}
