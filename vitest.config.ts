import { defineConfig } from 'vitest/config';

const conditions = ['riposte-source', 'node', 'import', 'module', 'default'];
/** The sources themselves are tested, by the same `imports` map that serves the compiled product. */
export const resolution = { resolve: { conditions }, ssr: { resolve: { conditions } } };

const shared = {
  pool: 'forks',
  // One more than the cores there are on a small machine: most of a file's time is waiting.
  maxWorkers: 3,
  testTimeout: 60_000,
  hookTimeout: 120_000,
} as const;

export default defineConfig({
  ...resolution,
  test: {
    passWithNoTests: false,
    // Once for all projects.
    globalSetup: ['test/support/global-servers.ts'],
    projects: [
      {
        ...resolution,
        test: {
          ...shared,
          name: 'specs',
          include: ['test/**/*.spec.ts'],
          // Its files share a process and what it has loaded, which is half of what they cost.
          isolate: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        ...resolution,
        test: {
          ...shared,
          name: 'e2e',
          include: ['test/**/*.e2e-spec.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Alone, when the others are done: it starts ten processes of its own.
        ...resolution,
        test: {
          ...shared,
          name: 'campaign',
          include: ['test/**/*.campaign-spec.ts'],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
