import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import {
  OperationalError,
  RiposteError,
  type Bell,
  type Caller,
  type HealthReport,
  type PermitRequest,
  type VendorPermits,
} from '#domain';
import {
  AnswerQuestions,
  AskProvider,
  CheckHealth,
  InstanceCalls,
  ProviderRegistry,
  type Submission,
} from '#engine';
import { connectDatabase, type Database } from '#persistence';
import {
  ProviderError,
  Type,
  defineProvider,
  type ObservedState,
  type Plan,
  type ProviderErrorClass,
} from '#provider-sdk';
import { RedisBell } from '#queue';
import { createLogger } from '#telemetry';
import { CALLER, TENANT_B, freshDatabaseUri } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { SEAL } from '../support/secrets.js';

let database: Database;
let connection: mongoose.Connection;
/** Of the API and of the worker, as processes of their own have them. */
let bells: { readonly api: RedisBell; readonly worker: RedisBell };
beforeAll(async () => {
  const [api, worker] = [0, 1].map(() => new RedisBell(inject('redisUrl'), () => undefined));
  if (api === undefined || worker === undefined) throw new Error('no bells');
  bells = { api, worker };
  // Before it is connected a bell is not heard, which costs a second a question.
  let heard = 0;
  api.listen('answered', () => void (heard |= 1));
  worker.listen('asked', () => void (heard |= 2));
  await eventually(async () => {
    await Promise.all([worker.ring('answered', 'warm'), api.ring('asked', 'warm')]);
    return heard === 3;
  });
  const uri = freshDatabaseUri();
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  connection = await mongoose.createConnection(uri).asPromise();
});
afterAll(async () => {
  bells.api.close();
  bells.worker.close();
  await connection.close();
  await database.close();
});

const log = createLogger('riposte-test', 'silent');
const onRecord = () => connection.collection('questions').find().toArray();
/** The vendor's own credential, and a secret of the caller. */
const KEY = 'key-4711';
const PIN = 'pin-4712';

interface Calls {
  readonly plan?: (parameters: object) => Promise<Plan>;
  readonly observe?: () => Promise<ObservedState>;
  readonly health?: () => Promise<HealthReport>;
}

/** An API without credentials, and a worker with them, that speak through the database and Redis. */
function site(
  calls: Calls,
  options: {
    readonly withinMs?: number;
    readonly worker?: boolean;
    readonly bell?: Bell;
    /** Where the permits that the worker asks for are noted. */
    readonly taken?: PermitRequest[];
  } = {},
) {
  const { plan, observe, health } = calls;
  const asked: string[] = [];
  const provider = defineProvider({
    manifest: {
      vendor: 'Wise',
      provider: 'Wise',
      version: '1.0.0',
      settings: Type.Object({}),
      secrets: { required: ['apiKey'] },
      actions: {
        Block: {
          title: 'Block',
          parameters: Type.Object({
            IP: Type.String({ format: 'ip' }),
            Pin: Type.Optional(Type.String({ writeOnly: true })),
          }),
          idempotency: 'natural',
          cancellable: false,
          observable: observe !== undefined,
        },
      },
    },
    execute: () => Promise.reject(new Error('a question changes nothing')),
    cancel: () => Promise.resolve('notSupported'),
    ...(plan === undefined
      ? {}
      : {
          plan: (context, { parameters }) => {
            asked.push(`${context.secrets['apiKey']} ${context.tenantId} ${context.attempt}`);
            return plan(parameters);
          },
        }),
    ...(observe === undefined ? {} : { observe }),
    ...(health === undefined ? {} : { health }),
  });
  const instance = `wise-${randomUUID().slice(0, 8)}`;
  const registryWith = (secrets: Readonly<Record<string, string>>) =>
    new ProviderRegistry(
      [
        {
          id: instance,
          plugin: 'wise',
          tenants: ['*'],
          settings: {},
          secrets,
          secretNames: ['apiKey'],
          concurrency: 4,
        },
      ],
      { wise: provider },
    );
  const { questions } = database;
  const ask = new AskProvider({
    questions,
    bell: options.bell ?? bells.api,
    registry: registryWith({}),
    seal: SEAL,
    log,
    ...(options.withinMs === undefined ? {} : { answerWithinMs: options.withinMs }),
  });
  const registry = registryWith({ apiKey: KEY });
  /** What is on record of its health. */
  const kept = async () =>
    (await database.instances.list()).find((record) => record.instance === instance)?.health ?? null;
  const checks = (owner: string) =>
    new CheckHealth({
      registry,
      calls: new InstanceCalls({ log }),
      records: database.instances,
      lease: (name) => database.lease(name),
      owner,
      log,
    });
  if (options.worker !== false) {
    const worker = new AnswerQuestions({
      questions,
      bell: options.bell ?? bells.worker,
      registry,
      seal: SEAL,
      calls: new InstanceCalls({
        log,
        ...(options.taken === undefined ? {} : { permits: noted(options.taken) }),
      }),
      health: checks('questions'),
      log,
    });
    worker.start();
    onTestFinished(() => worker.stop());
  }
  return { ask, asked, instance, checks, kept };
}

/** Permits for everything, noted. */
function noted(taken: PermitRequest[]): Pick<VendorPermits, 'take' | 'note' | 'vendorBusy'> {
  return {
    take: (request) => {
      taken.push(request);
      const permit = { spend: () => Promise.resolve(), settle: () => undefined };
      return Promise.resolve({ kind: 'granted', permit });
    },
    note: () => undefined,
    vendorBusy: () => undefined,
  };
}

function block(overrides: Partial<Submission> = {}): Submission {
  return {
    name: 'block',
    actionReason: null,
    clientContext: null,
    parameters: [
      { name: 'ip', value: '192.0.2.1' },
      { name: 'pin', value: PIN },
    ],
    vendorInformation: { vendor: 'wise', provider: 'wise', providerVersion: null, subProvider: null },
    startBefore: null,
    effectUntil: null,
    ...overrides,
  };
}

async function failureOf(call: Promise<unknown>): Promise<RiposteError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(RiposteError);
  return error as RiposteError;
}

const plan: Plan = { summary: 'Blocks 192.0.2.1', changes: ['one rule'], warnings: [], target: { rules: 3 } };

describe('a question about an action', () => {
  it('is answered within seconds where no bell is heard, as while Redis is away', async () => {
    const silent = { ring: () => Promise.resolve(false), listen: () => undefined };
    const { ask } = site({ plan: () => Promise.resolve(plan) }, { bell: silent });
    expect(await ask.plan(CALLER, block())).toEqual(plan);
  });

  it('is answered by a worker, which has the credentials that the API has not', async () => {
    const given: object[] = [];
    const { ask, asked } = site({
      plan: (parameters) => {
        given.push(parameters);
        return Promise.resolve(plan);
      },
      observe: () => Promise.resolve({ inPlace: false, message: 'No such rule.' }),
    });
    expect(await ask.plan(CALLER, block())).toEqual(plan);
    expect(await ask.observe(CALLER, block())).toEqual({ inPlace: false, message: 'No such rule.' });
    expect(asked).toEqual([`${KEY} ${CALLER.tenantId} 1`]);
    expect(given).toEqual([{ IP: '192.0.2.1', Pin: PIN }]);
  });

  it('is on record with its secrets sealed while nobody has taken it', async () => {
    const { ask } = site({ plan: () => Promise.resolve(plan) }, { withinMs: 1000, worker: false });
    const asking = failureOf(ask.plan(CALLER, block()));
    const record = await eventually(async () => (await onRecord())[0]);
    expect(record['about']).toMatchObject({
      parameters: expect.arrayContaining([{ name: 'pin', value: null }]) as object,
      sealed: expect.stringMatching(/^s1\./) as string,
    });
    expect(JSON.stringify(record)).not.toContain(PIN);
    await asking;
  });

  it('is answered in words where its secrets cannot be opened', async () => {
    const { instance, asked } = site({ plan: () => Promise.resolve(plan) });
    const { questions } = database;
    const tenantId = CALLER.tenantId;
    const id = randomUUID();
    const parameters = [
      { name: 'IP', value: '192.0.2.1' },
      { name: 'Pin', value: null },
    ];
    // Sealed for another question.
    const sealed = await SEAL.seal(`[[1,"${PIN}"]]`, { kind: 'question', tenantId, id: randomUUID() });
    await questions.ask({
      id,
      kind: 'plan',
      instance,
      about: { tenantId, actionName: 'Block', parameters, sealed },
    });
    expect(await eventually(() => questions.collect(id))).toEqual({
      kind: 'failed',
      message:
        'Its secret parameters cannot be opened: what is stored of them was changed, or belongs to another record. Find out who writes to the database. Ask again.',
    });
    expect(asked).toEqual([]);
  });

  it('leaves nothing behind: its parameters go as it is taken, all of it as it is answered', async () => {
    const during: string[] = [];
    const { ask } = site({
      plan: async () => {
        during.push(JSON.stringify(await onRecord()));
        return plan;
      },
    });
    await ask.plan(CALLER, block());
    expect(during).toHaveLength(1);
    expect(during[0]).not.toContain(PIN);
    expect(await onRecord()).toEqual([]);
    const [expiry] = (await connection.collection('questions').indexes()).filter(
      ({ expireAfterSeconds }) => expireAfterSeconds !== undefined,
    );
    expect(expiry).toMatchObject({ key: { expireAt: 1 }, expireAfterSeconds: 0 });
  });

  it('shows no secret in its answer, whether of the installation or of the caller', async () => {
    const { ask } = site({
      plan: () => Promise.resolve({ summary: `by ${KEY}`, changes: [`with ${PIN}`], target: { pin: PIN } }),
      observe: () => Promise.reject(new ProviderError('permission', `refused ${KEY} and ${PIN}`)),
    });
    const seen = JSON.stringify([
      await ask.plan(CALLER, block()),
      (await failureOf(ask.observe(CALLER, block()))).message,
    ]);
    expect(seen).toContain('[redacted]');
    expect(seen).not.toMatch(/4711|4712/);
  });

  it('that is written twice, for want of an answer of the database, is not asked twice', async () => {
    const { questions } = database;
    const about = { tenantId: CALLER.tenantId, actionName: 'Block', parameters: [], sealed: null };
    const question = { id: randomUUID(), kind: 'plan', instance: randomUUID(), about } as const;
    await questions.ask(question);
    expect(await questions.take([question.instance], 20_000)).toEqual(question);
    await questions.ask(question);
    expect(await questions.take([question.instance], 20_000)).toBeNull();
    await questions.withdraw(question.id);
  });

  it('that nobody answers is given up in words, and is gone', async () => {
    const { ask, instance } = site({ plan: () => Promise.resolve(plan) }, { withinMs: 200, worker: false });
    const error = await failureOf(ask.plan(CALLER, block()));
    expect(error).toBeInstanceOf(OperationalError);
    expect(error).toMatchObject({ code: 'serviceNotAvailable' });
    expect(error.message).toContain(`No worker answered for provider instance "${instance}"`);
    expect(await onRecord()).toEqual([]);
  });

  it('is refused before anybody is asked where the request is wrong', async () => {
    const { ask, asked } = site({ plan: () => Promise.resolve(plan) });
    const wrong = block({ parameters: [{ name: 'ip', value: 'not an address' }] });
    expect(await failureOf(ask.plan(CALLER, wrong))).toMatchObject({ code: 'invalidRequest' });
    expect(asked).toEqual([]);
  });

  it('is refused in words by a plugin that has no such call', async () => {
    const { ask, instance } = site({});
    expect(await failureOf(ask.plan(CALLER, block()))).toMatchObject({
      code: 'notAllowed',
      message: `The plugin of "${instance}" cannot plan.`,
    });
    expect(await failureOf(ask.observe(CALLER, block()))).toMatchObject({ code: 'notAllowed' });
    expect(await failureOf(ask.health(instance))).toMatchObject({ code: 'notAllowed' });
    expect(await failureOf(ask.health('nobody'))).toMatchObject({ code: 'itemNotFound' });
  });

  it.each<[ProviderErrorClass, string]>([
    ['targetNotFound', 'invalidRequest'],
    ['permission', 'failedDependency'],
    ['unreachable', 'serviceNotAvailable'],
  ])('that the vendor answers with %s is a %s', async (errorClass, code) => {
    const { ask } = site({
      plan: () => Promise.reject(new ProviderError(errorClass, 'what the vendor says')),
    });
    expect(await failureOf(ask.plan(CALLER, block()))).toMatchObject({
      code,
      message: 'what the vendor says',
    });
  });

  it.each<[string, unknown]>([
    ['throws', null],
    ['answers with no plan', { summary: 7 }],
    ['answers with changes that are no list', { summary: 'x', changes: 'y' }],
  ])('of a plugin that %s is told as its failure', async (_what, answer) => {
    const { ask } = site({
      plan: () => (answer === null ? Promise.reject(new TypeError('bug')) : Promise.resolve(answer as Plan)),
    });
    expect(await failureOf(ask.plan(CALLER, block()))).toMatchObject({ code: 'failedDependency' });
  });

  it('is answered although others hang at another instance', async () => {
    let go: (plan: Plan) => void = () => undefined;
    const held = new Promise<Plan>((resolve) => (go = resolve));
    const hanging = site({ plan: () => held }, { withinMs: 300 });
    const stuck = Array.from({ length: 6 }, () => failureOf(hanging.ask.plan(CALLER, block())));
    const { ask } = site({ plan: () => Promise.resolve(plan) });
    expect(await ask.plan(CALLER, block())).toEqual(plan);
    for (const error of await Promise.all(stuck)) expect(error.code).toBe('serviceNotAvailable');
    go(plan);
  });

  it('is one too many when ten of its tenant wait for the instance, or twenty of all', async () => {
    const { ask } = site({ plan: () => Promise.resolve(plan) }, { withinMs: 300, worker: false });
    const asked = (caller: Caller) => failureOf(ask.plan(caller, block()));
    const [other, third] = [TENANT_B, randomUUID()].map((tenantId) => ({ ...CALLER, tenantId }));
    if (other === undefined || third === undefined) throw new Error('no callers');
    const waiting = Array.from({ length: 10 }, () => asked(CALLER));
    expect(await asked(CALLER)).toMatchObject({ code: 'tooManyRequests' });
    waiting.push(...Array.from({ length: 10 }, () => asked(other)));
    expect(await asked(third)).toMatchObject({ code: 'tooManyRequests' });
    for (const one of await Promise.all(waiting)) expect(one).toMatchObject({ code: 'serviceNotAvailable' });
  });

  it('counts in what its tenant has of the quota, not in what polls have', async () => {
    const taken: PermitRequest[] = [];
    const { ask } = site({ plan: () => Promise.resolve(plan) }, { taken });
    await ask.plan(CALLER, block());
    expect(taken).toMatchObject([{ purpose: 'question', tenantId: CALLER.tenantId, calls: 1 }]);
  });
});

describe('the health of a provider instance', () => {
  const well = { ok: true, message: 'All is well.' };

  it('is told when somebody asks for it, and kept', async () => {
    const { ask, instance, kept } = site({ health: () => Promise.resolve(well) });
    expect(await kept()).toBeNull();
    expect(await ask.health(instance)).toEqual(well);
    expect(await kept()).toEqual({ ...well, at: expect.any(Date) as Date });
  });

  it('is asked for by one worker for all, and by the next one when that one stops', async () => {
    let asked = 0;
    const { checks } = site(
      {
        health: () => {
          asked += 1;
          return Promise.resolve(well);
        },
      },
      { worker: false },
    );
    const workers = ['one', 'two', 'three'].map(checks);
    await Promise.all(workers.map((worker) => worker.pass()));
    expect(asked).toBe(1);
    await Promise.all(workers.map((worker) => worker.stop()));
    const next = checks('four');
    next.start();
    await eventually(() => asked === 2);
    await next.stop();
  });

  it.each<[string, () => Promise<HealthReport>, string]>([
    [
      'fails',
      () => Promise.reject(new ProviderError('auth', `the key ${KEY} was revoked`)),
      'the key [redacted] was revoked',
    ],
    ['breaks', () => Promise.reject(new TypeError('bug')), 'failed unexpectedly'],
    ['says no such thing', () => Promise.resolve({} as HealthReport), 'failed unexpectedly'],
  ])('is bad when the check %s', async (_what, check, message) => {
    const { checks, kept } = site({ health: check }, { worker: false });
    const worker = checks('one');
    await worker.pass();
    await worker.stop();
    const health = await kept();
    expect(health?.ok).toBe(false);
    expect(health?.message).toContain(message);
  });

  it('is not known of a plugin that cannot tell', async () => {
    const { checks, kept } = site({}, { worker: false });
    const worker = checks('one');
    await worker.pass();
    await worker.stop();
    expect(await kept()).toBeNull();
  });
});
