import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { AuditChainer, CheckpointSigner, HeadsFile, configurationSeen } from '#audit';
import { metricsSettingsOf, publicUrlOf, redisSettingsOf, retentionOf } from '#config';
import { VERSION } from '#domain';
import {
  AnswerQuestions,
  CheckHealth,
  InstanceCalls,
  LiftEffects,
  MaintainInstances,
  Notify,
  Retention,
  RevertAction,
  RunAction,
  Sweep,
  TellOverload,
  Watchdog,
  beginCounts,
  quotasOf,
} from '#engine';
import { ArchiveFiles, connectDatabase, type Database, type WorkerFacts } from '#persistence';
import { configuredProviders } from '#plugin-host';
import { pluginsWith } from '#plugins';
import { BullActionQueue, HintConsumer, RedisBell, RedisVendorPermits } from '#queue';
import { EnvelopeSeal, readKeyRing } from '#secrets';
import {
  NO_METRICS,
  createLogger,
  openMetrics,
  requiredEnv,
  runProcess,
  serveMetrics,
  startTracing,
} from '#telemetry';

/** Milliseconds between a worker's signs of life. */
const BEAT_MS = 5000;
/** Milliseconds after a worker's last sign of life in which it counts as one that calls vendors: it may be slow. */
const ALIVE_MS = 60_000;
/** Milliseconds of a graceful stop: what runs may finish, then has to hand over. */
const DRAIN_MS = 10_000;
const HAND_OVER_MS = 5000;
const STOP_WITHIN_MS = 20_000;
/** Operations in hand of a plugin that asks about many with one call. */
const ASKED_TOGETHER = 250;

const log = createLogger('riposte-worker');

await runProcess(log, STOP_WITHIN_MS, async () => {
  const workerId = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`;
  const tracing = await startTracing({ env: process.env, service: 'riposte-worker', log });
  const redis = await redisSettingsOf(process.env);
  const mongodbUri = requiredEnv('MONGODB_URI');
  const publicUrl = publicUrlOf(process.env);
  const seal = new EnvelopeSeal(await readKeyRing(process.env));
  const providers = await configuredProviders({
    env: process.env,
    pluginsWith,
    readsSecrets: () => true,
    log,
  });
  const { config, registry } = providers;
  const { listen: metricsPort, ...metering } = metricsSettingsOf(config, process.env, 'worker');
  // Nobody could ask for them elsewhere.
  const meters =
    metricsPort === null ? null : await openMetrics({ ...metering, process: 'worker', version: VERSION });
  const metrics = meters?.metrics ?? NO_METRICS;
  beginCounts(metrics, registry.instances, metering);
  // Before anything is opened: a port that is taken stops the start.
  const metricsServer =
    meters === null || metricsPort === null ? null : await serveMetrics({ ...metricsPort, registry: meters });
  const database = await connectDatabase(mongodbUri, {
    appName: 'riposte-worker',
    retryBudgetMs: 15_000,
  });
  // It has no use for it, but shows that its keys are those of the others.
  await database.sharedKey('fingerprint', seal);
  const seen = configurationSeen('worker', config, workerId);
  await database.audit.noteConfiguration('worker', seen.sha256, seen.event);
  const headsFile = config.audit?.headsFile;
  const chainer = new AuditChainer({
    chains: database.audit,
    lease: database.lease('audit'),
    owner: workerId,
    signer: new CheckpointSigner(await database.sharedKey('audit', seal)),
    heads: headsFile === undefined ? null : new HeadsFile(headsFile),
    log,
  });
  const onError = throttledWarning();
  const queue = new BullActionQueue(
    redis,
    registry.instances.map(({ id }) => id),
    onError,
  );
  const store = database.actions;
  // How many share a vendor's quota while Redis is away; more rather than fewer where it is not known.
  let alive = 2;
  const countAlive = async (): Promise<void> => {
    alive = Math.max(1, await database.workers.countAlive(ALIVE_MS));
  };
  const permits = new RedisVendorPermits({
    redis,
    quotas: quotasOf(registry),
    recentCalls: database.recentCalls,
    records: database.instances,
    onError,
    workers: () => alive,
    onAlone: (instance, problem) =>
      problem === null
        ? log.info({ instance }, 'the quota is shared with the other workers again')
        : log.warn({ instance }, problem),
  });
  const ledger = (instance: string) => database.entryLedger(instance);
  const propagatesTrace = config.tracing.propagateToVendors;
  const calls = new InstanceCalls({ permits, ledger, log, propagatesTrace, metrics });
  const runner = new RunAction({
    store,
    queue,
    registry,
    permits,
    calls,
    ledger,
    seal,
    log,
    workerId,
    propagatesTrace,
    metrics,
  });
  meters?.onScrape(() => {
    const ids = registry.instances.map(({ id }) => id);
    metrics.actionsInHand.show(ids.map((id) => [runner.held(id), id]));
    metrics.actionsAtVendor.show(ids.map((id) => [runner.load(id).atVendor, id]));
  });
  const health = new CheckHealth({
    registry,
    calls,
    records: database.instances,
    lease: (name) => database.lease(name),
    owner: workerId,
    log,
  });
  const maintenance = new MaintainInstances({
    registry,
    calls,
    records: database.instances,
    lease: (name) => database.lease(name),
    owner: workerId,
    log,
  });
  const bell = new RedisBell(redis, onError);
  const answers = new AnswerQuestions({
    questions: database.questions,
    bell,
    registry,
    seal,
    calls,
    health,
    log,
  });
  const rules = retentionOf(config);
  const mayRemove = rules !== null && (await database.retention.mayRemove());
  if (rules !== null && !mayRemove)
    log.warn(
      'the user of MONGODB_URI may not remove actions: none is removed unless "riposte retention" is run as one who may',
    );
  const retention =
    rules === null || !mayRemove
      ? null
      : new Retention({
          store: database.retention,
          lease: database.lease('retention'),
          owner: workerId,
          rules,
          archive: rules.archiveDir === null ? null : new ArchiveFiles(rules.archiveDir),
          audited: (ids) => database.audit.inChain(ids),
          log,
        });
  const consumer = new HintConsumer({
    redis,
    instances: registry.instances.map(({ id, concurrency, provider }) => ({
      id,
      concurrency,
      urgentConcurrency:
        provider.calls.pollMany === undefined ? concurrency : Math.max(concurrency, ASKED_TOGETHER),
    })),
    handle: (hint, signal) => runner.look(hint, signal),
    onCancel: (actionId) => runner.hearCancel(actionId),
    onError,
    onHintFailed: (actionId, error) => log.error({ actionId, err: error }, 'looking at an action failed'),
  });
  const watchdog = new Watchdog({
    idleMs: (instance) => runner.idleMs(instance),
    renew: (instance) => consumer.renew(instance),
    log,
  });
  const lifts = new LiftEffects({
    lifts: database.lifts,
    store,
    // What lets go is never too much.
    revert: new RevertAction({
      store,
      queue,
      registry,
      admission: { admit: () => Promise.resolve() },
      log,
      metrics,
    }),
    instances: database.instances,
    log,
  });
  const overload = new TellOverload({ registry, load: (instance) => runner.load(instance), bell });
  const sweep = new Sweep({ store, queue, permits, log, watchdog, lifts, metrics });
  const notify = new Notify({
    store: database.subscriptions,
    actions: store,
    lease: database.lease('notifications'),
    owner: workerId,
    seal,
    network: { policy: config.notifications.network },
    publicUrl,
    giveUpAfterMs: config.notifications.tryMinutes * 60_000,
    log,
    metrics,
  });
  const facts = (): WorkerFacts => ({
    version: VERSION,
    running: runner.running,
    instances: registry.instances.map(({ id }) => ({ id, startsPerMinute: runner.startsPerMinute(id) })),
    lastSweep: sweep.last,
  });
  const live = async (): Promise<void> => {
    await beat(database, workerId, facts());
    await countAlive();
  };
  await live();
  const beats = setInterval(() => void live().catch(onError), BEAT_MS);
  sweep.start();
  retention?.start();
  chainer.start();
  answers.start();
  health.start();
  maintenance.start();
  overload.start();
  notify.start();
  return async () => {
    clearInterval(beats);
    overload.stop();
    // First of all nothing new: a pass of the sweep may take as long as the database.
    runner.drain();
    const stopped = consumer.stop(DRAIN_MS, HAND_OVER_MS);
    await Promise.all([
      sweep.stop(),
      retention?.stop().catch(onError),
      answers.stop().catch(onError),
      health.stop().catch(onError),
      maintenance.stop().catch(onError),
      notify.stop().catch(onError),
      database.workers.leave(workerId).catch(onError),
    ]);
    await stopped;
    // Until then it goes on taking what ends. What ended last of all the next worker takes.
    await chainer.stop().catch(onError);
    await providers.close();
    await queue.close();
    bell.close();
    permits.close();
    await database.close();
    await metricsServer?.stop();
    await tracing.stop();
  };
});

/**
 * A sign of life: on the list that readiness is told by and, where `RIPOSTE_ALIVE_FILE` names one, in a file
 * whose age a container's health check looks at.
 */
async function beat(database: Database, workerId: string, facts: WorkerFacts): Promise<void> {
  await database.workers.beat(workerId, facts);
  const file = process.env['RIPOSTE_ALIVE_FILE'];
  if (file !== undefined && file !== '') await writeFile(file, new Date().toISOString());
}

/** Connection errors come by the hundred while a server is away; one line every five seconds says it. */
function throttledWarning(): (error: unknown) => void {
  let last = 0;
  return (error) => {
    if (Date.now() - last < 5000) return;
    last = Date.now();
    log.warn({ error: error instanceof Error ? error.message : String(error) }, 'a server did not answer');
  };
}
