import { existsSync, writeFileSync } from 'node:fs';
import { Socket, type NetConnectOpts } from 'node:net';

/**
 * Faults inside a process of the product: `node --import <dist>/test/faults/preload.js …`. It
 *
 * - sends TCP connections to ports of this host another way: `FAULTS_REROUTE='{"27017":40001}'`;
 * - sets the clock wrong: `FAULTS_SKEW_MS=300000`, or by IPC `{faults: {skewMs: 300000}}`;
 * - blocks the event loop: by IPC `{faults: {blockMs: 20000}}`;
 * - blocks it at the worst moment, with the next intent in hand and not yet sent, until a file is there: by IPC
 *   `{faults: {blockBeforeIntent: {untilFile, idFile, mostMs}}}`; `idFile` then names the action.
 *
 * The process's own use of IPC goes on, and nothing here keeps it alive.
 */

/** What a process can be told to do to itself. */
export interface InnerFaults {
  readonly skewMs?: number;
  readonly blockMs?: number;
  readonly blockBeforeIntent?: {
    readonly untilFile: string;
    readonly idFile: string;
    readonly mostMs: number;
  };
}

interface FaultMessage {
  readonly faults?: InnerFaults;
}

const LOCAL = new Set([undefined, '127.0.0.1', 'localhost', '::1']);

reroute(JSON.parse(process.env['FAULTS_REROUTE'] ?? '{}') as Readonly<Record<string, number>>);
const setSkew = skewableClock();
setSkew(Number(process.env['FAULTS_SKEW_MS'] ?? 0));

if (process.channel !== undefined) {
  process.on('message', ({ faults }: FaultMessage) => {
    if (faults?.skewMs !== undefined) setSkew(faults.skewMs);
    if (faults?.blockMs !== undefined) block(faults.blockMs);
    if (faults?.blockBeforeIntent !== undefined) blockBeforeIntent(faults.blockBeforeIntent);
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

function block(ms: number, isOver: () => boolean = () => false): void {
  const until = performance.now() + ms;
  while (performance.now() < until && !isOver());
}

/** Once, for the next intent. */
function blockBeforeIntent({
  untilFile,
  idFile,
  mostMs,
}: NonNullable<InnerFaults['blockBeforeIntent']>): void {
  const write = Reflect.get(Socket.prototype, 'write') as (this: Socket, ...args: unknown[]) => boolean;
  Reflect.set(Socket.prototype, 'write', function (this: Socket, ...args: unknown[]): boolean {
    const [bytes] = args;
    const id = bytes instanceof Uint8Array ? intentIn(Buffer.from(bytes)) : null;
    if (id !== null) {
      Reflect.set(Socket.prototype, 'write', write);
      writeFileSync(idFile, id);
      block(mostMs, () => existsSync(untilFile));
    }
    return write.apply(this, args);
  });
}

/** BSON of `_id: UUID`, up to its sixteen bytes. */
const ID = Buffer.from([0x05, ...Buffer.from('_id\0'), 16, 0, 0, 0, 0x04]);

/** Both writes that copy the idempotency into an intent do that; a claim alone asks whether it is not too late to start. */
const CLAIMS = '$startBefore';

/** The action whose intent these bytes write by itself, under a claim that was written before, in hex. */
function intentIn(bytes: Buffer): string | null {
  const at = bytes.indexOf(ID);
  if (at < 0 || !bytes.includes('findAndModify') || !bytes.includes('$idempotency')) return null;
  if (bytes.includes(CLAIMS)) return null;
  return bytes.subarray(at + ID.byteLength, at + ID.byteLength + 16).toString('hex');
}
