import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT, prepare } from './prepare.mjs';

/** `npm test`: prepares a fresh checkout, runs the tests, and ends with the line `N passed, N failed`. */

await prepare();

const dir = mkdtempSync(path.join(tmpdir(), 'riposte-test-'));
const results = path.join(dir, 'results.json');
// Tests own their servers; they must never touch those of an installation.
const {
  MONGODB_URI: _mongo,
  REDIS_URL: _redis,
  RIPOSTE_CONFIG: _config,
  RIPOSTE_DATA_DIR: _data,
  RIPOSTE_SECRETS_KEY: _secretsKey,
  RIPOSTE_SECRETS_KEY_FILE: _secretsKeyFile,
  ...env
} = process.env;
const args = [
  'node_modules/vitest/vitest.mjs',
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${results}`,
  ...process.argv.slice(2),
];
const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => {
  let passed = 0;
  let failed = 0;
  try {
    const report = JSON.parse(readFileSync(results, 'utf8'));
    passed = report.numPassedTests;
    // A file that could not be loaded has no tests to count, and has failed all the same.
    failed =
      report.numFailedTests +
      report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
        .length;
  } catch {
    failed = 1;
  }
  rmSync(dir, { recursive: true, force: true });
  if (code !== 0 && failed === 0) failed = 1;
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed > 0 || passed === 0 ? 1 : 0);
});
