import { copyEdited, type EditedProduct } from '../support/edited-product.js';

/** The product with one of its protections taken out: a campaign that does not catch it proves nothing. */
export interface Mutant extends EditedProduct {
  /** Which promise it breaks, and how. */
  readonly breaks: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'no-epoch',
    breaks:
      'Never twice, never backwards: a worker that lost its lease goes on writing, and calling, under the lease of the one that took over.',
    edits: [
      {
        file: 'libs/persistence/pipeline.js',
        find: ', epoch: lease.epoch, owner: lease.owner }',
        replace: ' }',
      },
      {
        file: 'libs/persistence/action-writes.js',
        find: "{ $eq: ['$epoch', given('epoch')] }, { $eq: ['$owner', given('owner')] }, ",
        replace: '',
      },
      {
        file: 'libs/persistence/action-writes.js',
        find: "held('recordIntent', given, [{ $eq: ['$cancel', null] }, { $eq: ['$intent', null] }])",
        replace: "held('recordIntent', given, [{ $eq: ['$cancel', null] }])",
      },
      {
        file: 'libs/persistence/mongo-action-store.js',
        find: ' && found.epoch === lease.epoch && found.owner === lease.owner',
        replace: '',
      },
      {
        file: 'libs/persistence/mongo-action-store.js',
        find: ' && found.epoch === lease.epoch && found.owner !== lease.owner',
        replace: '',
      },
      {
        file: 'libs/persistence/mongo-action-store.js',
        find: 'isHeld(found, lease) && found.intent?.epoch === lease.epoch',
        replace: 'isHeld(found, lease) && found.intent !== null',
      },
      // A worker also gives up by its own clock what took longer than its lease, which alone hides the rest.
      {
        file: 'apps/worker/main.js',
        find: 'retryBudgetMs: 15_000',
        replace: 'retryBudgetMs: 600_000',
      },
    ],
  },
  {
    name: 'no-intent',
    breaks:
      'Never twice: after a crash what may have been issued is issued again, also where the vendor would do it twice.',
    edits: [
      {
        file: 'libs/engine/action-run.js',
        find: 'this.#recover(target, intent);',
        replace: 'this.#issue(target);',
      },
    ],
  },
  {
    name: 'cancel-without-flag',
    breaks:
      'A cancel that tells the truth: a cancel of what was issued is answered "requested", and nobody is ever told.',
    edits: [
      {
        file: 'libs/persistence/mongo-action-store.js',
        find: "{ at: STAMP, why: 'caller', ...who, outcome: null }",
        replace: 'null',
      },
      {
        file: 'libs/persistence/action-writes.js',
        find: "[{ $eq: ['$cancel', null] }, { $eq: ['$intent', null] }]",
        replace: "[{ $eq: ['$intent', null] }]",
      },
    ],
  },
  {
    name: 'fixed-job-id',
    breaks:
      'Never stuck: a job is kept under the id of its action, so that every later hint for this action is swallowed.',
    edits: [
      {
        file: 'libs/queue/bull-action-queue.js',
        find: '`${hint.actionId}-${suffix}`',
        replace: 'hint.actionId',
      },
      {
        file: 'libs/queue/bull-action-queue.js',
        find: 'removeOnComplete: true',
        replace: 'removeOnComplete: false',
      },
      {
        file: 'libs/queue/bull-action-queue.js',
        find: 'removeOnFail: true',
        replace: 'removeOnFail: false',
      },
    ],
  },
  {
    name: 'no-sweep',
    breaks: 'Never lost: what Redis forgot, nobody looks at again.',
    edits: [{ file: 'apps/worker/main.js', find: 'sweep.start();', replace: '' }],
  },
];

/**
 * Makes a runnable copy of the compiled product with a mutant's edits, in place of what was in `targetDir`.
 *
 * @returns the directory to run its processes in
 * @throws Error when there is no such mutant, or when it no longer fits the code
 */
export async function buildMutant(name: string, targetDir: string): Promise<string> {
  const mutant = MUTANTS.find((one) => one.name === name);
  if (mutant === undefined)
    throw new Error(`no mutant "${name}"; known: ${MUTANTS.map((one) => one.name).join(', ')}`);
  return copyEdited(mutant, targetDir);
}
