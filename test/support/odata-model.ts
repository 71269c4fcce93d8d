import { entityModel, type EntityModel } from '#odata';

const text = { type: 'string' } as const;
const time = { type: 'dateTime' } as const;
const int32 = { type: 'int32' } as const;
const status = {
  type: 'enum',
  name: 'microsoft.graph.operationStatus',
  members: ['NotStarted', 'Running', 'Completed', 'Failed'],
} as const;

/** An entity with a property of every type, named as a securityAction's where that has one. */
export const MODEL: EntityModel = entityModel({
  id: { type: 'guid' },
  name: text,
  status,
  urgent: { type: 'boolean' },
  createdDateTime: time,
  errorInfo: { type: 'complex', ...entityModel({ code: int32, message: text }) },
  vendorInformation: { type: 'complex', ...entityModel({ provider: text, vendor: text }) },
  parameters: { type: 'collection', ...entityModel({ name: text, value: text }) },
  states: { type: 'collection', ...entityModel({ status, updatedDateTime: time }) },
});
