import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startTestServers } from '#embedded-servers';
import { Stack } from '../support/stack.js';

it('a client that does not take its answer is let go after 80 seconds', { timeout: 180_000 }, async () => {
  const servers = await startTestServers();
  const stack = await Stack.start({ mongodbUri: servers.mongodbUri });
  try {
    const client = await stack.client();
    for (let index = 0; index < 400; index += 1)
      await client.act('BlockIp', { IP: '1.2.3.4' }, { actionReason: 'x'.repeat(4000) });
    const list = '/beta/security/securityActions?$top=1000';
    const size = JSON.stringify((await client.request('GET', list)).body).length;
    const socket = connect(Number(new URL(stack.baseUrl).port), '127.0.0.1');
    let received = 0;
    socket.on('data', (data: Buffer) => (received += data.length)).on('error', () => undefined);
    await once(socket, 'connect');
    socket.pause();
    // More than the buffers of both ends hold together.
    socket.write(
      `GET ${list} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${client.token}\r\n\r\n`.repeat(8),
    );
    await sleep(90_000);
    const closed = once(socket, 'close');
    socket.resume();
    await closed;
    expect(received).toBeGreaterThan(0);
    expect(received).toBeLessThan(7 * size);
    expect((await client.request('GET', '/health/live')).status).toBe(200);
  } finally {
    await stack.stop();
    await servers.stop();
  }
});
