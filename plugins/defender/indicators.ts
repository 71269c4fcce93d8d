import { INDICATORS, DefenderError, quoted, type Context, type DefenderApi } from './defender-api.js';
import {
  indicatorList,
  indicatorSchema,
  isOf,
  type Indicator,
  type IndicatorBody,
  type IndicatorState,
} from './indicator.js';
import { coveredBy, type IndicatorTarget } from './indicator-value.js';

/** Rows a list may give at once, by Microsoft's documentation. */
const MOST_ROWS = 10_000;
/** A tenant can have 15,000. */
const MOST_PAGES = 3;
const MOST_LIST_BYTES = 16_777_216;

export const NETWORK: ReadonlySet<string> = new Set(['IpAddress', 'DomainName', 'Url']);

/** Defender's indicators: by type and value there is one per tenant, and setting it again writes over it. */
export class Indicators {
  constructor(readonly api: DefenderApi) {}

  /** What stands for it now. */
  async stateOf(context: Context, target: IndicatorTarget): Promise<IndicatorState> {
    const values = coveredBy(target);
    const filter = values.map((value) => `indicatorValue eq ${quoted(value)}`).join(' or ');
    const rows = await this.#page(context, { $filter: filter });
    // What a filter lets through is looked at again: what is not of the target must not be written over.
    const known = rows.filter(({ indicatorValue }) =>
      values.some((value) => value.toLowerCase() === indicatorValue.toLowerCase()),
    );
    const current = known.find((indicator) => isOf(indicator, target)) ?? null;
    const defeatedBy = known.filter(
      (indicator) =>
        indicator !== current && indicator.action === 'Allowed' && NETWORK.has(indicator.indicatorType),
    );
    return { current, defeatedBy };
  }

  /** All that this application may see: one call for up to 10,000. */
  async all(context: Context): Promise<readonly Indicator[]> {
    const rows: Indicator[] = [];
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const some = await this.#page(context, {
        $top: String(MOST_ROWS),
        ...(page === 0 ? {} : { $skip: String(page * MOST_ROWS) }),
      });
      rows.push(...some);
      if (some.length < MOST_ROWS) break;
    }
    return rows;
  }

  /** @throws DefenderError `capacity` where the tenant has as many as it may have */
  async post(context: Context, body: IndicatorBody): Promise<Indicator> {
    try {
      const answer = await this.api.request(context, {
        method: 'POST',
        path: '/indicators',
        json: body,
        answer: indicatorSchema,
        needs: INDICATORS,
      });
      return answer.body;
    } catch (error) {
      // The code for it is not documented, so that here alone the words decide, between two failures that are final.
      if (
        error instanceof DefenderError &&
        error.httpStatus === 400 &&
        /limit|quota|maximum/i.test(error.message)
      )
        throw new DefenderError(
          'capacity',
          `Defender takes no more indicators: a tenant can have 15,000. Remove some in Settings > Endpoints > Indicators. ${error.message}`,
          error.vendorCode,
          error,
        );
      throw error;
    }
  }

  /** One that is gone already is as removed. */
  async delete(context: Context, { id }: Indicator): Promise<void> {
    await this.api.request(context, {
      method: 'DELETE',
      path: `/indicators/${encodeURIComponent(String(id))}`,
      // Somebody was faster.
      accept: [404],
      needs: INDICATORS,
    });
  }

  async #page(context: Context, query: Readonly<Record<string, string>>): Promise<readonly Indicator[]> {
    const { body } = await this.api.request(context, {
      method: 'GET',
      path: '/indicators',
      query,
      answer: indicatorList,
      maxBytes: MOST_LIST_BYTES,
      needs: INDICATORS,
    });
    return body.value;
  }
}
