import { isDeepStrictEqual } from 'node:util';
import mongoose from 'mongoose';
import type { KeyValuePair } from '#domain';
import type { Uuid } from './action-document.js';

const { EJSON } = mongoose.mongo.BSON;

/** An action's document as BSON has it: numbers keep their types. To be read with {@link EXACT}. */
export interface ExactDocument {
  readonly _id: Uuid;
  readonly tenantId: string;
  readonly createdAt: Date;
  readonly completedAt: Date | null;
  readonly [field: string]: unknown;
}

/** Options of a read that keeps what a plain one makes JavaScript numbers of. */
export const EXACT = { promoteValues: false, promoteLongs: false } as const;

/** The id in BSON's form. */
export function uuidIn({ _id }: Pick<ExactDocument, '_id'>): Uuid {
  return _id;
}

/** A document as one line of canonical Extended JSON, from which it comes back with every type as it was. */
export function lineOf(document: ExactDocument): string {
  return EJSON.stringify(document, { relaxed: false });
}

/** What a line holds, unchecked. @throws Error when it is no Extended JSON */
export function parseLine(line: string): unknown {
  return EJSON.parse(line, { relaxed: false });
}

/**
 * True when both hold the same values of the same types, in whatever order their fields stand. Under which key secrets
 * are sealed makes no difference, nor whether they are: `secrets rotate` changes both.
 */
export function isSameRecord(one: ExactDocument, other: ExactDocument): boolean {
  const secret = new Set([...sealedIn(one), ...sealedIn(other)]);
  const comparable = ({ sealed: _sealed, ...record }: ExactDocument): unknown =>
    EJSON.serialize(
      {
        ...record,
        parameters: parametersOf(record).map((pair, index) => (secret.has(index) ? pair.name : pair)),
      },
      { relaxed: false },
    );
  return isDeepStrictEqual(comparable(one), comparable(other));
}

/** The places in the list of parameters whose values are sealed. */
function sealedIn(record: ExactDocument): readonly number[] {
  return parametersOf(record).flatMap(({ value }, index) => (value === null ? [index] : []));
}

function parametersOf(record: Readonly<Record<string, unknown>>): readonly KeyValuePair[] {
  return (record['parameters'] ?? []) as readonly KeyValuePair[];
}
