/**
 * The campaigns that have to fail: a product with a protection taken out, and a worker as people write one by hand.
 * A campaign that lets one of them pass proves nothing about the product.
 */
export interface Control {
  readonly name: string;
  readonly args: readonly string[];
  /** The line of the report that has to show more than 0. */
  readonly shows: 'duplicated' | 'stuck' | 'illegal histories' | 'untrue';
}

export const CONTROLS: readonly Control[] = [
  { name: 'no-sweep', shows: 'stuck', args: mutant('no-sweep', 150, 3, 'F5') },
  { name: 'fixed-job-id', shows: 'stuck', args: mutant('fixed-job-id', 100, 0, 'F5') },
  { name: 'cancel-without-flag', shows: 'untrue', args: mutant('cancel-without-flag', 150, 2, 'F17') },
  {
    name: 'no-intent',
    shows: 'duplicated',
    // What the blocked worker holds in a vendor call is issued again by its successor.
    args: [...mutant('no-intent', 300, 3, 'F3'), '--mode', 'none'],
  },
  {
    name: 'no-epoch',
    shows: 'duplicated',
    // This seed draws the block between claim and intent three times.
    args: [...mutant('no-epoch', 300, 3, 'F3'), '--mode', 'none'],
  },
  {
    name: 'naive worker',
    shows: 'illegal histories',
    args: ['--naive', ...campaign(300, 6), '--drain-seconds', '15'],
  },
];

function mutant(name: string, actions: number, faults: number, only: string): string[] {
  return ['--mutant', name, ...campaign(actions, faults), '--only', only, '--drain-seconds', '15'];
}

function campaign(actions: number, faults: number): string[] {
  return ['--seed', '2', '--actions', String(actions), '--faults', String(faults)];
}
