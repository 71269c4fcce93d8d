/** What one figure is: its unit, and which way is better; null where neither is. */
interface FigureKind {
  readonly title: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
}

/** Every figure that a report can hold. `docs/performance.md` says how each is measured. */
export const FIGURES = {
  acceptedPerSecond: { title: 'accepted', unit: '1/s', better: 'more' },
  completedPerSecond: { title: 'completed', unit: '1/s', better: 'more' },
  drainedPerSecond: { title: 'completed, with the drain', unit: '1/s', better: 'more' },
  acceptP50Ms: { title: 'accept p50', unit: 'ms', better: 'less' },
  acceptP99Ms: { title: 'accept p99', unit: 'ms', better: 'less' },
  dispatchP50Ms: { title: 'dispatch p50', unit: 'ms', better: 'less' },
  dispatchP99Ms: { title: 'dispatch p99', unit: 'ms', better: 'less' },
  totalP50Ms: { title: 'total p50', unit: 'ms', better: 'less' },
  totalP99Ms: { title: 'total p99', unit: 'ms', better: 'less' },
  apiMiB: { title: 'RSS of the API, peak', unit: 'MiB', better: 'less' },
  workerMiB: { title: 'RSS of the worker, peak', unit: 'MiB', better: 'less' },
  apiCpuMs: { title: 'CPU of the API per 1,000 actions', unit: 'ms', better: 'less' },
  workerCpuMs: { title: 'CPU of the worker per 1,000 actions', unit: 'ms', better: 'less' },
  mongodCpuMs: { title: 'CPU of mongod per 1,000 actions', unit: 'ms', better: 'less' },
  redisCpuMs: { title: 'CPU of redis-server per 1,000 actions', unit: 'ms', better: 'less' },
  journalBytes: { title: "MongoDB's journal per action", unit: 'bytes', better: 'less' },
  mongoWireBytes: { title: 'to and from MongoDB per action', unit: 'bytes', better: 'less' },
  redisWireBytes: { title: 'to and from Redis per action', unit: 'bytes', better: 'less' },
  recordBytes: { title: 'record in MongoDB', unit: 'bytes', better: 'less' },
  indexBytes: { title: 'indexes in MongoDB per record', unit: 'bytes', better: 'less' },
  waitingRedisBytes: { title: 'Redis per waiting action', unit: 'bytes', better: 'less' },
  perSecond: { title: 'operations', unit: '1/s', better: 'more' },
  p50Ms: { title: 'p50', unit: 'ms', better: 'less' },
  p95Ms: { title: 'p95', unit: 'ms', better: 'less' },
  readyMs: { title: 'until ready', unit: 'ms', better: 'less' },
  cpuPercent: { title: 'CPU', unit: '% of a core', better: 'less' },
  mib: { title: 'memory or size', unit: 'MiB', better: 'less' },
  scriptKiB: { title: 'JavaScript loaded, compressed', unit: 'KiB', better: 'less' },
  packages: { title: 'packages', unit: '', better: 'less' },
} as const satisfies Readonly<Record<string, FigureKind>>;

export type Figure = keyof typeof FIGURES;

/** Some figures of one measurement. */
export type Figures = Readonly<Partial<Record<Figure, number>>>;
