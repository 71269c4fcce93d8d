import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** `up` is from client to server. */
type Direction = 'up' | 'down';

/** What a stream is made of: bytes, then its end, or a reset. */
type Piece = Buffer | 'end' | 'reset';

interface Slowness {
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly bytesPerSecond: number;
}

/** Bytes held back per direction before the sender is told to wait. */
const MOST_HELD_BYTES = 1_048_576;
/** With a bandwidth, bytes go in slices of what passes in this many milliseconds. */
const SLICE_MS = 50;
/** How long after an ambiguous request its connection is reset, in milliseconds. */
const RESET_AFTER_LEAST_MS = 50;
const RESET_AFTER_MOST_MS = 300;

/**
 * A TCP proxy on 127.0.0.1 for one link of a fault campaign: what the network can do to a connection, it does.
 * Faults add up until `heal()`. A target that does not listen shows as a connection that is reset, for the
 * kernel has accepted it by then.
 */
export class TcpProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #faults = new Faults();
  #targetPort: number;
  #refusing = false;

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.#targetPort = targetPort;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client: Socket) => this.#accept(client));
  }

  /** Starts a proxy on a free port, to a port of 127.0.0.1. */
  static async start(targetPort: number): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpProxy(server, targetPort);
  }

  /** New connections go to another port; existing ones are reset. */
  retarget(port: number): void {
    this.#targetPort = port;
    this.resetAll();
  }

  /**
   * Delays both directions, order kept.
   * @param latencyMs milliseconds each chunk takes
   * @param jitterMs milliseconds that are added at most
   * @param bytesPerSecond bandwidth of each connection and direction; unlimited where it is left out
   */
  slow(latencyMs: number, jitterMs: number, bytesPerSecond = Infinity): void {
    this.#faults.slowness = { latencyMs, jitterMs, bytesPerSecond };
  }

  /**
   * Half-open: connections stay and new ones are accepted, but bytes (ends and resets, too) vanish on the way. A
   * connection that lost some is reset by `heal()`, for a TCP stream with a hole cannot exist.
   */
  swallow(direction: Direction | 'both'): void {
    this.#faults.swallowed = new Set(direction === 'both' ? ['up', 'down'] : [direction]);
  }

  /** Existing connections are reset, and new ones at once. */
  refuse(): void {
    this.#refusing = true;
    this.resetAll();
  }

  /**
   * Ambiguous writes: the next `times` connections that send a chunk up have it passed on; their answers are
   * swallowed, and they are reset 50 to 300 ms later.
   */
  resetAfterNextRequest(times: number): void {
    this.#faults.ambiguous = times;
  }

  /** Resets every connection there is. */
  resetAll(): void {
    for (const connection of this.#connections) connection.reset();
  }

  /** Ends all faults. What was held back goes on its way, and what lost bytes is reset. */
  heal(): void {
    this.#refusing = false;
    this.#faults.slowness = null;
    this.#faults.swallowed = new Set();
    this.#faults.ambiguous = 0;
    for (const connection of this.#connections) {
      if (connection.hasHole) connection.reset();
      else connection.hurry();
    }
  }

  /** Resets every connection and frees the port. */
  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.resetAll();
    await closed;
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
    const server = connect({
      port: this.#targetPort,
      host: '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
    });
    const connection = new Connection(client, server, this.#faults, () =>
      this.#connections.delete(connection),
    );
    this.#connections.add(connection);
  }
}

/** What is wrong with the link at the moment, for all its connections. */
class Faults {
  slowness: Slowness | null = null;
  swallowed: ReadonlySet<Direction> = new Set();
  ambiguous = 0;
}

/** A client's connection and the one to the server that it stands for. */
class Connection {
  /** It lost bytes. */
  hasHole = false;
  readonly #sockets: readonly [Socket, Socket];
  readonly #lanes: readonly [Lane, Lane];
  readonly #faults: Faults;
  #doom: NodeJS.Timeout | undefined;

  constructor(client: Socket, server: Socket, faults: Faults, onClosed: () => void) {
    this.#faults = faults;
    this.#sockets = [client, server];
    this.#lanes = [
      new Lane(client, server, faults, (piece) => this.#mayPass('up', piece)),
      new Lane(server, client, faults, (piece) => this.#mayPass('down', piece)),
    ];
    for (const socket of this.#sockets) {
      socket.on('close', () => {
        if (this.#sockets.every(({ destroyed }) => destroyed)) {
          clearTimeout(this.#doom);
          onClosed();
        }
      });
    }
  }

  reset(): void {
    clearTimeout(this.#doom);
    for (const lane of this.#lanes) lane.stop();
    for (const socket of this.#sockets) resetSocket(socket);
  }

  hurry(): void {
    for (const lane of this.#lanes) lane.hurry();
  }

  #mayPass(direction: Direction, piece: Piece): boolean {
    if (this.#faults.swallowed.has(direction)) {
      this.hasHole = true;
      return false;
    }
    // Its request is through: what it is answered, and whether its server closes, is not to be known.
    if (this.#doom !== undefined) return direction === 'up';
    if (direction === 'up' && piece instanceof Buffer && this.#faults.ambiguous > 0) {
      this.#faults.ambiguous -= 1;
      const spreadMs = RESET_AFTER_MOST_MS - RESET_AFTER_LEAST_MS;
      this.#doom = setTimeout(() => this.reset(), RESET_AFTER_LEAST_MS + Math.random() * spreadMs);
    }
    return true;
  }
}

/** One direction of a connection: a queue that keeps the order, however late its pieces are. */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #faults: Faults;
  readonly #mayPass: (piece: Piece) => boolean;
  readonly #held: { readonly piece: Piece; dueAt: number }[] = [];
  #heldBytes = 0;
  /** When the last piece is due. */
  #lastDueAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #blocked = false;
  #stopped = false;

  constructor(from: Socket, to: Socket, faults: Faults, mayPass: (piece: Piece) => boolean) {
    this.#from = from;
    this.#to = to;
    this.#faults = faults;
    this.#mayPass = mayPass;
    from.on('data', (chunk: Buffer) => this.#take(chunk));
    from.on('end', () => this.#hold('end', 0));
    from.on('error', () => undefined);
    from.on('close', () => {
      if (!from.readableEnded) this.#hold('reset', 0);
    });
    to.on('drain', () => {
      this.#blocked = false;
      this.#send();
    });
  }

  /** Nothing passes any more. */
  stop(): void {
    this.#stopped = true;
    this.#held.length = 0;
    clearTimeout(this.#timer);
  }

  /** What is held back is due now. */
  hurry(): void {
    for (const held of this.#held) held.dueAt = 0;
    this.#lastDueAt = 0;
    this.#send();
  }

  #take(chunk: Buffer): void {
    const bytesPerSecond = this.#faults.slowness?.bytesPerSecond ?? Infinity;
    const size = Math.max(1, Math.floor((bytesPerSecond * SLICE_MS) / 1000));
    for (let start = 0; start < chunk.byteLength; start += size) {
      const slice = chunk.subarray(start, start + size);
      this.#hold(slice, (slice.byteLength / bytesPerSecond) * 1000);
    }
  }

  #hold(piece: Piece, takesMs: number): void {
    if (this.#stopped) return;
    const { latencyMs, jitterMs } = this.#faults.slowness ?? { latencyMs: 0, jitterMs: 0 };
    const arrivesAt = performance.now() + latencyMs + Math.random() * jitterMs;
    this.#lastDueAt = Math.max(this.#lastDueAt, arrivesAt) + takesMs;
    this.#held.push({ piece, dueAt: this.#lastDueAt });
    if (piece instanceof Buffer) this.#heldBytes += piece.byteLength;
    if (this.#heldBytes > MOST_HELD_BYTES) this.#from.pause();
    this.#send();
  }

  #send(): void {
    clearTimeout(this.#timer);
    for (;;) {
      const [first] = this.#held;
      if (first === undefined || this.#blocked) break;
      const waitMs = first.dueAt - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#send(), waitMs);
        break;
      }
      this.#held.shift();
      if (first.piece instanceof Buffer) this.#heldBytes -= first.piece.byteLength;
      if (this.#mayPass(first.piece)) this.#pass(first.piece);
    }
    if (this.#heldBytes <= MOST_HELD_BYTES && this.#from.isPaused()) this.#from.resume();
  }

  #pass(piece: Piece): void {
    if (piece === 'reset') resetSocket(this.#to);
    else if (!this.#to.writable) return;
    else if (piece === 'end') this.#to.end();
    else this.#blocked = !this.#to.write(piece);
  }
}

function resetSocket(socket: Socket): void {
  // While it connects there is nothing to reset yet, and Node would wait for the connection.
  if (socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
}
