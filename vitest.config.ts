import { defineConfig } from 'vitest/config';

export default defineConfig({
  // The sources themselves are tested, by the same `imports` map that serves the compiled product.
  resolve: { conditions: ['riposte-source', 'node', 'import', 'module', 'default'] },
  ssr: { resolve: { conditions: ['riposte-source', 'node', 'import', 'module', 'default'] } },
  test: {
    include: ['test/**/*.spec.ts', 'test/**/*.e2e-spec.ts'],
    globalSetup: ['test/support/global-servers.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    passWithNoTests: false,
  },
});
