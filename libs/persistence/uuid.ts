import mongoose from 'mongoose';
import type { Uuid } from './action-document.js';

/** The BSON form of an id that was checked with `isGuid` or made by us. */
export function uuidOf(id: string): Uuid {
  return new mongoose.mongo.UUID(id);
}
