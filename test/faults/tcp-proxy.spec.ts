import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from './tcp-proxy.js';

/** A server that answers every byte with the same byte, and remembers what it got. */
class Echo {
  readonly sockets: Socket[] = [];
  received = '';
  private constructor(readonly port: number) {}

  static async start(mark = ''): Promise<Echo> {
    const server = createServer((socket) => {
      echo.sockets.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', (data) => {
        echo.received += data.toString();
        socket.write(`${mark}${data.toString()}`);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const echo = new Echo((server.address() as AddressInfo).port);
    onTestFinished(() => {
      for (const socket of echo.sockets) socket.destroy();
      server.close();
    });
    return echo;
  }
}

/** A client that collects what it is sent, and how its connection ended. */
class Peer {
  received = '';
  ended: string | null = null;
  readonly socket: Socket;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (data) => (this.received += data.toString()));
    this.socket.on('error', (error: NodeJS.ErrnoException) => (this.ended = error.code ?? 'error'));
    this.socket.on('close', () => (this.ended ??= 'closed'));
    onTestFinished(() => void this.socket.destroy());
  }

  async ask(text: string): Promise<void> {
    const wanted = this.received + text;
    this.socket.write(text);
    await eventually(() => this.received === wanted);
  }
}

async function link(): Promise<{ echo: Echo; proxy: TcpProxy }> {
  const echo = await Echo.start();
  const proxy = await TcpProxy.start(echo.port);
  onTestFinished(() => proxy.stop());
  return { echo, proxy };
}

describe('a proxy without a fault', () => {
  it('passes bytes both ways and large bodies whole', async () => {
    const { proxy } = await link();
    const peer = new Peer(proxy.port);
    await peer.ask('hello');
    await peer.ask('x'.repeat(3_000_000));
  });

  it('passes the end of a connection on', async () => {
    const { echo, proxy } = await link();
    const peer = new Peer(proxy.port);
    await peer.ask('bye');
    peer.socket.end();
    await eventually(() => echo.sockets[0]?.destroyed === true && peer.ended === 'closed');
  });

  it('passes a reset on', async () => {
    const { echo, proxy } = await link();
    const peer = new Peer(proxy.port);
    await peer.ask('hello');
    echo.sockets[0]?.resetAndDestroy();
    await eventually(() => peer.ended === 'ECONNRESET');
  });

  it('resets when nobody listens at its target', async () => {
    const { echo, proxy } = await link();
    const closed = await TcpProxy.start(echo.port);
    await closed.stop();
    proxy.retarget(closed.port);
    const peer = new Peer(proxy.port);
    await eventually(() => peer.ended === 'ECONNRESET');
  });
});

describe('another target', () => {
  it('is where new connections go, and old ones are reset', async () => {
    const { proxy } = await link();
    const other = await Echo.start();
    const peer = new Peer(proxy.port);
    await peer.ask('old');
    proxy.retarget(other.port);
    await eventually(() => peer.ended === 'ECONNRESET');
    await new Peer(proxy.port).ask('new');
    expect(other.received).toBe('new');
  });
});

describe('a slow link', () => {
  it('keeps the order whatever the jitter', async () => {
    const { echo, proxy } = await link();
    proxy.slow(20, 40);
    const peer = new Peer(proxy.port);
    const asked = performance.now();
    for (let index = 0; index < 50; index += 1) {
      peer.socket.write(`${index},`);
      await new Promise(setImmediate);
    }
    const all = Array.from({ length: 50 }, (_, index) => `${index},`).join('');
    await eventually(() => peer.received === all);
    expect(echo.received).toBe(all);
    expect(performance.now() - asked).toBeGreaterThanOrEqual(40);
  });

  it('with a bandwidth lets bytes through slice by slice', async () => {
    const { proxy } = await link();
    const peer = new Peer(proxy.port);
    await peer.ask('connected');
    proxy.slow(0, 0, 10_000);
    const seen: number[] = [];
    peer.socket.on('data', (data) => seen.push(data.byteLength));
    const asked = performance.now();
    await peer.ask('x'.repeat(4000));
    expect(seen.length).toBeGreaterThan(1);
    // Forwards alone takes 400 ms.
    expect(performance.now() - asked).toBeGreaterThanOrEqual(400);
  });

  it('healed, delivers what was held back', async () => {
    const { proxy } = await link();
    const peer = new Peer(proxy.port);
    await peer.ask('connected');
    proxy.slow(3_600_000, 0);
    peer.socket.write(' late');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(peer.received).toBe('connected');
    proxy.heal();
    await eventually(() => peer.received === 'connected late');
  });
});

describe('a link that swallows', () => {
  it('down: the server has the request, the client no answer, and neither an end', async () => {
    const { echo, proxy } = await link();
    const peer = new Peer(proxy.port);
    await peer.ask('before');
    proxy.swallow('down');
    peer.socket.write(' lost');
    await eventually(() => echo.received === 'before lost');
    proxy.heal();
    await eventually(() => peer.ended === 'ECONNRESET');
    expect(peer.received).toBe('before');
  });

  it('up: connections are accepted and nothing arrives', async () => {
    const { echo, proxy } = await link();
    proxy.swallow('up');
    const peer = new Peer(proxy.port);
    peer.socket.write('lost');
    await eventually(() => echo.sockets.length === 1 && peer.socket.bytesWritten === 4);
    peer.socket.destroy();
    await eventually(() => peer.ended === 'closed');
    expect(echo.received).toBe('');
    // The client is gone without the server's hearing of it.
    expect(echo.sockets[0]?.destroyed).toBe(false);
    proxy.heal();
    await eventually(() => echo.sockets[0]?.destroyed === true);
  });

  it('healed, keeps the connections that lost nothing', async () => {
    const { proxy } = await link();
    const peer = new Peer(proxy.port);
    await peer.ask('before');
    proxy.swallow('both');
    proxy.heal();
    await peer.ask(' after');
  });
});

describe('a link that refuses', () => {
  it('resets existing and new connections until it is healed', async () => {
    const { echo, proxy } = await link();
    const old = new Peer(proxy.port);
    await old.ask('hello');
    proxy.refuse();
    await eventually(() => old.ended === 'ECONNRESET');
    const refused = new Peer(proxy.port);
    await eventually(() => refused.ended === 'ECONNRESET');
    expect(echo.sockets).toHaveLength(1);
    proxy.heal();
    await new Peer(proxy.port).ask('again');
  });
});

describe('an ambiguous write', () => {
  it('reaches the server; its answer is swallowed and its connection reset', async () => {
    const { echo, proxy } = await link();
    const peer = new Peer(proxy.port);
    await peer.ask('before');
    proxy.resetAfterNextRequest(1);
    peer.socket.write(' applied');
    await eventually(() => peer.ended === 'ECONNRESET');
    expect(echo.received).toBe('before applied');
    expect(peer.received).toBe('before');
    await new Peer(proxy.port).ask(' next');
  });
});
