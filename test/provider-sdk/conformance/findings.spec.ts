import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProviderError, type ActionManifest } from '#provider-sdk';
import {
  checkConformance,
  formatReport,
  type CheckId,
  type ConformanceOptions,
  type SimulatedVendor,
} from '#provider-sdk/conformance';
import { PROJECT_DIR } from '../../support/project-dir.js';
import { plugin, samples, targetOf, type Spoil } from './good-plugin.js';
import { failures, tryPlugin } from './try-plugin.js';
import { SmallVendor } from './vendor.js';

let vendor: SmallVendor;
beforeAll(async () => {
  vendor = await SmallVendor.start();
});
afterAll(() => vendor.stop());

/** What one check says, with only the actions named. */
async function said(
  id: CheckId,
  spoil: Spoil,
  actions: readonly (keyof typeof samples)[] = ['BlockIp', 'Scan', 'OpenCase', 'Reboot'],
): Promise<string> {
  const names = Object.keys(samples) as (keyof typeof samples)[];
  const leaveOut = names.filter((name) => !actions.includes(name));
  const report = await tryPlugin(vendor, spoil, {
    only: [id],
    samples: Object.fromEntries(actions.map((name) => [name, samples[name]])),
    leaveOut: Object.fromEntries(leaveOut.map((name) => [name, 'not needed here'])),
  });
  return failures(report)[id] ?? 'passed';
}

describe('what else a check finds', () => {
  it('deadline: a call that never comes back', async () => {
    const never = new Promise<never>(() => undefined);
    const spoil: Spoil = (good) => ({
      execute: (context, asked) =>
        good
          .execute(context, asked)
          .catch((error: Error) => (context.signal.aborted ? never : Promise.reject(error))),
    });
    expect(await said('deadline', spoil, ['BlockIp'])).toContain(
      'BlockIp: execute() did not come back when its signal was aborted',
    );
  });

  it('lostAnswer: a request that the plugin sends again by itself', async () => {
    const spoil: Spoil = (good) => ({
      execute: (context, asked) => good.execute(context, asked).catch(() => good.execute(context, asked)),
    });
    expect(await said('lostAnswer', spoil, ['Reboot'])).toContain('there are 2 effects instead of 1');
  });

  it('rateLimited: a 429 that is answered with another request', async () => {
    const spoil: Spoil = (good) => ({
      execute: (context, asked) => good.execute(context, asked).catch(() => good.execute(context, asked)),
    });
    expect(await said('rateLimited', spoil, ['Scan'])).toContain('execute() sent more requests after a 429');
  });

  it('rateLimited: an action that is said to be done and was refused', async () => {
    const spoil: Spoil = (good) => ({
      execute: (context, asked) => good.execute(context, asked).catch(() => ({ kind: 'completed' })),
    });
    expect(await said('rateLimited', spoil, ['Reboot'])).toContain('some were lost');
  });

  it('executeTwice: a key that is the same for all actions', async () => {
    const spoil: Spoil = (good) => ({
      execute: (context, asked) => good.execute({ ...context, idempotencyKey: 'ours' }, asked),
    });
    expect(await said('executeTwice', spoil, ['Scan'])).toContain('two actions had 1 effects instead of 2');
  });

  it.each(['executeTwice', 'rateLimited'] as const)(
    '%s: no effect is missed of an action with a key that says it was so already',
    async (id) => {
      const spoil: Spoil = ({ manifest }) => ({
        manifest: {
          ...manifest,
          actions: {
            ...manifest.actions,
            BlockIp: { ...(manifest.actions['BlockIp'] as ActionManifest), idempotency: 'key' },
          },
        },
      });
      expect(await said(id, spoil, ['BlockIp'])).toBe('passed');
    },
  );

  it('onlyContextHttp: requests by node:http', async () => {
    const spoil: Spoil = (good) => ({
      execute: async (context, asked) => {
        const sent = request(new URL('/blocks/none', vendor.baseUrl)).end();
        const [answer] = (await once(sent, 'response')) as [NodeJS.ReadableStream];
        answer.resume();
        return good.execute(context, asked);
      },
    });
    expect(await said('onlyContextHttp', spoil, ['BlockIp'])).toMatch(
      /2 requests, of which 1 came by context\.http.*past context\.http: GET /,
    );
  });

  it('readOnlyCalls: an observation that says what is hoped for', async () => {
    const spoil: Spoil = () => ({
      observe: () => Promise.resolve({ inPlace: true, message: 'It is blocked.' }),
    });
    expect(await said('readOnlyCalls', spoil, ['BlockIp'])).toContain(
      'observe() says inPlace before anything was done',
    );
  });

  it('readOnlyCalls: a vendor that works and is called unhealthy', async () => {
    const spoil: Spoil = () => ({ health: () => Promise.resolve({ ok: false, message: 'no' }) });
    expect(await said('readOnlyCalls', spoil)).toContain(
      'health() does not say ok of a simulator that works',
    );
  });

  it('secretsStayInside: a secret in base64, and one that the vendor repeats', async () => {
    const basic: Spoil = (good) => ({
      execute: (context, asked) => {
        context.log.warn(
          {},
          `Basic ${Buffer.from(`riposte:${context.secrets['clientSecret']}`).toString('base64')}`,
        );
        return good.execute(context, asked);
      },
    });
    expect(await said('secretsStayInside', basic, ['BlockIp'])).toContain('the log of execute');
    const repeating: Spoil = (good) => ({
      execute: (context, asked) =>
        good.execute(context, asked).catch((error: unknown) => {
          if (error instanceof ProviderError && error.errorClass === 'invalidInput')
            throw new ProviderError('invalidInput', `refused: ${JSON.stringify(asked.parameters)}`);
          throw error;
        }),
    });
    expect(await said('secretsStayInside', repeating, ['Scan'])).toContain('the error that execute threw');
  });

  it('revertTwice: an undoing that only says so', async () => {
    const spoil: Spoil = () => ({ revert: () => Promise.resolve({ kind: 'completed' }) });
    expect(await said('revertTwice', spoil, ['BlockIp'])).toContain('the vendor undid nothing');
  });

  it('cancelBeforeSubmit: a submission after the signal was aborted', async () => {
    const spoil: Spoil = (good) => ({
      execute: async (context, asked) => {
        vendor.jobs.clear();
        await fetch(new URL(`/blocks/${targetOf(asked)}`, vendor.baseUrl), {
          method: 'PUT',
          headers: { authorization: 'Bearer token-1' },
        });
        return good.execute(context, asked);
      },
    });
    expect(await said('cancelBeforeSubmit', spoil, ['BlockIp'])).toContain(
      'execute() submitted although its signal was aborted',
    );
  });

  it('schemaRoundTrip: an action without a sample', async () => {
    const report = await tryPlugin(vendor, () => ({}), {
      only: ['schemaRoundTrip'],
      samples: { Nope: {}, BlockIp: { IP: 'x' } },
    });
    const { schemaRoundTrip } = failures(report);
    expect(schemaRoundTrip).toContain('Scan: has no sample');
    expect(schemaRoundTrip).toContain('Nope: is in samples or leaveOut, and the manifest has no such action');
    expect(schemaRoundTrip).toContain(
      'BlockIp: its sample is refused: parameter IP is not a valid ip (for example 203.0.113.7)',
    );
  });

  it('manifestClaims: a sample that the vendor refuses', async () => {
    const spoil: Spoil = () => ({
      execute: () =>
        Promise.resolve({ kind: 'failed', error: new ProviderError('targetNotFound', 'no such host') }),
    });
    expect(await said('manifestClaims', spoil, ['Scan'])).toContain(
      'its sample comes to nothing (ProviderError targetNotFound: no such host)',
    );
  });
});

describe('a report', () => {
  it('says of each problem what to do, of what was not tried why, and what was left out', async () => {
    const report = await tryPlugin(vendor, () => ({ revert: () => Promise.resolve({ kind: 'completed' }) }), {
      only: ['cancelRace', 'revertTwice'],
      samples: { BlockIp: samples.BlockIp },
      leaveOut: { Scan: 'takes an hour' },
    });
    expect(formatReport(report)).toBe(`Conformance of Acme/EDR 1.0.0

-     cancelRace: a cancel that races with the end tells what really happened
        not applicable: no action that is declared cancellable is left pending
FAIL  revertTwice: to undo twice is to undo once
        BlockIp: revert() said completed, and the vendor undid nothing
          do: Undo it at the vendor, and say completed when it confirms.
-     Scan was left out: takes an hour

0 passed, 1 failed, 1 not applicable: does not conform.
`);
  });

  it('of a plugin without a vendor holds what can be checked without one', async () => {
    const report = await tryPlugin(
      vendor,
      (good) => ({
        execute: () => Promise.resolve({ kind: 'completed', result: { blocked: true } }),
        manifest: {
          ...good.manifest,
          actions: { BlockIp: { ...good.manifest.actions['BlockIp'], cancellable: false } as never },
        },
      }),
      { vendor: null, samples: { BlockIp: samples.BlockIp } },
    );
    expect(report.passed).toBe(true);
    expect(report.checks.filter(({ outcome }) => outcome === 'passed').map(({ id }) => id)).toEqual([
      'schemaRoundTrip',
      'manifestClaims',
      'deadline',
      'secretsStayInside',
    ]);
  });
});

describe('what cannot be tried', () => {
  const tried = (more: Partial<ConformanceOptions>) => tryPlugin(vendor, () => ({}), more);
  const settings = () => ({ baseUrl: vendor.baseUrl });

  it.each<[string, () => Partial<ConformanceOptions>]>([
    [
      'instances[0].secrets.clientSecret is shorter than 8 characters',
      () => ({
        instances: [{ settings: settings(), secrets: { clientSecret: 'short' } }, { settings: settings() }],
      }),
    ],
    [
      'instances[0].secrets.clientSecret is also a secret of instances[1]',
      () => ({
        instances: [
          { settings: settings(), secrets: { clientSecret: 'the-same-one' } },
          { settings: settings(), secrets: { other: 'the-same-one' } },
        ],
      }),
    ],
    [
      'instances[1].settings.nope is not known; known: baseUrl',
      () => ({ instances: [{ settings: settings() }, { settings: { ...settings(), nope: 1 } }] }),
    ],
    ['interleavings is 0; it has to be a whole number from 1 to 100000', () => ({ interleavings: 0 })],
    ['callTimeoutMs is 5; it has to be from 100 to 600000', () => ({ callTimeoutMs: 5 })],
    ['"nonsense" is no check; there are schemaRoundTrip,', () => ({ only: ['nonsense' as CheckId] })],
  ])('is refused with a message: %s', async (message, more) => {
    await expect(tried(more())).rejects.toThrow(message);
  });

  it('is a vendor over TLS', async () => {
    const overTls = { baseUrl: 'https://127.0.0.1:1', reset: () => undefined, effects: () => [] };
    await expect(
      checkConformance({
        provider: plugin(),
        instances: [{ settings: settings() }, { settings: settings() }],
        samples,
        vendor: overTls,
      }),
    ).rejects.toThrow('it has to be plain http, for example http://127.0.0.1:8080');
  });
});

describe('a simulator whose hook throws', () => {
  it('is what the report speaks of, and not the plugin', async () => {
    const broken: SimulatedVendor = {
      baseUrl: vendor.baseUrl,
      reset: () => vendor.reset(),
      effects: () => vendor.effects(),
      finish: () => {
        throw new TypeError('no such job');
      },
    };
    const report = await tryPlugin(vendor, () => ({}), {
      vendor: broken,
      only: ['cancelRace'],
      interleavings: 20,
    });
    expect(failures(report).cancelRace).toBe('plugin: the check could not be made (TypeError: no such job)');
  });
});

describe('a script that runs the kit', () => {
  const script = (example: string, secrets: string): string => `
    import { runConformance } from '#provider-sdk/conformance';
    import { Type, defineProvider } from '#provider-sdk';
    const provider = defineProvider({
      manifest: {
        vendor: 'Acme', provider: 'EDR', version: '1.0.0', settings: Type.Object({}), secrets: { optional: ['key'] },
        actions: { Note: { title: 'Note', idempotency: 'natural', cancellable: false,
          parameters: Type.Object({ N: Type.Integer({ examples: [${example}] }) }) } },
      },
      execute: async () => ({ kind: 'completed' }),
      cancel: async () => 'notSupported',
    });
    await runConformance({ provider, instances: [{ settings: {}, secrets: ${secrets} }, { settings: {} }], samples: { Note: { N: 7 } }, vendor: null });`;

  it.each([
    [0, '7', '{}', 'Conformance of Acme/EDR 1.0.0'],
    [1, '"seven"', '{}', 'FAIL  schemaRoundTrip'],
    [2, '7', '{ key: "short" }', 'The plugin could not be tried: instances[0].secrets.key is shorter'],
  ])('ends with code %i, and says why', async (code, example, secrets, text) => {
    const ended = await new Promise<{ readonly code: unknown; readonly said: string }>((resolve) => {
      execFile(
        process.execPath,
        ['--input-type=module', '-e', script(example, secrets)],
        { cwd: PROJECT_DIR },
        (error, stdout, stderr) => resolve({ code: error?.code ?? 0, said: stdout + stderr }),
      );
    });
    expect(ended.said).toContain(text);
    expect(ended.code).toBe(code);
  });
});
