/** Groups under way at a time. Two were quicker than one and than four. */
const PARALLEL = 2;
/** Items of one group: 256 connections fill two. */
const SIZE = 128;

/**
 * Calls that come while groups are under way gather, and go together when the next may. Written for this yardstick
 * alone: measured by the product's own, it could not show what that costs.
 */
export function gathering<Item, Value>(
  together: (items: readonly Item[]) => Promise<readonly Value[]>,
): (item: Item) => Promise<Value> {
  interface Waiting {
    readonly item: Item;
    readonly resolve: (value: Value) => void;
    readonly reject: (error: unknown) => void;
  }
  const waiting: Waiting[] = [];
  let underWay = 0;
  let scheduled = false;

  const go = (): void => {
    scheduled = false;
    while (underWay < PARALLEL && waiting.length > 0) {
      const group = waiting.splice(0, SIZE);
      underWay += 1;
      void run(group).finally(() => {
        underWay -= 1;
        schedule();
      });
    }
  };
  // What arrives in the same turn of the event loop goes together.
  const schedule = (): void => {
    if (scheduled || waiting.length === 0) return;
    scheduled = true;
    setImmediate(go);
  };
  const run = async (group: readonly Waiting[]): Promise<void> => {
    try {
      const values = await together(group.map(({ item }) => item));
      for (const [index, { resolve }] of group.entries()) resolve(values[index] as Value);
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  };
  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      schedule();
    });
}
