import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProviderError, StopRequested, Type, type ActionManifest } from '#provider-sdk';
import { CHECK_IDS, type CheckId } from '#provider-sdk/conformance';
import { samples, targetOf, type Parts, type Spoil } from './good-plugin.js';
import { failures, tryPlugin } from './try-plugin.js';
import { SmallVendor } from './vendor.js';

let vendor: SmallVendor;
beforeAll(async () => {
  vendor = await SmallVendor.start();
});
afterAll(() => vendor.stop());

/** The manifest with one action declared otherwise. */
function declared({ manifest }: Parts, name: string, other: Partial<ActionManifest>): Partial<Parts> {
  const action = manifest.actions[name];
  if (action === undefined) throw new TypeError(name);
  return { manifest: { ...manifest, actions: { ...manifest.actions, [name]: { ...action, ...other } } } };
}

/** One plugin for each check: what it does wrong, and what the check says of it. */
const BAD: Readonly<Record<CheckId, readonly [wrong: string, spoil: Spoil, says: string]>> = {
  schemaRoundTrip: [
    'shows an example that its own schema refuses',
    (good) =>
      declared(good, 'BlockIp', {
        parameters: Type.Object(
          { IP: Type.String({ format: 'ip', examples: ['my-host'] }) },
          { additionalProperties: false },
        ),
      }),
    'the example of IP is refused',
  ],
  manifestClaims: [
    'returns another result than it declares',
    (good) => declared(good, 'BlockIp', { result: Type.Object({ blocked: Type.String() }) }),
    'its result is not what the manifest says: result.blocked must be string',
  ],
  readOnlyCalls: [
    'carries out what it was asked to plan',
    (good) => ({
      plan: async (context, request) => {
        await good.send(context as never, 'PUT', `/blocks/${targetOf(request)}`);
        return { summary: 'done', changes: [] };
      },
    }),
    'plan() changed something',
  ],
  executeTwice: [
    'sends a fresh key each time',
    (good) => ({
      execute: (context, request) =>
        good.execute({ ...context, idempotencyKey: `${context.idempotencyKey}-${Math.random()}` }, request),
      // With its own look-up, only the key is wrong.
      reconcile: () => Promise.resolve({ kind: 'cannotTell' }),
    }),
    'execute() twice with one key had 2 effects, and once 1; it is declared "key"',
  ],
  killBeforeSave: [
    'looks for a tag that it never sent',
    (good) => ({
      reconcile: (context, request) => good.reconcile({ ...context, idempotencyKey: 'other' }, request),
    }),
    'reconcile() does not find it',
  ],
  lostAnswer: [
    'takes a lost answer for "nothing was applied"',
    (good) => ({
      execute: (context, request) =>
        good.execute(context, request).catch((error: unknown) => {
          if (error instanceof ProviderError && error.errorClass === 'unknownOutcome')
            throw new ProviderError('transient', 'try again');
          throw error;
        }),
    }),
    'after the vendor had done it, and execute() said ProviderError transient: try again',
  ],
  killAfterSave: [
    'keeps what it needs to poll in its memory',
    (good) => {
      const known = new Set<string>();
      return {
        execute: (context, request) =>
          good.execute(
            {
              ...context,
              saveOperation: (operation) => {
                known.add(operation.id);
                return context.saveOperation(operation);
              },
            },
            request,
          ),
        poll: (context, operation, request) => {
          if (!known.has(operation.id)) throw new ProviderError('transient', 'never heard of it');
          return good.poll(context, operation, request);
        },
      };
    },
    'the next one cannot poll (ProviderError transient: never heard of it)',
  ],
  cancelBeforeSubmit: [
    'takes what never reached the vendor for done',
    (good) => ({
      cancel: (context, operation, request) =>
        operation === null ? Promise.resolve('tooLate') : good.cancel(context, operation, request),
    }),
    'cancel() said tooLate of what never reached the vendor',
  ],
  cancelWhilePending: [
    'says cancelled and lets the work go on',
    (good) => ({
      cancel: async (context, operation, request) => {
        if (operation === null) return 'unknown';
        const now = await good.poll(context, operation, request);
        return now.kind === 'completed' ? 'tooLate' : 'cancelled';
      },
    }),
    'cancel() said cancelled, and the vendor still works on it',
  ],
  cancelAfterDone: [
    'says cancelled of what is done',
    (good) => ({
      cancel: async (context, operation, request) => {
        const outcome = await good.cancel(context, operation, request);
        return outcome === 'tooLate' ? 'cancelled' : outcome;
      },
    }),
    'cancel() said cancelled of a completed action',
  ],
  cancelRace: [
    'takes the wish to cancel for the deed',
    (good) => {
      const told = new Set<string>();
      return {
        cancel: (context, operation, request) => {
          if (operation !== null) told.add(operation.id + context.actionId);
          return good.cancel(context, operation, request);
        },
        poll: (context, operation, request) =>
          told.has(operation.id + context.actionId)
            ? Promise.resolve({ kind: 'stopped' })
            : good.poll(context, operation, request),
      };
    },
    'it ended as cancelled, and the vendor had finished the work',
  ],
  rateLimited: [
    'forgets for how long the vendor wants to be left alone',
    (good) => ({
      execute: (context, request) =>
        good.execute(context, request).catch((error: unknown) => {
          if (error instanceof ProviderError && error.errorClass === 'rateLimited')
            throw new ProviderError('rateLimited', 'too many');
          throw error;
        }),
    }),
    'a 429 with Retry-After: 7 to execute() came back as ProviderError rateLimited: too many, retryAfterMs null',
  ],
  declaredQuota: [
    'makes more requests than it declares',
    (good) => ({
      execute: async (context, request) => {
        await good.send(context, 'GET', '/blocks/none', { accept: [404] });
        return good.execute(context, request);
      },
    }),
    'execute() makes 2 requests as a rule, and the manifest says calls: 1',
  ],
  unknownStatus: [
    'takes every status that is not "running" for a good end',
    (good) => ({
      outcome: (job) =>
        ['running', 'done', 'cancelled'].includes(job.status) ? good.outcome(job) : { kind: 'completed' },
    }),
    'poll() took the status "unheard-of-by-the-plugin" for an end: the action ended as completed',
  ],
  deadline: [
    'takes the end of its own time for the end of the work',
    (good) => ({
      poll: (context, operation, request) =>
        good.poll(context, operation, request).catch((error: unknown) => {
          if (context.signal.aborted) return { kind: 'stopped' };
          throw error;
        }),
    }),
    'poll() said stopped while the vendor had not answered',
  ],
  shutdown: [
    'fails the action when its worker shuts down',
    (good) => ({
      execute: (context, request) =>
        good.execute(context, request).catch((error: unknown) => {
          const { reason } = context.signal as { readonly reason: unknown };
          if (reason instanceof StopRequested && reason.why === 'shutdown')
            return { kind: 'failed', error: new ProviderError('permanent', 'aborted') };
          throw error;
        }),
    }),
    'the worker shut down during execute(); the vendor did it, and the action ended as failed',
  ],
  revertTwice: [
    'fails to undo what is gone already',
    (good) => ({
      revert: async (context, done) => {
        if (done.effect?.changed === true)
          await good.send(context as never, 'DELETE', `/blocks/${targetOf(done)}`);
        return { kind: 'completed' };
      },
    }),
    'revert() for the second time failed (ProviderError targetNotFound',
  ],
  revertPreexisting: [
    'undoes what was there before',
    (good) => ({
      revert: (context, done) => good.revert(context, { ...done, effect: { changed: true } }),
    }),
    'revert() took away what was there before',
  ],
  onlyContextHttp: [
    'fetches past the context',
    (good) => ({
      health: async (context) => {
        const { baseUrl } = context.settings as { readonly baseUrl: string };
        await fetch(new URL('/blocks/none', baseUrl));
        return good.health(context);
      },
    }),
    'a request was made past context.http: GET http://127.0.0.1',
  ],
  separateTokens: [
    'keeps one token for all instances',
    (good) => {
      let token: Promise<string> | undefined;
      return { token: (context) => (token ??= good.token(context)) };
    },
    'two instances sent the same authorization',
  ],
  secretsStayInside: [
    'logs the parameters, a secret one among them',
    (good) => ({
      execute: (context, request) => {
        context.log.info({ parameters: request.parameters }, 'submitting');
        return good.execute(context, request);
      },
    }),
    'a secret stands in the log of execute',
  ],
};

const { BlockIp, Scan } = samples;
const [OpenCase, Reboot] = ['to be quick', 'to be quick'];

describe('a plugin that does one thing wrong', () => {
  it.each(CHECK_IDS.map((id) => [BAD[id][0], id] as const))(
    '%s: is caught by %s alone',
    async (_wrong, id) => {
      const [, spoil, says] = BAD[id];
      const report = await tryPlugin(vendor, spoil, {
        // What it does wrong shows in these, but for what is about look-up.
        ...(id === 'killBeforeSave' ? {} : { samples: { BlockIp, Scan }, leaveOut: { OpenCase, Reboot } }),
        interleavings: id === 'cancelRace' ? 200 : 10,
      });
      expect(report.passed).toBe(false);
      expect(failures(report)).toEqual({ [id]: expect.stringContaining(says) as string });
    },
  );
});
