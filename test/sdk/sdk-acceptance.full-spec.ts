import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { generate } from 'selfsigned';
import { Agent, getGlobalDispatcher, setGlobalDispatcher, type Dispatcher } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServers, type TestServers } from '#embedded-servers';
import { riposte } from '../support/cli.js';
import { APP } from '../support/database.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';
import { PYTHON, SDKS, installed, missingTool, pythonIn, type Command, type Sdk } from './sdks.js';

/** Microsoft's own SDKs tell the same story against the product. README.md here has the story. */

const MINUTE_MS = 60_000;
const MARKER = "ticket 4711, O'Brien";
const execute = promisify(execFile);

interface ActionFacts {
  readonly id: string;
  readonly name: string | null;
  readonly status: string | null;
  readonly clientContext: string | null;
  readonly createdDateTime: number;
  readonly lastActionDateTime: number;
  readonly states: readonly { readonly status: string; readonly updatedDateTime: number }[] | null;
}

interface Actions {
  readonly actions: readonly ActionFacts[];
  readonly nextLink?: string | null;
}

let servers: TestServers;
let stack: Stack;
let secure: Stack;
let certificate: string;
let trusting: Dispatcher;

beforeAll(async () => {
  servers = await startTestServers();
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  stack = await Stack.start({ mongodbUri: databaseUri('plain') });
  trusting = getGlobalDispatcher();
  setGlobalDispatcher(new Agent({ connect: { ca: cert } }));
  // The libraries send a secret over TLS only, and Microsoft's client for JavaScript its token, too.
  secure = await Stack.start({ mongodbUri: databaseUri('tls'), tls: { cert, key } });
  certificate = path.join(secure.dataDir, 'cert.pem');
}, 5 * MINUTE_MS);

afterAll(async () => {
  await Promise.all([stack, secure].map((each) => each?.stop()));
  await servers?.stop();
  await getGlobalDispatcher().close();
  setGlobalDispatcher(trusting);
});

for (const sdk of SDKS) {
  const missing = await missingTool(sdk);
  if (missing !== null) {
    console.warn(`NOT TESTED: the Graph SDK for ${sdk.language}, for this machine has no ${missing}.`);
  }

  describe.skipIf(missing !== null)(`the Graph SDK for ${sdk.language} (${sdk.packages})`, () => {
    const tenant = randomUUID();
    let story: Story;
    beforeAll(async () => {
      story = await storyOf(sdk, tenant);
    }, 20 * MINUTE_MS);

    const factsOf = (step: string): ActionFacts => story.facts(step) as ActionFacts;
    const actionsOf = (step: string): Actions => story.facts(step) as Actions;
    const created = {
      name: 'BlockIp',
      actionReason: 'Test',
      appId: APP,
      azureTenantId: tenant,
      user: null,
      parameters: [{ name: 'IP', value: '1.2.3.4' }],
      vendorInformation: { provider: 'Mock', providerVersion: null, subProvider: null, vendor: 'Mock' },
      errorInfo: null,
    };

    it('creates an action and reads it back by its typed model', () => {
      const action = factsOf('create');
      expect(action).toEqual({
        ...created,
        id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        clientContext: MARKER,
        status: 'NotStarted',
        createdDateTime: expect.any(Number) as number,
        lastActionDateTime: action.createdDateTime,
        completedDateTime: null,
        states: [{ status: 'NotStarted', appId: APP, user: null, updatedDateTime: action.createdDateTime }],
      });
      expect(Math.abs(Date.now() - action.createdDateTime)).toBeLessThan(20 * MINUTE_MS);
    });

    it('watches it complete, with its history', () => {
      const action = factsOf('complete');
      expect(action).toMatchObject({
        ...created,
        id: factsOf('create').id,
        status: 'Completed',
        completedDateTime: action.lastActionDateTime,
      });
      expect(action.states?.map(({ status }) => status)).toEqual(['NotStarted', 'Running', 'Completed']);
      const times = action.states?.map(({ updatedDateTime }) => updatedDateTime) ?? [];
      expect(times).toEqual(times.toSorted((one, other) => one - other));
      expect(times.at(-1)).toBe(action.lastActionDateTime);
    });

    it('sends a whole object that it read, and it is a new action', () => {
      const action = factsOf('resend');
      expect(action).toMatchObject({ ...created, status: 'NotStarted', completedDateTime: null });
      expect(action.id).not.toBe(factsOf('create').id);
      expect(action.states).toHaveLength(1);
    });

    it('reads why an action failed', () => {
      expect(factsOf('fail')).toMatchObject({
        status: 'Failed',
        errorInfo: { code: 404, subcode: 0, message: 'No such machine.' },
      });
    });

    it.each(['cancel', 'cancelAgain', 'cancelQualified'])('cancels a running action (%s)', (step) => {
      expect(factsOf(step)).toMatchObject({ status: 'Failed', errorInfo: { code: 499 } });
    });

    it('lists the newest first, $top at a time', () => {
      const { actions, nextLink } = actionsOf('list');
      expect(actions.map(({ id }) => id)).toEqual([factsOf('cancelQualified').id, factsOf('cancel').id]);
      expect(actions[0]).toEqual(factsOf('cancelQualified'));
      expect(nextLink).toContain(`${stack.baseUrl}/beta/security/securityActions?`);
    });

    it('goes through all pages with its own iterator', () => {
      const order = ['cancelQualified', 'cancel', 'fail', 'resend', 'create'];
      expect((story.facts('page') as { ids: readonly string[] }).ids).toEqual(
        order.map((step) => factsOf(step).id),
      );
    });

    it.each([
      ['notFound', 404, 'itemNotFound', /^No security action [0-9a-f-]{36} exists\.$/],
      ['invalid', 400, 'invalidRequest', /^name is needed\.$/],
      ['unknownAction', 400, 'invalidRequest', /"Levitate".*BlockIp/],
      ['badParameter', 400, 'invalidRequest', /IP.*203\.0\.113\.7/],
      ['tooLate', 409, 'notAllowed', /Completed/],
      ['readOnly', 403, 'accessDenied', /SecurityActions\.ReadWrite\.All/],
      ['unauthenticated', 401, 'unauthenticated', /token/],
      ['patch', 405, 'methodNotAllowed', /PATCH/],
      ['delete', 405, 'methodNotAllowed', /DELETE/],
      ['badOption', 400, 'invalidRequest', /\$filter/],
    ])(
      'understands a refusal (%s): its status, code, message, date and request id',
      (step, status, code, text) => {
        expect(story.facts(step)).toEqual({
          error: 'ODataError',
          status,
          code,
          message: expect.stringMatching(text) as string,
          requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
          date: expect.any(Number) as number,
        });
      },
    );

    if (sdk.language === 'Go') {
      it('has its compressed body accepted', () => {
        expect(story.facts('compressed')).toEqual({ sent: ['gzip 201'] });
      });
    }

    describe('with query options', () => {
      const marked = (): string[] => ['create', 'resend'].map((step) => factsOf(step).id);

      it('filters and orders', () => {
        expect(actionsOf('filter').actions.map(({ id }) => id)).toEqual(marked());
      });

      it('selects', () => {
        const { actions, one } = story.facts('select') as Actions & { readonly one: ActionFacts };
        expect(actions).toHaveLength(1);
        expect(actions[0]).toMatchObject({ status: 'Completed', name: null, parameters: null, states: null });
        expect(one).toMatchObject({ id: factsOf('create').id, name: 'BlockIp', status: null });
      });

      it('counts, in the list and by itself', () => {
        expect(story.facts('count')).toEqual({ inline: 2, path: 2 });
      });

      it('searches', () => {
        expect(actionsOf('search').actions.map(({ id }) => id)).toEqual(marked().toReversed());
      });

      it('keeps its filter and order from page to page', () => {
        const { actions } = actionsOf('pageFiltered');
        expect(actions.map(({ id }) => id)).toEqual(
          ['cancelQualified', 'cancel', 'fail'].map((step) => factsOf(step).id),
        );
      });
    });

    if (sdk.language !== 'JavaScript') {
      it('sends several requests as one', () => {
        const batch = story.facts('batch') as Record<'statuses' | 'read' | 'write', object>;
        expect(batch.statuses).toEqual({ read: 200, missing: 404, write: 201 });
        if (sdk.language === 'Python') return;
        expect(batch.read).toEqual(factsOf('complete'));
        expect(batch.write).toMatchObject(created);
      });
    }

    if (sdk.language === 'Python') {
      it('gets its token with azure-identity', () => {
        expect(factsOf('clientSecret')).toMatchObject({ name: 'BlockIp', status: 'NotStarted' });
      });
    }
  });
}

describe('the examples of docs/migration.md', async () => {
  const noPython = await missingTool(PYTHON);
  const ended = expect.stringMatching(/^BlockIp 203\.0\.113\.7: Completed\n/) as string;

  it.skipIf(noPython !== null)(
    'in Python, with msgraph-beta-sdk',
    async () => {
      const python = pythonIn(await installed(PYTHON));
      expect(await example([python, 'python/block_ip.py'])).toEqual(ended);
    },
    20 * MINUTE_MS,
  );

  it(
    'in JavaScript, with @microsoft/microsoft-graph-client',
    async () => {
      expect(await example([process.execPath, 'javascript/block-ip.mjs'])).toEqual(ended);
    },
    MINUTE_MS,
  );
});

/** What a program told, step by step. */
class Story {
  readonly #steps: ReadonlyMap<string, { readonly facts?: unknown; readonly failed?: string }>;

  constructor(output: string) {
    this.#steps = new Map(
      output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { step: string; facts?: unknown; failed?: string })
        .map((told) => [told.step, told]),
    );
  }

  /** @throws Error with what went wrong in this step, or that it was not told */
  facts(step: string): unknown {
    const told = this.#steps.get(step);
    if (told === undefined) throw new Error(`the program did not tell the step "${step}"`);
    if (told.failed !== undefined) throw new Error(`${step}: ${told.failed}`);
    return told.facts;
  }
}

async function storyOf(sdk: Sdk, tenant: string): Promise<Story> {
  const [file, ...args] = sdk.program(await installed(sdk));
  const [writer, reader] = await Promise.all([
    stack.client({ tenant }),
    stack.client({ tenant, roles: ['SecurityActions.Read.All'] }),
  ]);
  const { stdout } = await execute(file, args, {
    timeout: 5 * MINUTE_MS,
    maxBuffer: 16 * 1024 * 1024,
    env: {
      ...environment(),
      RIPOSTE_TLS_URL: secure.baseUrl,
      ...(await applicationOf(tenant)),
      RIPOSTE_URL: stack.baseUrl,
      RIPOSTE_TOKEN: writer.token,
      RIPOSTE_READER_TOKEN: reader.token,
      RIPOSTE_MARKER: MARKER,
    },
  });
  return new Story(stdout);
}

/** An application of the tenant at the built-in issuer, as the programs' environment. */
async function applicationOf(tenant: string): Promise<Record<string, string>> {
  const role = 'SecurityActions.ReadWrite.All';
  const flags = ['--tenant', tenant, '--name', 'acceptance', '--role', role, '--json'];
  const { code, stdout, stderr } = await riposte(secure.env, 'apps', 'add', ...flags);
  if (code !== 0) throw new Error(`riposte apps add: ${stderr}`);
  const { clientId, clientSecret } = JSON.parse(stdout) as { clientId: string; clientSecret: string };
  return { RIPOSTE_TENANT: tenant, RIPOSTE_CLIENT_ID: clientId, RIPOSTE_CLIENT_SECRET: clientSecret };
}

async function example([file, script]: Command & readonly [string, string]): Promise<string> {
  const { token } = await secure.client({ tenant: randomUUID() });
  const { stdout } = await execute(file, [path.join(PROJECT_DIR, 'docs/examples/migration', script)], {
    timeout: MINUTE_MS,
    env: { ...environment(), RIPOSTE_URL: secure.baseUrl, RIPOSTE_TOKEN: token },
  });
  return stdout;
}

/** What a program of the world outside is given: its home and its path, and a certificate that it is to trust. */
function environment(): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '',
    NODE_EXTRA_CA_CERTS: certificate,
    SSL_CERT_FILE: certificate,
    REQUESTS_CA_BUNDLE: certificate,
  };
}

/** The address of a database of one's own on the servers of this file. */
function databaseUri(name: string): string {
  const uri = new URL(servers.mongodbUri);
  uri.pathname = `/riposte-sdk-${name}`;
  return uri.href;
}
