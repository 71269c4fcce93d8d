import {
  ProviderError,
  Type,
  defineProvider,
  type ActionManifest,
  type CancelOutcome,
  type ExecutionContext,
  type InstanceContext,
  type Provider,
  type ProviderManifest,
  type StepOutcome,
} from '#provider-sdk';

/** A plugin that does all as it should, in parts, so that a test can spoil one of them. */

interface Settings {
  readonly baseUrl: string;
}
type Request = { readonly action: string; readonly parameters: unknown };
interface Job {
  readonly id: string;
  readonly status: string;
}

const jobSchema = Type.Object({ id: Type.String(), status: Type.String() });
const target = Type.Object(
  {
    Target: Type.String({ minLength: 1, examples: ['host-7'] }),
    Pin: Type.Optional(Type.String({ writeOnly: true })),
  },
  { additionalProperties: false },
);

const actions: Readonly<Record<string, ActionManifest>> = {
  BlockIp: {
    title: 'Block an IP address',
    parameters: Type.Object(
      { IP: Type.String({ format: 'ip', examples: ['203.0.113.7'] }) },
      { additionalProperties: false },
    ),
    idempotency: 'natural',
    cancellable: false,
    revertible: true,
    observable: true,
    result: Type.Object({ blocked: Type.Boolean() }),
  },
  Scan: {
    title: 'Scan a machine',
    parameters: target,
    idempotency: 'key',
    cancellable: true,
    mutexKey: ['Target'],
  },
  OpenCase: { title: 'Open a case', parameters: target, idempotency: 'lookup', cancellable: true },
  Reboot: { title: 'Reboot a machine', parameters: target, idempotency: 'none', cancellable: false },
};

export const samples = {
  BlockIp: { IP: '203.0.113.7' },
  Scan: { Target: 'host-7', Pin: 'pin-of-the-machine' },
  OpenCase: { Target: 'host-7' },
  Reboot: { Target: 'host-7' },
};

/** What the plugin is made of. */
export interface Parts {
  readonly manifest: ProviderManifest;
  readonly token: (context: InstanceContext<Settings>) => Promise<string>;
  /** Sends a request with the token. */
  readonly send: (
    context: InstanceContext<Settings>,
    method: 'GET' | 'PUT' | 'POST' | 'DELETE',
    path: string,
    more?: object,
  ) => Promise<{ readonly status: number; readonly body: unknown }>;
  readonly outcome: (job: Job) => StepOutcome;
  readonly execute: (context: ExecutionContext<Settings>, request: Request) => Promise<StepOutcome>;
  readonly poll: NonNullable<Provider['calls']['poll']>;
  readonly reconcile: NonNullable<Provider['calls']['reconcile']>;
  readonly cancel: Provider['calls']['cancel'];
  readonly revert: NonNullable<Provider['calls']['revert']>;
  readonly observe: NonNullable<Provider['calls']['observe']>;
  readonly plan: NonNullable<Provider['calls']['plan']>;
  readonly health: NonNullable<Provider['calls']['health']>;
}

export type Spoil = (good: Parts) => Partial<Parts>;

/** The good plugin, or what a test makes of it. */
export function plugin(spoil: Spoil = () => ({})): Provider {
  const parts = goodParts();
  Object.assign(parts, spoil({ ...parts }));
  const { manifest, execute, poll, reconcile, cancel, revert, observe, plan, health } = parts;
  const calls = { execute, poll, reconcile, cancel, revert, observe, plan, health };
  // The parts are typed by the erased request, as the engine's are.
  return defineProvider({ manifest, ...calls } as unknown as Parameters<typeof defineProvider>[0]);
}

export const targetOf = ({ parameters }: Request): string => {
  const { IP, Target } = parameters as { readonly IP?: string; readonly Target?: string };
  return IP ?? Target ?? '';
};

function goodParts(): Parts {
  const tokens = new Map<string, string>();
  const typed = (context: unknown): InstanceContext<Settings> => context as InstanceContext<Settings>;
  const parts: Parts = {
    manifest: {
      vendor: 'Acme',
      provider: 'EDR',
      version: '1.0.0',
      rateLimits: [{ calls: 5, perSeconds: 60 }],
      settings: Type.Object({ baseUrl: Type.String() }, { additionalProperties: false }),
      secrets: { required: ['clientSecret'] },
      actions,
    },
    async token(context) {
      const known = tokens.get(context.instance);
      if (known !== undefined) return known;
      const { body } = await context.http.request({
        method: 'POST',
        url: new URL('/token', context.settings.baseUrl),
        form: { secret: context.secrets['clientSecret'] ?? '' },
        changes: false,
        answer: Type.Object({ token: Type.String() }),
      });
      tokens.set(context.instance, body.token);
      return body.token;
    },
    async send(context, method, path, more = {}) {
      const authorization = `Bearer ${await parts.token(context)}`;
      return context.http.request({
        method,
        url: new URL(path, context.settings.baseUrl),
        headers: { authorization },
        ...more,
      });
    },
    outcome({ id, status }) {
      switch (status) {
        case 'done':
          return { kind: 'completed' };
        case 'cancelled':
          return { kind: 'stopped' };
        default:
          return { kind: 'pending', operation: { id }, nextPollMs: 500 };
      }
    },
    async execute(context, request) {
      switch (request.action) {
        case 'BlockIp': {
          const { body } = await parts.send(context, 'PUT', `/blocks/${targetOf(request)}`);
          const { isNew } = body as { readonly isNew: boolean };
          return { kind: 'completed', result: { blocked: true }, effect: { changed: isNew } };
        }
        case 'Reboot':
          await parts.send(context, 'POST', '/commands', { json: { target: targetOf(request) } });
          return { kind: 'completed' };
        default: {
          const json = {
            tag: context.idempotencyKey,
            target: targetOf(request),
            dedupe: request.action === 'Scan',
          };
          const { body } = await parts.send(context, 'POST', '/jobs', { json, answer: jobSchema });
          const job = body as Job;
          await context.saveOperation({ id: job.id });
          return parts.outcome(job);
        }
      }
    },
    async poll(context, operation) {
      const { body } = await parts.send(typed(context), 'GET', `/jobs/${operation.id}`, {
        answer: jobSchema,
      });
      return parts.outcome(body as Job);
    },
    async reconcile(context) {
      const { status, body } = await parts.send(
        typed(context),
        'GET',
        `/jobs?tag=${context.idempotencyKey}`,
        {
          accept: [404],
        },
      );
      return status === 404 ? { kind: 'notFound' } : parts.outcome(body as Job);
    },
    async cancel(context, operation): Promise<CancelOutcome> {
      if (operation === null) return 'unknown';
      const { status } = await parts.send(typed(context), 'POST', `/jobs/${operation.id}/cancel`, {
        accept: [409],
      });
      return status === 409 ? 'tooLate' : 'cancelled';
    },
    async revert(context, done) {
      if (done.action !== 'BlockIp')
        throw new ProviderError('unsupported', `${done.action} cannot be undone.`);
      if (done.effect?.changed === true)
        await parts.send(typed(context), 'DELETE', `/blocks/${targetOf(done)}`, { accept: [404] });
      return { kind: 'completed' };
    },
    async observe(context, request) {
      const { status } = await parts.send(typed(context), 'GET', `/blocks/${targetOf(request)}`, {
        accept: [404],
      });
      return { inPlace: status === 200, message: status === 200 ? 'It is blocked.' : 'It is not blocked.' };
    },
    plan: (_context, request) =>
      Promise.resolve({ summary: `${request.action} at ${targetOf(request)}`, changes: [request.action] }),
    async health(context) {
      await parts.send(typed(context), 'GET', '/blocks/none', { accept: [404] });
      return { ok: true, message: 'The vendor answers.' };
    },
  };
  return parts;
}
