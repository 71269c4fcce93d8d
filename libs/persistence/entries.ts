import { NOW } from './pipeline.js';

/** The collection of the entries in the lists of devices and feeds. */
export const ENTRIES = 'entries';

/** `owners` whose time is not over. */
export const ALIVE = {
  $filter: {
    input: { $ifNull: ['$owners', []] },
    cond: { $or: [{ $eq: ['$$this.until', null] }, { $gt: ['$$this.until', NOW] }] },
  },
} as const;
