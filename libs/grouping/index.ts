import DataLoader from 'dataloader';

export interface GroupLimits {
  /** Items of one group. Default 100. */
  readonly size?: number;
  /** Groups under way at a time; what comes meanwhile gathers. Default 2. */
  readonly parallel?: number;
  /** Milliseconds after which a group that is stuck no longer holds up others. Default 100. */
  readonly holdMs?: number;
}

/**
 * Makes single calls go together ("group commit"): a lone call goes at once, and calls made while earlier groups
 * are under way gather and go as one when the next may. Each caller gets its own item's value or error.
 *
 * @param together what is done with a group; gives, in order, each item's value or the Error of that item alone.
 *   When it rejects, every caller of the group does.
 */
export function grouped<Item, Value>(
  together: (items: readonly Item[]) => Promise<readonly (Value | Error)[]>,
  { size = 100, parallel = 2, holdMs = 100 }: GroupLimits = {},
): (item: Item) => Promise<Value> {
  let underWay = 0;
  const ready: (() => void)[] = [];
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
      const timer = setTimeout(letGo, holdMs);
      try {
        return await together(items);
      } finally {
        clearTimeout(timer);
        letGo();
      }
    },
    {
      cache: false,
      maxBatchSize: size,
      // Not at once: calls of the same turn of the event loop belong together.
      batchScheduleFn: (dispatch) => {
        setImmediate(() => {
          ready.push(dispatch);
          go();
        });
      },
    },
  );
  return (item) => loader.load(item);
}
