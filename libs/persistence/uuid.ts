import mongoose from 'mongoose';
import type { Uuid } from './action-document.js';

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** True for the 8-4-4-4-12 form of a GUID, in any case. */
export function isGuid(text: string): boolean {
  return GUID.test(text);
}

/** The BSON form of an id that was checked with {@link isGuid} or made by us. */
export function uuidOf(id: string): Uuid {
  return new mongoose.mongo.UUID(id);
}
