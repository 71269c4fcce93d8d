import { defineConfig } from 'vitest/config';

const conditions = ['riposte-source', 'node', 'import', 'module', 'default'];
/** The sources themselves are tested, by the same `imports` map that serves the compiled product. */
export const resolution = { resolve: { conditions }, ssr: { resolve: { conditions } } };

export default defineConfig({
  ...resolution,
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    passWithNoTests: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'specs',
          include: ['test/**/*.spec.ts', 'test/**/*.e2e-spec.ts'],
          globalSetup: ['test/support/global-servers.ts'],
          // One more than the cores there are on a small machine: most of a file's time is waiting.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Alone, when the others are done: it starts ten processes of its own.
        extends: true,
        test: {
          name: 'campaign',
          include: ['test/**/*.campaign-spec.ts'],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
