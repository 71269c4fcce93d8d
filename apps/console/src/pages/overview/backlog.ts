import type { Overview } from '../../api/types.ts';

/**
 * How many actions had not ended at the end of each step: those of now, less what came and plus what ended since. Never
 * below none, for figures of a moment and of a period are not taken at the same time.
 */
export function backlogOver({ now, throughput }: Pick<Overview, 'now' | 'throughput'>): readonly number[] {
  let open = now.queued + now.throttled + now.running;
  return throughput
    .toReversed()
    .map(({ created, completed, failed, cancelled }) => {
      const atItsEnd = open;
      open = Math.max(0, open - created + completed + failed + cancelled);
      return atItsEnd;
    })
    .toReversed();
}
