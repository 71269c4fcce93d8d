import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { riposte } from '../support/cli.js';
import { ConsoleClient } from '../support/console-client.js';
import { TENANT_A, TENANT_B } from '../support/database.js';
import { PASSWORD } from '../support/operators.js';
import { Stack } from '../support/stack.js';

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ workers: 0 });
});
afterAll(() => stack.stop());

describe('riposte operators', () => {
  const run = (...args: string[]) => riposte(stack.env, 'operators', ...args);

  it('makes accounts that sign in, shows them without anything secret, and takes them back', async () => {
    const made = await run(
      'add',
      'carol',
      '--tenant',
      TENANT_A,
      '--role',
      'Administrator',
      '--operates',
      '--json',
    );
    expect(made.code).toBe(0);
    const { password } = JSON.parse(made.stdout) as { password: string };
    const carol = new ConsoleClient(stack.baseUrl);
    expect((await carol.signIn('carol', password)).body).toMatchObject({
      operates: true,
      mustChangePassword: true,
    });

    const list = await run('list', '--tenant', TENANT_A);
    expect(list.stdout).toMatch(/^carol {2}carol, operates the installation, last signed in 20/);
    expect(list.stdout).toContain(`tenant ${TENANT_A}  Administrator`);
    expect((await run('list', '--json')).stdout).not.toMatch(/scrypt/);

    const inB = await run('set-role', 'carol', '--tenant', TENANT_B, '--role', 'viewer', '--no-operates');
    expect(inB.code).toBe(0);
    expect(JSON.parse((await run('list', '--tenant', TENANT_B, '--json')).stdout)).toMatchObject([
      {
        name: 'carol',
        operates: false,
        grants: [
          { tenantId: TENANT_A, role: 'Administrator' },
          { tenantId: TENANT_B, role: 'Viewer' },
        ],
      },
    ]);

    // Of an export, people and their sessions are no part.
    const exported = await riposte(stack.env, 'export', '--tenant', TENANT_A, '--out', '-');
    expect(exported.code).toBe(0);
    expect(exported.stdout).not.toMatch(/carol|scrypt/);

    expect((await run('sign-out', 'carol')).code).toBe(0);
    expect((await carol.session()).signedIn).toBe(false);
    expect((await run('remove', 'carol')).code).toBe(0);
    expect((await carol.signIn('carol', password)).status).toBe(401);
    const again = await run('disable', 'carol');
    expect({ code: again.code, stderr: again.stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('There is no account carol; nothing was changed.') as string,
    });
  });

  it('takes a password that was chosen, and refuses one that is too easy', async () => {
    const file = path.join(stack.dataDir, 'password');
    await writeFile(file, `${PASSWORD}\n`);
    const add = (...args: string[]) =>
      run('add', 'dave', '--tenant', TENANT_A, '--role', 'viewer', '--password-file', file, ...args);
    expect(await add()).toMatchObject({ code: 0, stdout: '' });
    expect((await new ConsoleClient(stack.baseUrl).signIn('dave', PASSWORD)).body.mustChangePassword).toBe(
      false,
    );
    expect(await add()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There is an account dave') as string,
    });
    await writeFile(file, 'dave');
    expect(await add()).toMatchObject({ code: 1, stderr: 'A password has 12 to 128 characters.\n' });
  });
});
