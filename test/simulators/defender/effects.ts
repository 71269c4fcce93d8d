import type { VendorEffect } from '#provider-sdk/conformance';
import type { Fact } from './referee.js';

/** A fact as the conformance kit counts effects. */
export function effectsOf(fact: Fact): readonly VendorEffect[] {
  switch (fact.event) {
    case 'created': {
      const { type, machineId, marker } = fact;
      const key = marker === null ? {} : { key: marker };
      const did: VendorEffect = { what: 'did', target: `${type} ${machineId}`, ...key };
      const undone = { Unisolate: 'Isolate', UnrestrictCodeExecution: 'RestrictCodeExecution' }[type];
      return undone === undefined
        ? [did]
        : [did, { what: 'undid', target: `${undone} ${machineId}`, ...key }];
    }
    case 'cancelled':
      return [{ what: 'stopped', target: `${fact.type} ${fact.machineId}` }];
    case 'indicatorSet':
      return fact.changed
        ? [{ what: 'did', target: `${fact.indicatorType} ${fact.value} ${fact.action}` }]
        : [];
    case 'indicatorRemoved':
      return [{ what: 'undid', target: `${fact.indicatorType} ${fact.value}` }];
    case 'applied':
    case 'misbehaved':
      return [];
  }
}
