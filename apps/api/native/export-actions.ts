import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { stringify, type Stringifier } from 'csv-stringify';
import type { ActionFilter, SecurityAction } from '#domain';
import type { Filter, OrderKey } from '#odata';
import type { ActionSearch, SearchPage } from '#persistence';
import type { Logger } from '#telemetry';
import { ExportTurns } from '../http/export-turns.js';
import { toNative, type NativeActionDto } from './action.dto.js';

export const EXPORT_FORMATS = ['csv', 'ndjson'] as const;
type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Which actions are exported, and how. */
export interface ExportQuery {
  readonly format: ExportFormat;
  readonly filter: Filter | null;
  readonly only: ActionFilter;
  /** None: newest first. */
  readonly order: readonly OrderKey[];
}

/** Actions of a page: the most that an export has in memory, twice. */
const PAGE = 500;

/** The columns of CSV, in their order. */
const COLUMNS: Readonly<Record<string, (action: NativeActionDto) => string | number | boolean | null>> = {
  id: ({ id }) => id,
  name: ({ name }) => name,
  status: ({ status }) => status,
  phase: ({ phase }) => phase,
  createdDateTime: ({ createdDateTime }) => createdDateTime,
  lastActionDateTime: ({ lastActionDateTime }) => lastActionDateTime,
  completedDateTime: ({ completedDateTime }) => completedDateTime,
  vendor: ({ vendorInformation }) => vendorInformation.vendor,
  provider: ({ vendorInformation }) => vendorInformation.provider,
  subProvider: ({ vendorInformation }) => vendorInformation.subProvider ?? null,
  providerInstance: ({ providerInstance }) => providerInstance,
  target: ({ target }) => target,
  parameters: ({ parameters }) => JSON.stringify(parameters),
  actionReason: ({ actionReason }) => actionReason,
  clientContext: ({ clientContext }) => clientContext,
  appId: ({ appId }) => appId,
  user: ({ user }) => user,
  attempts: ({ attempts }) => attempts.length,
  errorCode: ({ errorInfo }) => errorInfo?.code ?? null,
  errorSubcode: ({ errorInfo }) => errorInfo?.subcode ?? null,
  errorMessage: ({ errorInfo }) => errorInfo?.message ?? null,
  unresolved: ({ unresolved }) => unresolved,
  reverts: ({ reverts }) => reverts,
  revertedBy: ({ revertedBy }) => revertedBy,
};

/** Writes out all actions of a filter, page by page, no faster than they are read. */
export class ExportActions {
  readonly #search: Pick<ActionSearch, 'page'>;
  readonly #log: Logger;
  readonly #turns = new ExportTurns();

  constructor({ search, log }: { readonly search: Pick<ActionSearch, 'page'>; readonly log: Logger }) {
    this.#search = search;
    this.#log = log;
  }

  /**
   * The first page is there when it returns; a failure after it breaks the stream off, so that nobody takes a part for
   * the whole. It counts until the stream has ended or is destroyed, which who gets it has to see to.
   *
   * @param gzip whether it is compressed
   * @throws UserError, OperationalError as `ActionSearch.page`; OperationalError `tooManyRequests` for too many at once
   */
  async begin(tenantId: string, query: ExportQuery, gzip: boolean): Promise<Readable> {
    const release = this.#turns.take(tenantId);
    try {
      const first = await this.#page(tenantId, query, null);
      const source = Readable.from(this.#actions(tenantId, query, first), { highWaterMark: 1 });
      const text = query.format === 'csv' ? csv() : new PassThrough();
      const last = gzip ? createGzip() : text;
      void pipeline(gzip ? [source, text, last] : [source, text])
        .catch((error: unknown) => this.#log.info({ err: error, tenant: tenantId }, 'export broken off'))
        .finally(release);
      return last;
    } catch (error) {
      release();
      throw error;
    }
  }

  async *#actions(
    tenantId: string,
    query: ExportQuery,
    first: SearchPage,
  ): AsyncGenerator<readonly unknown[] | string> {
    let page = first;
    for (;;) {
      for (const action of page.actions) yield written(action, query.format);
      if (page.next === null) return;
      page = await this.#page(tenantId, query, page.next);
    }
  }

  #page(
    tenantId: string,
    { filter, only, order }: ExportQuery,
    after: SearchPage['next'],
  ): Promise<SearchPage> {
    return this.#search.page(tenantId, { filter, only, order, top: PAGE, skip: 0, after });
  }
}

function written(action: SecurityAction, format: ExportFormat): readonly unknown[] | string {
  const shown = toNative(action);
  if (format === 'ndjson') return `${JSON.stringify(shown)}\n`;
  return Object.values(COLUMNS).map((column) => column(shown));
}

/**
 * RFC 4180, with a header. What a spreadsheet would take for a formula gets a `'` before it
 * (https://owasp.org/www-community/attacks/CSV_Injection).
 */
function csv(): Stringifier {
  return stringify({
    header: true,
    columns: Object.keys(COLUMNS),
    record_delimiter: 'windows',
    // Also what another delimiter would split.
    quoted: true,
    escape_formulas: true,
    // Of what is before a formula it leaves line feeds alone.
    cast: { boolean: String, string: (text) => (text.startsWith('\n') ? `'${text}` : text) },
  });
}
