import type mongoose from 'mongoose';
import type { ActionDocument } from './action-document.js';

/** A filter of the database, or what holds for every document (true) or for none (false). */
export type Condition = boolean | mongoose.mongo.Filter<ActionDocument>;

/** True where all hold. */
export function allOf(conditions: readonly Condition[]): Condition {
  if (conditions.includes(false)) return false;
  const left = conditions.filter((condition) => typeof condition === 'object');
  return left.length > 1 ? { $and: left } : (left[0] ?? true);
}

/** True where at least one holds. */
export function anyOf(conditions: readonly Condition[]): Condition {
  if (conditions.includes(true)) return true;
  const left = conditions.filter((condition) => typeof condition === 'object');
  return left.length > 1 ? { $or: left } : (left[0] ?? false);
}

/** True where it does not hold, for documents without the field too. */
export function noneOf(condition: Condition): Condition {
  return typeof condition === 'boolean' ? !condition : { $nor: [condition] };
}
