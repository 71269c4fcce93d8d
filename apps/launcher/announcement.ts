import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '#config';
import type { FirstOperator } from './first-operator.js';
import type { Servers } from './servers.js';
import type { Settings } from './settings.js';

const DEMO_TENANT = '11111111-1111-4111-8111-111111111111';
const DEMO_APP = '22222222-2222-4222-8222-222222222222';

/**
 * What a new user needs to know once everything runs, with a call that can be pasted.
 * @param operator by whom one can sign in to the console
 */
export async function announcement(
  settings: Settings,
  servers: Servers,
  tokenScript: string,
  baseUrl: string,
  operator: FirstOperator,
): Promise<string> {
  const token = await demoToken(tokenScript, settings.dataDir);
  return `
Riposte is ready.

  Console      ${baseUrl}/${signInOf(operator, settings.dataDir)}
  API          ${baseUrl}/beta/security/securityActions
  API pages    ${baseUrl}/docs   (${baseUrl}/openapi.json)
  Bull Board   ${baseUrl}/ops/queues   (for who operates the installation)
  Health       ${baseUrl}/health/ready
  MongoDB      ${servers.where.mongodb}
  Redis        ${servers.where.redis}
  Data, logs   ${settings.dataDir}

${firstCalls(baseUrl, token, await demoMock(process.env))}
Ctrl-C stops everything; the data stays.
`;
}

/** The password is told this once: nothing keeps it. */
function signInOf(operator: FirstOperator, dataDir: string): string {
  switch (operator.kind) {
    case 'made':
      return `
               sign in as ${operator.name} with the password ${operator.password}   (shown only now, for one sign-in)`;
    case 'before':
      return `
               who forgot the password: ${ofDataDir(dataDir)}npm run --silent riposte -- operators reset-password NAME`;
    case 'none':
      return '';
  }
}

interface Mock {
  readonly subProvider: string | null;
}

/** The instance of the mock that serves the tenant of the examples; null: there is none. */
async function demoMock(env: Readonly<Record<string, string | undefined>>): Promise<Mock | null> {
  const { providers } = await loadConfig({ ...env, RIPOSTE_EMBEDDED: '1' }, process.cwd());
  const mock = providers.find(
    ({ plugin, tenants }) => plugin === 'mock' && (tenants.includes('*') || tenants.includes(DEMO_TENANT)),
  );
  return mock === undefined ? null : { subProvider: mock.subProvider ?? null };
}

/** Calls to paste. Only the mock is asked to do something: another instance may be a real vendor's. */
function firstCalls(baseUrl: string, token: string, mock: Mock | null): string {
  const authorization = `-H 'Authorization: Bearer ${token}'`;
  if (mock === null)
    return `See which providers there are, and what they can do:

curl -s ${baseUrl}/api/v1/providers \\
  ${authorization}

How to ask for an action is told in docs/api.md, and in docs/cli.md for the command line.
`;
  const vendorInformation = { vendor: 'Mock', provider: 'Mock', ...(mock.subProvider === null ? {} : mock) };
  const body = JSON.stringify({
    name: 'BlockIp',
    actionReason: 'Test',
    parameters: [{ name: 'IP', value: '203.0.113.7' }],
    vendorInformation,
  });
  return `Block an IP:

curl -s ${baseUrl}/beta/security/securityActions \\
  ${authorization} \\
  -H 'Content-Type: application/json' \\
  -d '${body}'

See what became of it:

curl -s ${baseUrl}/beta/security/securityActions \\
  ${authorization}
`;
}

/** What a command begins with so that it finds a data dir other than the default. */
function ofDataDir(dataDir: string): string {
  return dataDir === path.resolve('.riposte') ? '' : `RIPOSTE_DATA_DIR='${dataDir}' `;
}

async function demoToken(script: string, dataDir: string): Promise<string> {
  const args = [
    script,
    '--tenant',
    DEMO_TENANT,
    '--app',
    DEMO_APP,
    '--role',
    'SecurityActions.ReadWrite.All',
    '--expires',
    '12h',
  ];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      timeout: 15_000,
      env: { ...process.env, RIPOSTE_DATA_DIR: path.resolve(dataDir) },
    });
    return stdout.trim();
  } catch {
    return '<an access token of your issuer>';
  }
}
