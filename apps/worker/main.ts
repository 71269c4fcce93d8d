import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { configFileOf, instancesOf, loadConfig, retentionOf } from '#config';
import { ProviderRegistry, Retention, RunAction, Sweep, Watchdog } from '#engine';
import { ArchiveFiles, connectDatabase, type Database, type WorkerFacts } from '#persistence';
import { OutsidePlugins } from '#plugin-host';
import { plugins } from '#plugins';
import { BullActionQueue, HintConsumer } from '#queue';
import { createLogger, requiredEnv, runProcess } from '#telemetry';

/** Milliseconds between a worker's signs of life. */
const BEAT_MS = 5000;
/** Milliseconds of a graceful stop: what runs may finish, then has to hand over. */
const DRAIN_MS = 10_000;
const HAND_OVER_MS = 5000;
const STOP_WITHIN_MS = 20_000;
/** Hints looked at besides those that hold a permit: cancels, and what waits for a permit. */
const EXTRA_HINTS = 4;

const log = createLogger('riposte-worker');

await runProcess(log, STOP_WITHIN_MS, async () => {
  const workerId = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`;
  const redisUrl = requiredEnv('REDIS_URL');
  const mongodbUri = requiredEnv('MONGODB_URI');
  const config = await loadConfig(process.env, process.cwd());
  const outsidePlugins = await OutsidePlugins.load({
    plugins: config.plugins,
    configFile: configFileOf(process.env, process.cwd()),
    shipped: new Set(Object.keys(plugins)),
    log,
  });
  const registry = new ProviderRegistry(await instancesOf(config, process.env), {
    ...plugins,
    ...outsidePlugins.providers,
  });
  outsidePlugins.watch((name, provider) => registry.replacePlugin(name, provider));
  const database = await connectDatabase(mongodbUri, {
    appName: 'riposte-worker',
    retryBudgetMs: 15_000,
  });
  const onError = throttledWarning();
  const queue = new BullActionQueue(
    redisUrl,
    registry.instances.map(({ id }) => id),
    onError,
  );
  const store = database.actions;
  const runner = new RunAction({ store, queue, registry, log, workerId });
  const rules = retentionOf(config);
  const retention =
    rules &&
    new Retention({
      store: database.retention,
      lease: database.lease('retention'),
      owner: workerId,
      rules,
      archive: rules.archiveDir === null ? null : new ArchiveFiles(rules.archiveDir),
      log,
    });
  const consumer = new HintConsumer({
    url: redisUrl,
    instances: registry.instances.map(({ id, config: { concurrency } }) => ({
      id,
      concurrency: concurrency + EXTRA_HINTS,
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
  const sweep = new Sweep({ store, queue, log, watchdog });
  const facts = (): WorkerFacts => ({ running: runner.running, lastSweep: sweep.last });
  await beat(database, workerId, facts());
  const beats = setInterval(() => void beat(database, workerId, facts()).catch(onError), BEAT_MS);
  sweep.start();
  retention?.start();
  return async () => {
    clearInterval(beats);
    // First of all nothing new: a pass of the sweep may take as long as the database.
    runner.drain();
    const stopped = consumer.stop(DRAIN_MS, HAND_OVER_MS);
    await Promise.all([
      sweep.stop(),
      retention?.stop().catch(onError),
      database.workers.leave(workerId).catch(onError),
    ]);
    await stopped;
    await outsidePlugins.close();
    await queue.close();
    await database.close();
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
