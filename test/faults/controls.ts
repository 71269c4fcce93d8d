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
  { name: 'no-sweep', args: mutant('no-sweep', 150, 3, 'F5'), shows: 'stuck' },
  { name: 'fixed-job-id', args: mutant('fixed-job-id', 100, 0, 'F5'), shows: 'stuck' },
  { name: 'cancel-without-flag', args: mutant('cancel-without-flag', 150, 2, 'F17'), shows: 'untrue' },
  { name: 'no-intent', args: [...mutant('no-intent', 300, 6, 'F1'), '--mode', 'none'], shows: 'duplicated' },
  { name: 'no-epoch', args: [...mutant('no-epoch', 600, 8, 'F3'), '--mode', 'none'], shows: 'duplicated' },
  {
    name: 'naive',
    args: ['--naive', '--seed', '8', '--actions', '300', '--faults', '6', '--drain-seconds', '30'],
    shows: 'duplicated',
  },
];

function mutant(name: string, actions: number, faults: number, only: string): string[] {
  const counts = ['--actions', String(actions), '--faults', String(faults), '--only', only];
  return ['--mutant', name, '--seed', '3', ...counts, '--drain-seconds', '25'];
}
