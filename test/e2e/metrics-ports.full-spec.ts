import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '#embedded-servers';
import { API_COMMAND } from '../deploy/start-commands.js';
import { documentOf } from '../support/openapi.js';
import { ProductProcess } from '../support/product-process.js';
import { Stack } from '../support/stack.js';

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ workers: 0 });
});
afterAll(() => stack.stop());

/** Another API process, and where it is. */
async function api(env: Readonly<Record<string, string>>): Promise<string> {
  const port = await freePort();
  const started = new ProductProcess(API_COMMAND, { ...stack.env, PORT: String(port), ...env });
  onTestFinished(() => void started.end());
  await started.ready();
  return `http://127.0.0.1:${port}`;
}

const statusOf = async (url: string): Promise<number> => (await fetch(url)).status;

describe('where an API process has its metrics', () => {
  it('is a port of their own alone, where they have one', async () => {
    const metricsPort = await freePort();
    const url = await api({ RIPOSTE_METRICS_PORT: String(metricsPort) });
    expect(await statusOf(`${url}/metrics`)).toBe(404);
    expect(await statusOf(`http://127.0.0.1:${metricsPort}/metrics`)).toBe(200);
    expect((await documentOf(url)).paths).not.toHaveProperty('/metrics');
  });

  it.each([{ PUBLIC_URL: 'https://riposte.example' }, { RIPOSTE_TRUSTED_PROXIES: 'loopback' }])(
    'asks everybody for a token behind a proxy, by which all come from this machine (%j)',
    async (env) => {
      const url = await api(env);
      expect(await statusOf(`${url}/metrics`)).toBe(401);
      expect((await documentOf(url)).paths).toHaveProperty('/metrics');
    },
  );
});
