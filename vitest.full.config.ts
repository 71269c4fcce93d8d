import { defineConfig } from 'vitest/config';
import { resolution } from './vitest.config.js';

/** `npm run test:full`: what takes too long for every change. One after the other: each fills the machine. */
export default defineConfig({
  ...resolution,
  test: {
    include: ['test/**/*.full-spec.ts'],
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    passWithNoTests: false,
    globalSetup: ['test/support/global-servers.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
