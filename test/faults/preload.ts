import { Socket, type NetConnectOpts } from 'node:net';

/**
 * Faults inside a process of the product: `node --import <dist>/test/faults/preload.js …`. It
 *
 * - sends TCP connections to ports of this host another way: `FAULTS_REROUTE='{"27017":40001}'`;
 * - sets the clock wrong: `FAULTS_SKEW_MS=300000`, or by IPC `{faults: {skewMs: 300000}}`;
 * - blocks the event loop: by IPC `{faults: {blockMs: 20000}}`.
 *
 * The process's own use of IPC goes on, and nothing here keeps it alive.
 */

interface FaultMessage {
  readonly faults?: { readonly skewMs?: number; readonly blockMs?: number };
}

const LOCAL = new Set([undefined, '127.0.0.1', 'localhost', '::1']);

reroute(JSON.parse(process.env['FAULTS_REROUTE'] ?? '{}') as Readonly<Record<string, number>>);
const setSkew = skewableClock();
setSkew(Number(process.env['FAULTS_SKEW_MS'] ?? 0));

if (process.channel !== undefined) {
  process.on('message', ({ faults }: FaultMessage) => {
    if (faults?.skewMs !== undefined) setSkew(faults.skewMs);
    if (faults?.blockMs !== undefined) block(faults.blockMs);
  });
  // A listener for messages holds the process, and this one must not. `unref()` would be for good, with the process's
  // own listeners; taking back what Node counted for this one is what Node does itself when one is removed.
  (process.channel as unknown as { unrefCounted(): void }).unrefCounted();
}

/** Every way to connect ends in `Socket.prototype.connect`: the drivers' of MongoDB and Redis, and undici's. */
function reroute(ports: Readonly<Record<string, number>>): void {
  if (Object.keys(ports).length === 0) return;
  const connect = Reflect.get(Socket.prototype, 'connect') as (this: Socket, ...args: unknown[]) => Socket;
  const rerouted = (given: unknown): unknown => {
    if (typeof given !== 'object' || given === null) return given;
    const { port, host } = given as Partial<Extract<NetConnectOpts, { port: number }>>;
    const other = ports[String(port)];
    return other === undefined || !LOCAL.has(host) ? given : { ...given, port: other, host: '127.0.0.1' };
  };
  Reflect.set(Socket.prototype, 'connect', function (this: Socket, ...args: unknown[]): Socket {
    const [first, second, ...rest] = args;
    if (Array.isArray(first)) {
      // `net.connect` hands its arguments over as a list, which Node knows by a symbol on it.
      first[0] = rerouted(first[0]);
      return connect.apply(this, args);
    }
    if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
      const host = typeof second === 'string' ? second : undefined;
      return connect.call(
        this,
        rerouted({ port: Number(first), host }),
        ...[second, ...rest].filter(isCallback),
      );
    }
    return connect.call(this, rerouted(first), ...args.slice(1));
  });
}

function isCallback(argument: unknown): boolean {
  return typeof argument === 'function';
}

/** Puts a clock in the place of `Date` that can be set wrong. Monotonic time and timers stay as they are. */
function skewableClock(): (skewMs: number) => void {
  const trueNow = Date.now.bind(Date);
  let skewMs = 0;
  const now = (): number => trueNow() + skewMs;
  Date.now = now;
  // A proxy, not a subclass: what is made by it is a `Date` in every way, and it can be called without `new`.
  globalThis.Date = new Proxy(Date, {
    construct: (target, args, newTarget): Date =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
    apply: (target): string => new target(now()).toString(),
  });
  const { prototype } = Date;
  Object.defineProperty(prototype, 'constructor', { value: Date });
  return (ms) => {
    skewMs = ms;
  };
}

function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}
