import DataLoader from 'dataloader';

export interface GroupLimits {
  /** Items of one group. Default 100. */
  readonly size?: number;
  /** Groups under way at a time; what comes meanwhile gathers. Default 1. */
  readonly parallel?: number;
  /** Milliseconds after which a group no longer holds up others, be it stuck or slow. Default 100. */
  readonly holdMs?: number;
}

/**
 * Makes single calls go together ("group commit"): a lone call goes at once, and calls made while earlier groups
 * are under way gather and go as one when the next may. Each caller gets its own item's value or error.
 *
 * What a group costs is much the same whatever is in it. Where several processes share a database, each would keep up
 * with groups of one or two, and they would spend most of the machine on that. So where the last group was one of
 * several, the next gathers, from its first call on, for as long as that one took: no longer a wait than the database's
 * own.
 *
 * @param together what is done with a group; gives, in order, each item's value or the Error of that item alone.
 *   When it rejects, every caller of the group does.
 */
export function grouped<Item, Value>(
  together: (items: readonly Item[]) => Promise<readonly (Value | Error)[]>,
  { size = 100, parallel = 1, holdMs = 100 }: GroupLimits = {},
): (item: Item) => Promise<Value> {
  let underWay = 0;
  let gatherMs = 0;
  const ready: (() => void)[] = [];
  /** The newest group gathers no longer. */
  let endGathering = (): void => undefined;
  const go = (): void => {
    while (underWay < parallel) {
      const dispatch = ready.shift();
      if (dispatch === undefined) return;
      underWay += 1;
      dispatch();
    }
  };
  const loader = new DataLoader<Item, Value>(
    async (items) => {
      let holds = true;
      const letGo = (): void => {
        if (!holds) return;
        holds = false;
        underWay -= 1;
        go();
      };
      const beganAt = performance.now();
      const timer = setTimeout(letGo, holdMs);
      try {
        return await together(items);
      } finally {
        gatherMs = items.length === 1 ? 0 : Math.min(performance.now() - beganAt, holdMs);
        clearTimeout(timer);
        letGo();
      }
    },
    {
      cache: false,
      maxBatchSize: size,
      batchScheduleFn: (dispatch) => {
        // There is a next group: the one before is full.
        endGathering();
        let isGathering = true;
        const end = (): void => {
          if (!isGathering) return;
          isGathering = false;
          clearTimeout(timer);
          ready.push(dispatch);
          go();
        };
        const timer = setTimeout(end, gatherMs);
        endGathering = end;
        // Not at once: calls of the same turn of the event loop belong together.
        if (gatherMs === 0) setImmediate(end);
      },
    },
  );
  return (item) => loader.load(item);
}
