import type mongoose from 'mongoose';
import { DEFAULT_RETRY_BUDGET_MS, repeatedRead, repeatedWrite } from './write-retry.js';

/** A list that somebody looks at often. */
export interface View {
  readonly name: string;
  /** As it stands in the address of the page. */
  readonly query: string;
}

interface ViewsDocument {
  /** Tenant and person. */
  readonly _id: string;
  readonly views: readonly View[];
}

/** The views that people keep, each for themselves in a tenant. */
export class ViewStore {
  readonly #views: mongoose.mongo.Collection<ViewsDocument>;
  readonly #budgetMs: number;

  /** @param retryBudgetMs milliseconds a call may go on repeating through an election; default 12,000 */
  constructor(db: mongoose.mongo.Db, retryBudgetMs = DEFAULT_RETRY_BUDGET_MS) {
    this.#views = db.collection<ViewsDocument>('views');
    this.#budgetMs = retryBudgetMs;
  }

  /** @throws OperationalError when the database does not answer */
  async of(tenantId: string, personId: string): Promise<readonly View[]> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#views.findOne({ _id: `${tenantId}/${personId}` }),
    );
    return found?.views ?? [];
  }

  /**
   * Puts these in the place of all there were. Safe to repeat.
   * @throws OperationalError when the database does not answer; it may have been written then
   */
  async replace(tenantId: string, personId: string, views: readonly View[]): Promise<void> {
    await repeatedWrite(this.#budgetMs, () =>
      this.#views.replaceOne({ _id: `${tenantId}/${personId}` }, { views }, { upsert: true }),
    );
  }
}
