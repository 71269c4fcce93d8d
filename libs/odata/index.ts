export type { Comparison, Filter, FilterValue, Operand, OrderKey, Property, PropertyType } from './filter.js';
export { foldText } from './fold.js';
export { entityModel, type EntityModel, type PropertyModel } from './model.js';
export { FILTER_LIMITS, parseFilter } from './parse-filter.js';
export { parseOrderBy } from './parse-order-by.js';
export { SEARCH_LIMITS, parseSearch, type SearchedPath } from './parse-search.js';
export { parseSelect, select, type Selection } from './selection.js';
export { ODataSyntaxError } from './syntax-error.js';
