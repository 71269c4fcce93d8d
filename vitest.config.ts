import { defineConfig } from 'vitest/config';

/** As Node.js resolves, but for the sources: without `module`, which is for bundlers, and what one package may require breaks by. */
const conditions = ['riposte-source', 'node', 'import', 'default'];
/** The sources themselves are tested, by the same `imports` map that serves the compiled product. */
export const resolution = { resolve: { conditions }, ssr: { resolve: { conditions } } };

const shared = {
  pool: 'forks',
  // More than the cores there are on a small machine: most of a file's time is waiting.
  maxWorkers: 5,
  // Its files share a process and what it has loaded, which is half of what they cost.
  isolate: false,
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
          include: ['test/**/*.spec.ts', 'apps/console/src/**/*.spec.ts'],
        },
      },
      {
        ...resolution,
        test: {
          ...shared,
          name: 'e2e',
          // The campaign, too: it starts ten processes of its own, but for half of its time it waits for their faults.
          include: ['test/**/*.{e2e,campaign}-spec.ts'],
        },
      },
      {
        ...resolution,
        test: {
          ...shared,
          name: 'browser',
          include: ['test/browser/*.browser-spec.ts'],
          globalSetup: ['test/support/global-browser.ts'],
          // One process, with one product and one Chromium for all files, which fill a small machine by themselves.
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
        },
      },
    ],
  },
});
