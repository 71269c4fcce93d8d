export type { Comparison, Filter, FilterValue, Operand, OrderKey, Property, PropertyType } from './filter.js';
export { foldText } from './fold.js';
