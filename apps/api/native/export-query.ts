import { filterOf, orderOf, type Query } from '../security-actions/list-options.js';
import { EXPORT_FORMATS, type ExportQuery } from './export-actions.js';
import { NARROWING, NATIVE, knownParameters, narrowingOf, oneOf } from './list-query.js';

/**
 * Reads the query of an export.
 * @throws UserError `invalidRequest` for a parameter that is not known, given twice, or not valid
 */
export function parseExportQuery(query: Query): ExportQuery {
  const given = knownParameters(query, ['format', 'filter', 'search', 'orderby', ...NARROWING]);
  return {
    format: oneOf('format', given.get('format') ?? 'csv', EXPORT_FORMATS),
    filter: filterOf(given, NATIVE.sign),
    order: orderOf(given, NATIVE.sign),
    only: narrowingOf(given),
  };
}
