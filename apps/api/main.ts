import 'reflect-metadata';
import { hostname } from 'node:os';
import path from 'node:path';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AuditSpool, configurationSeen } from '#audit';
import {
  BuiltinIssuer,
  ClientCredentials,
  ConsoleIssuer,
  ConsoleSessions,
  KnownDevices,
  LocalSignIn,
  PendingSignIns,
  TenantPeople,
  TokenVerifier,
  issuersOf,
} from '#auth';
import {
  backlogBoundsOf,
  appNamesOf,
  blastLimitsOf,
  configFileOf,
  consoleIssuersOf,
  tenantNamesOf,
  inFile,
  metricsSettingsOf,
  redisSettingsOf,
  type RedisSettings,
  usesBuiltinIssuer,
  usesLocalAccounts,
} from '#config';
import { ConfigurationError, VERSION } from '#domain';
import {
  AskProvider,
  Backlog,
  BlastRadius,
  CancelAction,
  ManageSubscriptions,
  ManageWebhooks,
  ResolveOutcome,
  RevertAction,
  SubmitAction,
  beginCounts,
  quotasOf,
} from '#engine';
import { connectDatabase, type Database } from '#persistence';
import { configuredProviders } from '#plugin-host';
import { FEED_PLUGIN, pluginsWith } from '#plugins';
import { BullActionQueue, RedisBell, RedisRateLimiter, RedisVendorPermits } from '#queue';
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
import { AuditTrail } from './audit/audit-trail.js';
import { Cancels } from './audit/cancels.js';
import { SpoolIntake } from './audit/spool-intake.js';
import { ApiModule } from './api.module.js';
import { authenticateBeforeBodies } from './auth.guard.js';
import { Callers } from './callers.js';
import { mountConsole } from './console/console-routes.js';
import { EventStreams } from './events/event-streams.js';
import { configuredFeeds } from './feeds/configured-feeds.js';
import { mountFeeds } from './feeds/feed-routes.js';
import { FEED_PATHS } from './feeds/feeds-openapi.js';
import { Feeds } from './feeds/feeds.js';
import { FetchRecord } from './feeds/fetch-record.js';
import { Health } from './health/health.js';
import { limitToken } from './http/caller-limit.js';
import { drainable } from './http/draining.js';
import { linkBase } from './http/link-base.js';
import { measureRequests } from './http/measure-requests.js';
import { servedRoutes } from './http/served-routes.js';
import { createServer } from './http/server.js';
import { ISSUER_PATHS } from './issuer/issuer-openapi.js';
import { mountIssuer } from './issuer/issuer-routes.js';
import { NestLog } from './nest-log.js';
import { ApplicationNames } from './native/application-names.js';
import { Providers } from './native/providers.js';
import { Outlooks } from './native/outlook.js';
import { LiveWaiting } from './native/waiting.js';
import { mountOpenApi } from './openapi.js';
import { mountBullBoard } from './ops/bull-board.js';
import { InstallationState } from './ops/installation-state.js';
import { METRICS_PATHS, mountMetrics } from './ops/metrics-route.js';
import { ConsoleSites } from './session/console-site.js';
import { mountSignIn } from './session/sign-in-routes.js';
import { SIGN_IN_PATHS } from './session/sign-in-openapi.js';
import { readSettings } from './settings.js';
import { SkipTokens } from './skip-tokens.js';

/** Milliseconds of a stop after the drain: the longest a request waits for the database, and some more. */
const CLOSE_WITHIN_MS = 20_000;

const log = createLogger('riposte-api');

let stopWithinMs = CLOSE_WITHIN_MS;
/** Known once the settings are read. */
const stopWithin = (): number => stopWithinMs;

await runProcess(log, stopWithin, async () => {
  const settings = await readSettings(process.env);
  const { host, port, tls, drainMs, isTrustedProxy } = settings;
  const publicUrl = settings.publicUrl ?? settings.listenUrl;
  const linksOf = linkBase(settings, isTrustedProxy);
  stopWithinMs += drainMs;
  const tracing = await startTracing({ env: process.env, service: 'riposte-api', log });
  const redis = await redisSettingsOf(process.env);
  const mongodbUri = requiredEnv('MONGODB_URI');
  const seal = new EnvelopeSeal(await readKeyRing(process.env));
  const providers = await configuredProviders({
    env: process.env,
    pluginsWith,
    // It calls no vendor; what firewalls fetch it serves itself.
    readsSecrets: (plugin) => plugin === FEED_PLUGIN,
    log,
  });
  const { config, registry } = providers;
  const { listen: metricsPort, ...metering } = metricsSettingsOf(config, process.env, 'api');
  const meters = metering.enabled
    ? await openMetrics({ ...metering, process: 'api', version: VERSION })
    : null;
  const metrics = meters?.metrics ?? NO_METRICS;
  beginCounts(metrics, registry.instances, metering);
  // Before anything is opened: a port that is taken stops the start.
  const metricsServer =
    meters === null || metricsPort === null ? null : await serveMetrics({ ...metricsPort, registry: meters });
  const configured = await inFile(configFileOf(process.env, process.cwd()), () => configuredFeeds(registry));
  const outside = issuersOf(config.auth?.issuers ?? [], { log });
  const consoleIssuers = await inFile(configFileOf(process.env, process.cwd()), async () =>
    (await consoleIssuersOf(config, process.env)).map(
      (issuer, index) => new ConsoleIssuer(issuer, `console.issuers.${index}`),
    ),
  );
  const database = await connectDatabase(mongodbUri, { appName: 'riposte-api' });
  const seen = configurationSeen('api', config, hostname());
  await database.audit.noteConfiguration('api', seen.sha256, seen.event);
  const trail = new AuditTrail(database.audit, log);
  const intake = new SpoolIntake(new AuditSpool(dataDirOf(process.env)), database.audit, log);
  const fingerprintKey = await database.sharedKey('fingerprint', seal);
  const builtin = usesBuiltinIssuer(config) ? await openIssuer(database, publicUrl) : null;
  const verifier = new TokenVerifier([...(builtin === null ? [] : [builtin]), ...outside]);
  const { plainHttp, session: lasts } = config.console;
  const localSignIn = usesLocalAccounts(config)
    ? new LocalSignIn(database.operators, new KnownDevices(await database.sharedKey('device', seal)))
    : null;
  const sessions = new ConsoleSessions(
    database.sessions,
    { idleMs: lasts.idleMinutes * 60_000, lastsMs: lasts.hours * 3_600_000 },
    (issuer) => (issuer === null ? localSignIn !== null : consoleIssuers.some(({ id }) => id === issuer)),
  );
  const console = {
    sessions,
    sites: new ConsoleSites({ linkBase: linksOf, listenUrl: settings.listenUrl, plainHttp }),
    tenantNames: tenantNamesOf(config),
  };
  const callers = new Callers(verifier, console);
  const onRedisError = (error: Error): void => log.debug({ error: error.message }, 'redis did not answer');
  const queue = new BullActionQueue(
    redis,
    registry.instances.map(({ id }) => id),
    onRedisError,
  );
  const bell = new RedisBell(redis, onRedisError);
  const permits = new RedisVendorPermits({
    redis,
    quotas: quotasOf(registry),
    recentCalls: database.recentCalls,
    records: database.instances,
    onError: onRedisError,
  });
  const store = database.actions;
  const bounds = backlogBoundsOf(config);
  const admission = new Backlog({ counter: store, bounds, bell, log });
  const rateLimiter = rateLimiterOf(config.limits.perApp, redis);
  const revert = new RevertAction({ store, queue, registry, admission, log, metrics });
  const waiting = new LiveWaiting({
    store,
    registry,
    permits,
    places: queue,
    workers: database.workers,
    records: database.instances,
  });
  const health = new Health(database, queue);
  const fetches = new FetchRecord(database.feeds, log);
  const feeds = new Feeds({
    feeds: configured,
    store: database.feeds,
    record: fetches,
    rateLimit: rateLimiter,
  });
  const skipTokens = new SkipTokens(await database.sharedKey('skip-token', seal));
  const providerViews = new Providers({
    registry,
    permits,
    records: database.instances,
    counter: store,
    figures: database.figures,
    log,
  });
  const changes = database.changes({
    onTrouble: (problem) => {
      if (problem === null) log.info({}, 'changes are read again');
      else {
        metrics.changesInterrupted.add(1);
        log.warn({ error: problem.message }, 'changes cannot be read; listeners wait');
      }
    },
  });
  const events = new EventStreams({
    changes,
    providers: providerViews,
    positions: skipTokens,
    log,
  });
  const server = await createServer(log, tls, isTrustedProxy, tracing.isOn);
  const drain = drainable(server);
  const routes = servedRoutes(server);
  if (meters !== null) measureRequests(server, metrics);
  const state = new InstallationState({
    metrics,
    registry,
    store,
    records: database.instances,
    workers: database.workers,
    permits,
    health,
    bounds,
  });
  meters?.onScrape(() => state.look());
  meters?.onScrape(() => metrics.eventListeners.show([[events.open]]));
  authenticateBeforeBodies(server, callers);
  const app = await NestFactory.create<NestFastifyApplication>(
    ApiModule.with({
      store,
      search: database.search,
      audit: database.audit,
      trail,
      figures: database.figures,
      views: database.views,
      registry,
      workers: database.workers,
      applicationNames: new ApplicationNames(
        appNamesOf(config),
        builtin === null ? null : database.applications,
      ),
      submit: new SubmitAction({
        store,
        keys: database.idempotencyKeys,
        queue,
        registry,
        admission,
        seal,
        fingerprintKey,
        blastRadius: new BlastRadius({ counts: database.blastCounts, ...blastLimitsOf(config), log }),
        log,
        metrics,
      }),
      cancels: new Cancels(new CancelAction({ store, queue, log, metrics }), trail),
      resolve: new ResolveOutcome({ store, log }),
      revert,
      ask: new AskProvider({ questions: database.questions, bell, registry, seal, log }),
      providers: providerViews,
      outlooks: new Outlooks({ registry, revert, waiting, places: queue }),
      events,
      subscriptions: new ManageSubscriptions({
        store: database.subscriptions,
        seal,
        network: { policy: config.notifications.network },
        log,
      }),
      webhooks: new ManageWebhooks({
        store: database.subscriptions,
        seal,
        network: { policy: config.notifications.network },
        registry,
      }),
      deadLetters: database.subscriptions,
      feeds,
      health,
      callers,
      console,
      localSignIn,
      signInWays: {
        local: localSignIn !== null,
        issuers: consoleIssuers.map(({ id, name }) => ({ id, name })),
      },
      people:
        localSignIn === null
          ? null
          : new TenantPeople(database.operators, (password) => localSignIn.hash(password)),
      rateLimit: rateLimiter,
      skipTokens,
      log,
      linkBase: linksOf,
    }),
    new FastifyAdapter(server),
    { bodyParser: false, logger: new NestLog(log), abortOnError: false },
  );
  await mountBullBoard(server, {
    queue,
    callers,
    sites: console.sites,
    writable: config.console.queues.writable,
    trail,
    log,
  });
  if (builtin !== null) {
    const clients = new ClientCredentials(database.applications, builtin, async (application, address) => {
      const { appId, tenantId, roles } = application;
      // First: a token costs an entry of the record, and a signature.
      if (rateLimiter !== null) await limitToken(rateLimiter, application);
      await trail.note(
        { appId, user: null, address },
        {
          chain: tenantId,
          kind: 'token.issued',
          about: { appId },
          details: { roles: [...roles], by: 'issuer' },
        },
      );
    });
    await mountIssuer(server, { issuer: builtin, clients, publicUrl, log });
  }
  if (consoleIssuers.length > 0) {
    const pending = new PendingSignIns(await database.sharedKey('sign-in', seal));
    await mountSignIn(server, { issuers: consoleIssuers, pending, console, trail, log });
  }
  await mountFeeds(server, feeds, log);
  const isMetricsHere = meters !== null && metricsServer === null;
  if (isMetricsHere)
    await mountMetrics(server, {
      registry: meters,
      callers,
      rateLimit: rateLimiter,
      isBehindProxy: settings.publicUrl !== null || settings.trustsProxies,
      log,
    });
  await mountConsole(server, log);
  mountOpenApi(app, linksOf, {
    issuer: builtin === null ? {} : ISSUER_PATHS,
    feeds: FEED_PATHS,
    signIn: consoleIssuers.length === 0 ? {} : SIGN_IN_PATHS,
    metrics: isMetricsHere ? METRICS_PATHS : {},
  });
  try {
    await app.listen({ port, host });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      throw new ConfigurationError(`port ${port} on ${host} is taken. Set PORT to another one.`, {
        cause: error,
      });
    }
    throw error;
  }
  log.info({ host, port, publicUrl }, 'listening');
  log.debug({ routes }, 'routes served');
  intake.start();
  for (const issuer of outside) void issuer.warmUp();
  return async () => {
    health.beginStop();
    events.close();
    await drain(drainMs);
    // Requests under way end first, then what they need.
    await app.close();
    changes.close();
    await metricsServer?.stop();
    await fetches.close();
    await intake.stop();
    builtin?.stop();
    rateLimiter?.close();
    await providers.close();
    await queue.close();
    bell.close();
    permits.close();
    await database.close();
    await tracing.stop();
  };
});

/** The issuer of this data dir, which shares its public keys, and who was revoked, with the other API processes. */
async function openIssuer(database: Database, publicUrl: string): Promise<BuiltinIssuer> {
  let away = false;
  const issuer = await BuiltinIssuer.open(dataDirOf(process.env), {
    publicUrl,
    keys: database.issuerKeys,
    applications: database.applications,
    onRefresh: (problem) => {
      if ((problem !== null) === away) return;
      away = problem !== null;
      if (problem === null) log.info({}, 'issuer keys and revocations are read again');
      else
        log.warn(
          { error: problem.message },
          'issuer keys and revocations cannot be read; the last known stand',
        );
    },
  });
  await issuer.start();
  return issuer;
}

function dataDirOf(env: Readonly<Record<string, string | undefined>>): string {
  return path.resolve(env['RIPOSTE_DATA_DIR'] || '.riposte');
}

/** Null: nobody is limited. */
function rateLimiterOf(perSecond: number, redis: RedisSettings): RedisRateLimiter | null {
  if (perSecond === 0) return null;
  return new RedisRateLimiter({
    redis,
    perSecond,
    onError: (error) => log.debug({ error: error.message }, 'redis did not answer'),
    onLocal: (isLocal) =>
      log.info(
        isLocal
          ? 'redis does not answer; requests are limited by this process alone'
          : 'requests are limited by all processes together',
      ),
  });
}
