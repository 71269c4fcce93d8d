import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '#domain';
import type { Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

const PATH = '/api/v1/workers';

interface Workers {
  readonly value: readonly {
    readonly id: string;
    readonly seenDateTime: string;
    readonly version: string | null;
    readonly running: number;
    readonly lastSweep: { readonly at: string; readonly due: number; readonly ms: number } | null;
  }[];
}

let stack: Stack;
let operator: Client;

beforeAll(async () => {
  stack = await Stack.start({ workers: 2 });
  operator = await stack.client({ roles: ['Riposte.Operator'] });
});
afterAll(() => stack.stop());

describe('the list of workers', () => {
  it('shows each one, what it holds, and what its last sweep found', async () => {
    const client = await stack.client();
    const id = await client.act('Hang');
    const { value } = (await eventually(async () => {
      const { status, body } = await operator.request<Workers>('GET', PATH);
      expect(status).toBe(200);
      return body.value.every(({ lastSweep }) => lastSweep !== null) &&
        body.value.some(({ running }) => running === 1)
        ? body
        : false;
    }, 30_000)) as Workers;
    expect(value).toHaveLength(2);
    for (const { seenDateTime, version, lastSweep } of value) {
      expect(version).toBe(VERSION);
      expect(lastSweep).toMatchObject({ due: expect.any(Number) as number, hinted: 0, closed: 0 });
      expect(Date.parse(lastSweep?.at ?? '')).toBeLessThanOrEqual(Date.parse(seenDateTime));
    }
    await client.cancel(id);
  });

  it('is for operators alone', async () => {
    const writer = await stack.client();
    expect((await writer.request('GET', PATH)).status).toBe(403);
    expect((await fetch(`${stack.baseUrl}${PATH}`)).status).toBe(401);
  });

  it('forgets one that was stopped in order', async () => {
    await stack.workers[1]?.end();
    expect((await operator.request<Workers>('GET', PATH)).body.value).toHaveLength(1);
  });
});
