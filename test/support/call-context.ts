import { vendorHttp, type ExecutionContext, type NetworkPolicy, type VendorOperation } from '#provider-sdk';

/** What a call of a plugin gets, for plugins that speak HTTP to a vendor of the test's own. */
export function callContext(options: {
  readonly settings: unknown;
  readonly secrets: Readonly<Record<string, string>>;
  readonly key?: string;
  readonly instance?: string;
  readonly saved?: VendorOperation[];
  readonly network?: Partial<NetworkPolicy>;
}): ExecutionContext {
  const key = options.key ?? 'key-1';
  const signal = AbortSignal.timeout(30_000);
  return {
    actionId: key,
    tenantId: 'tenant-1',
    instance: options.instance ?? 'instance-1',
    settings: options.settings,
    secrets: options.secrets,
    signal,
    attempt: 1,
    idempotencyKey: key,
    issuedAt: null,
    deadlineAt: new Date(Date.now() + 60_000),
    lastCheckpoint: null,
    log: { info: () => undefined, warn: () => undefined },
    saveOperation: (operation) => {
      options.saved?.push(operation);
      return Promise.resolve();
    },
    heartbeat: () => Promise.resolve(),
    http: vendorHttp({
      network: { allow: ['127.0.0.0/8'], ports: [], ...options.network },
      signal,
      spend: () => Promise.resolve(),
      secrets: Object.values(options.secrets),
    }),
  };
}
