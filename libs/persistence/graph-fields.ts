import { DefectError } from '#domain';
import type { Property } from '#odata';

/**
 * Which field of an action's document stands behind a property of Graph's securityAction. What is not here cannot
 * be asked for.
 */
const ENTITY: ReadonlyMap<string, string> = new Map([
  ['id', '_id'],
  ['actionReason', 'actionReason'],
  ['appId', 'appId'],
  ['azureTenantId', 'tenantId'],
  ['clientContext', 'clientContext'],
  ['completedDateTime', 'completedAt'],
  ['createdDateTime', 'createdAt'],
  ['errorInfo', 'errorInfo'],
  ['errorInfo/code', 'errorInfo.code'],
  ['errorInfo/message', 'errorInfo.message'],
  ['errorInfo/subcode', 'errorInfo.subcode'],
  ['lastActionDateTime', 'lastActionAt'],
  ['name', 'name'],
  ['parameters', 'parameters'],
  ['states', 'states'],
  ['status', 'status'],
  ['user', 'user'],
  ['vendorInformation', 'vendorInformation'],
  ['vendorInformation/provider', 'vendorInformation.provider'],
  ['vendorInformation/providerVersion', 'vendorInformation.providerVersion'],
  ['vendorInformation/subProvider', 'vendorInformation.subProvider'],
  ['vendorInformation/vendor', 'vendorInformation.vendor'],
]);

const ITEMS: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([
  [
    'parameters',
    new Map([
      ['name', 'name'],
      ['value', 'value'],
    ]),
  ],
  [
    'states',
    new Map([
      ['appId', 'appId'],
      ['status', 'status'],
      ['updatedDateTime', 'updatedAt'],
      ['user', 'user'],
    ]),
  ],
]);

/** Times and the tenant are in every record; what else has a value always is not asked. */
const NEVER_NULL: ReadonlySet<string> = new Set(['_id', 'tenantId', 'createdAt', 'lastActionAt', 'status']);

/** The entity, or the items of one of its collections, as a filter goes through them. */
export interface Scope {
  readonly fields: ReadonlyMap<string, string>;
  /** What stands before a field in an aggregation expression. */
  readonly prefix: '$' | '$$item.';
}

export const ENTITY_SCOPE: Scope = { fields: ENTITY, prefix: '$' };

/** The scope of a collection's items. @throws DefectError for what is no collection of the entity's */
export function itemScope(collection: Property): Scope {
  const fields = ITEMS.get(collection.path.join('/'));
  if (fields === undefined) throw unknown(collection);
  return { fields, prefix: '$$item.' };
}

/** @throws DefectError for a property that is not known; whoever made the filter has not checked it */
export function fieldOf(property: Property, { fields }: Scope): string {
  const field = fields.get(property.path.join('/'));
  if (field === undefined) throw unknown(property);
  return field;
}

/** True for a field of the entity that may be null or missing. */
export function isNullable(field: string): boolean {
  return !NEVER_NULL.has(field);
}

function unknown({ path }: Property): DefectError {
  return new DefectError(`no field of an action stands behind the property ${path.join('/')}`);
}
