import type { KeyValuePair } from '#domain';
import { parseParameters, type ParsedParameters } from '../parameters.js';
import type { ActionManifest } from '../provider.js';
import type { Sample } from './options.js';

/** Typed values as the strings that a caller sends: arrays and objects are JSON text. */
export function sentAs(values: Sample): readonly KeyValuePair[] {
  return Object.entries(values).map(([name, value]) => ({
    name,
    value: typeof value === 'string' ? value : JSON.stringify(value),
  }));
}

/** A sample as the plugin gets it, by the same way as in production. */
export function readSample(action: ActionManifest, sample: Sample): ParsedParameters {
  return parseParameters(action, sentAs(sample));
}
