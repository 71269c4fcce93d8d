import { NOW } from './pipeline.js';

/** The collection of the entries in the lists of devices and feeds. */
export const ENTRIES = 'entries';

/** `owners` whose time is not over, and that are settled or hold on to it still. */
export const ALIVE = {
  $filter: {
    input: { $ifNull: ['$owners', []] },
    cond: {
      $and: [
        { $or: [{ $eq: ['$$this.until', null] }, { $gt: ['$$this.until', NOW] }] },
        { $or: [{ $eq: ['$$this.claim', null] }, { $gt: ['$$this.claim', NOW] }] },
      ],
    },
  },
} as const;
