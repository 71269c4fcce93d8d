import { STATUSES } from '#domain';
import { entityModel, type EntityModel, type SearchedPath } from '#odata';

const text = { type: 'string' } as const;
const time = { type: 'dateTime' } as const;
const int32 = { type: 'int32' } as const;
const status = { type: 'enum', name: 'microsoft.graph.operationStatus', members: STATUSES } as const;

/** Graph's securityAction as the OData options see it. */
export const SECURITY_ACTION: EntityModel = entityModel({
  id: { type: 'guid' },
  actionReason: text,
  appId: text,
  azureTenantId: text,
  clientContext: text,
  completedDateTime: time,
  createdDateTime: time,
  errorInfo: { type: 'complex', ...entityModel({ code: int32, message: text, subcode: int32 }) },
  lastActionDateTime: time,
  name: text,
  parameters: { type: 'collection', ...entityModel({ name: text, value: text }) },
  states: {
    type: 'collection',
    ...entityModel({ appId: text, status, updatedDateTime: time, user: text }),
  },
  status,
  user: text,
  vendorInformation: {
    type: 'complex',
    ...entityModel({ provider: text, providerVersion: text, subProvider: text, vendor: text }),
  },
});

/** What `$search` looks into. */
export const SEARCHED: readonly SearchedPath[] = [
  ['name'],
  ['actionReason'],
  ['clientContext'],
  ['user'],
  ['vendorInformation', 'vendor'],
  ['vendorInformation', 'provider'],
  ['vendorInformation', 'subProvider'],
  { collection: 'parameters', path: ['value'] },
];
