import { ProviderError, Type, defineProvider, type StepOutcome } from '#provider-sdk';
const ip = Type.Object(
  {
    IP: Type.String({
      format: 'ip',
      examples: ['203.0.113.7'],
      'x-aliases': ['address', 'ipAddress', 'destinationIp'],
    }),
  },
  { additionalProperties: false },
);
const base = { idempotency: 'natural', cancellable: false } as const;
const duration = Type.Object(
  { durationMs: Type.Integer({ minimum: 0, maximum: 86_400_000, examples: [5000] }) },
  { additionalProperties: false },
);
export const provider = defineProvider({
  manifest: {
    vendor: 'Mock',
    provider: 'Mock',
    version: '1.0.0',
    settings: Type.Object(
      {
        mode: Type.Union(
          ['key', 'natural', 'lookup', 'none'].map((m) => Type.Literal(m)),
          { default: 'natural' },
        ),
      },
      { additionalProperties: false },
    ),
    actions: {
      BlockIp: { title: 'Block', parameters: ip, ...base },
      LongRunning: { title: 'Long', parameters: duration, ...base, cancellable: true },
      IgnoreCancel: { title: 'Ignore', parameters: duration, ...base },
      FailAlways: {
        title: 'Fail',
        parameters: Type.Object(
          { code: Type.Integer(), message: Type.String({ default: 'failed' }) },
          { additionalProperties: false },
        ),
        ...base,
      },
      FailTimes: {
        title: 'Fail',
        parameters: Type.Object({ times: Type.Integer() }, { additionalProperties: false }),
        ...base,
      },
      Hang: {
        title: 'Hang',
        parameters: Type.Object({}, { additionalProperties: false }),
        ...base,
        cancellable: true,
      },
    },
  },
  idempotencyOf: (settings) => settings.mode as 'natural',
  execute(context, request): Promise<StepOutcome> {
    switch (request.action) {
      case 'LongRunning':
      case 'IgnoreCancel':
        return Promise.resolve({
          kind: 'pending',
          operation: {
            id: context.actionId,
            state: { startedAt: Date.now(), durationMs: request.parameters.durationMs },
          },
          nextPollMs: Math.min(request.parameters.durationMs, 1000),
          progress: 0,
        });
      case 'FailAlways':
        throw new ProviderError('permanent', request.parameters.message, { code: request.parameters.code });
      case 'FailTimes':
        if (context.attempt <= request.parameters.times) throw new ProviderError('transient', 'not yet');
        return Promise.resolve({ kind: 'completed' });
      case 'Hang':
        return new Promise((_r, reject) =>
          context.signal.addEventListener('abort', () => reject(context.signal.reason as Error)),
        );
      default:
        return Promise.resolve({ kind: 'completed' });
    }
  },
  poll(_context, operation): Promise<StepOutcome> {
    const { startedAt, durationMs } = operation.state as { startedAt: number; durationMs: number };
    const left = startedAt + durationMs - Date.now();
    return Promise.resolve(
      left <= 0
        ? { kind: 'completed' }
        : {
            kind: 'pending',
            operation,
            nextPollMs: Math.max(50, Math.min(left, 1000)),
            progress: Math.floor(100 * (1 - left / durationMs)),
          },
    );
  },
  reconcile: () => Promise.resolve({ kind: 'notFound' }),
  cancel(_c, operation, request) {
    if (operation === null) return Promise.resolve('cancelled');
    const { startedAt, durationMs } = operation.state as { startedAt: number; durationMs: number };
    return Promise.resolve(
      request.action === 'IgnoreCancel'
        ? 'notSupported'
        : Date.now() < startedAt + durationMs
          ? 'cancelled'
          : 'tooLate',
    );
  },
});
