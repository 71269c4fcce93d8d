import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';
import { DIST_DIR, PROJECT_DIR } from '../support/project-dir.js';

it('answers whatever is sent as its OpenAPI document says', { timeout: 480_000 }, () => {
  const { status } = spawnSync(process.execPath, [path.join(DIST_DIR, 'test/fuzz/main.js')], {
    cwd: PROJECT_DIR,
    stdio: 'inherit',
  });
  expect(status).toBe(0);
});
