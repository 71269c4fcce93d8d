import 'reflect-metadata';
import path from 'node:path';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { BuiltinIssuer, TokenVerifier } from '#auth';
import { instancesOf, loadConfig } from '#config';
import { ConfigurationError } from '#domain';
import { CancelAction, ProviderRegistry, SubmitAction } from '#engine';
import { connectDatabase } from '#persistence';
import { plugins } from '#plugins';
import { BullActionQueue } from '#queue';
import { createLogger, requiredEnv, runProcess } from '#telemetry';
import { ApiModule } from './api.module.js';
import { Health } from './health/health.js';
import { createServer } from './http/server.js';
import { NestLog } from './nest-log.js';
import { mountOpenApi } from './openapi.js';
import { mountBullBoard } from './ops/bull-board.js';

const STOP_WITHIN_MS = 15_000;

const log = createLogger('riposte-api');

await runProcess(log, STOP_WITHIN_MS, async () => {
  const host = process.env['HOST'] ?? '127.0.0.1';
  const port = portOf(process.env['PORT'] ?? '3000');
  const publicUrl = publicUrlOf(process.env['PUBLIC_URL'], host, port);
  const redisUrl = requiredEnv('REDIS_URL');
  const mongodbUri = requiredEnv('MONGODB_URI');
  const config = await loadConfig(process.env, process.cwd());
  const registry = new ProviderRegistry(await instancesOf(config, null), plugins);
  const issuer = await BuiltinIssuer.open(path.resolve(process.env['RIPOSTE_DATA_DIR'] ?? '.riposte'));
  const verifier = new TokenVerifier(issuer);
  const database = await connectDatabase(mongodbUri, { appName: 'riposte-api' });
  const queue = new BullActionQueue(redisUrl, registry.instances.map(({ id }) => id), (error) => log.debug({ error: error.message }, 'redis did not answer'));
  const store = database.actions;
  const server = await createServer(log);
  const app = await NestFactory.create<NestFastifyApplication>(
    ApiModule.with({
      store,
      submit: new SubmitAction({ store, queue, registry, log }),
      cancel: new CancelAction({ store, queue, log }),
      health: new Health(database, queue),
      verifier,
      log,
      publicUrl,
    }),
    new FastifyAdapter(server),
    { bodyParser: false, logger: new NestLog(log), abortOnError: false },
  );
  await mountBullBoard(server, { queue, verifier, log });
  mountOpenApi(app, publicUrl);
  try {
    await app.listen({ port, host });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      throw new ConfigurationError(`port ${port} on ${host} is taken. Set PORT to another one.`, { cause: error });
    }
    throw error;
  }
  log.info({ host, port, publicUrl }, 'listening');
  return async () => {
    // Requests under way end first, then what they need.
    await app.close();
    await queue.close();
    await database.close();
  };
});

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new ConfigurationError(`PORT has to be a number from 0 to 65535; it is "${text}"`);
  return port;
}

function publicUrlOf(text: string | undefined, host: string, port: number): string {
  if (text === undefined || text === '') {
    const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
    return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
  }
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) throw new ConfigurationError(`PUBLIC_URL has to be an http or https address; it is "${text}"`);
  return text.replace(/\/+$/, '');
}
