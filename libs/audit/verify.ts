import { auditKey, isSignedBy, type AuditKey, type Checkpoint } from './checkpoint.js';
import { EMPTY, hashOf, type AuditEntry, type ChainHead } from './entry.js';
import { EXPORT_VERSION, type ExportLine } from './export-lines.js';

/** The first thing that is wrong with a chain. What comes after it says nothing any more. */
export interface BrokenLink {
  readonly chain: string;
  /** Number of the entry that is wrong or missing. */
  readonly seq: number;
  readonly what: string;
}

/** What became of a chain. */
interface ChainVerdict {
  readonly chain: string;
  /** Entries that were read, as far as they hold together. */
  readonly entries: number;
  /** Up to this one a checkpoint proves them; 0: none does. */
  readonly signedUpTo: number;
}

/** What an export proves. It is whole where `broken` is empty. */
export interface AuditVerdict {
  readonly chains: readonly ChainVerdict[];
  /** In the order they were found, one for each chain that is broken; the first is the first. */
  readonly broken: readonly BrokenLink[];
  /** Lines of the heads that hold none, as a crash leaves one: they were passed over. */
  readonly brokenHeads: number;
}

export interface VerifyOptions {
  /** Public keys in PEM that are known from elsewhere. None: the export's own, which prove nothing about who signed. */
  readonly keys?: readonly string[];
  /**
   * Checkpoints kept apart, as lines of a heads file: what was cut off together with its checkpoints shows by them. Where
   * they are given there has to be one at least; empty lines count for nothing.
   */
  readonly heads?: readonly string[];
}

/** It is no export of the audit record, or the keys are none, or the heads have none. The message says where. */
export class AuditFormatError extends Error {}

/**
 * Reads an export and finds, for each chain, the first entry that was changed, is missing, was moved, or is another than
 * the one that was signed. Needs nothing but its arguments.
 *
 * @param lines without their line ends
 * @throws AuditFormatError
 */
export async function verifyAudit(
  lines: AsyncIterable<string> | Iterable<string>,
  { keys = [], heads }: VerifyOptions = {},
): Promise<AuditVerdict> {
  const trusted = keys.map(trustedKey);
  const known = new Map(trusted.map((key) => [key.keyId, key]));
  const { kept, broken: brokenHeads } = heads === undefined ? NO_HEADS : headsOf(heads);
  const chains = new Map<string, ChainReading>();
  const broken: BrokenLink[] = [];
  let last: string | null = null;
  let ended = false;
  let isOfAll = false;
  let number = 0;
  const chainOf = (name: string): ChainReading => {
    const there = chains.get(name);
    if (there !== undefined) return there;
    const made = new ChainReading(name, known, kept.get(name) ?? new Map(), (link) => broken.push(link));
    chains.set(name, made);
    return made;
  };
  for await (const text of lines) {
    number += 1;
    const line = parsed(text, number);
    if (ended) throw new AuditFormatError(`line ${number}: something follows the last line`);
    switch (line.type) {
      case 'audit':
        isOfAll = line.all;
        break;
      case 'key':
        // Those that were given count alone, where any were.
        if (trusted.length === 0) known.set(line.keyId, exportedKey(line, number));
        break;
      case 'entry':
        last = line.chain;
        chainOf(line.chain).entry(line);
        break;
      case 'checkpoint':
        last = line.chain;
        chainOf(line.chain).checkpoint(line);
        break;
      case 'end':
        ended = true;
        for (const [name, head] of Object.entries(line.chains)) chainOf(name).end(head);
    }
  }
  if (number === 0) throw new AuditFormatError('it is empty');
  if (!ended) chainOf(last ?? '').cutShort();
  for (const name of kept.keys()) if (isOfAll || chains.has(name)) chainOf(name).compareRest();
  return { chains: [...chains.values()].map((one) => one.verdict), broken, brokenHeads };
}

/** By the number of the entry that each counts last. */
type HeadsOfChain = ReadonlyMap<number, readonly Checkpoint[]>;

interface Heads {
  readonly kept: ReadonlyMap<string, HeadsOfChain>;
  readonly broken: number;
}
const NO_HEADS: Heads = { kept: new Map(), broken: 0 };

/** A chain as it is read, until something is wrong. */
class ChainReading {
  #head: ChainHead = EMPTY;
  #signedUpTo = 0;
  #isBroken = false;
  #isEnded = false;
  readonly #kept: HeadsOfChain;

  constructor(
    private readonly chain: string,
    private readonly keys: ReadonlyMap<string, AuditKey>,
    kept: HeadsOfChain,
    private readonly tell: (link: BrokenLink) => void,
  ) {
    this.#kept = kept;
  }

  get verdict(): ChainVerdict {
    return { chain: this.chain, entries: this.#head.seq, signedUpTo: this.#signedUpTo };
  }

  entry({ type: _type, ...entry }: { readonly type: 'entry' } & AuditEntry): void {
    if (this.#isBroken) return;
    const expected = this.#head.seq + 1;
    if (entry.seq > expected)
      this.#broken(expected, `entry ${expected} is missing; ${entry.seq} follows ${this.#head.seq}`);
    else if (entry.seq < expected) this.#broken(expected, `entry ${entry.seq} stands in its place`);
    else if (unlessMalformed(() => hashOf(entry)) !== entry.hash)
      this.#broken(expected, 'the entry was changed: its hash is another');
    else if (entry.prevHash !== this.#head.hash)
      this.#broken(
        expected,
        `the entry does not follow entry ${this.#head.seq}: another one was there before it`,
      );
    else {
      this.#head = { seq: entry.seq, hash: entry.hash };
      const kept = this.#kept.get(entry.seq)?.find(({ hash }) => hash !== entry.hash);
      if (kept !== undefined)
        this.#broken(
          entry.seq,
          `the entries up to it were written anew: the head kept on ${kept.at} is another`,
        );
    }
  }

  checkpoint({ type: _type, ...checkpoint }: { readonly type: 'checkpoint' } & Checkpoint): void {
    if (this.#isBroken) return;
    const { seq, hash, keyId } = checkpoint;
    const key = this.keys.get(keyId);
    if (key === undefined)
      this.#broken(seq, `a checkpoint is signed with the key ${keyId}, which is none of those given`);
    else if (unlessMalformed(() => isSignedBy(checkpoint, key)) !== true)
      this.#broken(seq, 'a checkpoint is forged: its signature is not that of the key');
    else if (seq > this.#head.seq)
      this.#broken(
        this.#head.seq + 1,
        `entry ${this.#head.seq + 1} is missing: a checkpoint of ${checkpoint.at} counts ${seq}`,
      );
    else if (seq < this.#head.seq) this.#broken(seq, 'a checkpoint is not at its place');
    // oxlint-disable-next-line security/detect-possible-timing-attacks -- no secret: the export has both
    else if (hash !== this.#head.hash)
      this.#broken(
        seq,
        `the entries up to it were written anew: the checkpoint of ${checkpoint.at} has another hash`,
      );
    else this.#signedUpTo = seq;
  }

  /** The export said where the chain ended. */
  end({ seq, hash }: ChainHead): void {
    this.#isEnded = true;
    if (this.#isBroken) return;
    if (seq > this.#head.seq)
      this.#broken(this.#head.seq + 1, `entry ${this.#head.seq + 1} is missing: the export had ${seq}`);
    else if (seq !== this.#head.seq || hash !== this.#head.hash)
      this.#broken(this.#head.seq, 'the export ended with another entry');
  }

  cutShort(): void {
    if (!this.#isEnded && !this.#isBroken)
      this.#broken(this.#head.seq + 1, 'the file is cut off: its last line is missing');
  }

  /** Heads kept apart that no entry was reached for. */
  compareRest(): void {
    if (this.#isBroken) return;
    const beyond = [...this.#kept.values()].flat().find(({ seq }) => seq > this.#head.seq);
    if (beyond !== undefined)
      this.#broken(
        this.#head.seq + 1,
        `entry ${this.#head.seq + 1} is missing: the head kept on ${beyond.at} counts ${beyond.seq}`,
      );
  }

  #broken(seq: number, what: string): void {
    this.#isBroken = true;
    this.tell({ chain: this.chain, seq, what });
  }
}

function parsed(text: string, number: number): ExportLine {
  let line: ExportLine;
  try {
    line = JSON.parse(text) as ExportLine;
  } catch (cause) {
    throw new AuditFormatError(`line ${number} is no JSON`, { cause });
  }
  if (number === 1) {
    if (line?.type !== 'audit' || line.version !== EXPORT_VERSION)
      throw new AuditFormatError(`line 1 is not that of an audit export of version ${EXPORT_VERSION}`);
    return line;
  }
  const isKnown =
    isObject(line) &&
    (line.type === 'key' ||
      (line.type === 'end' && isObject(line.chains) && Object.values(line.chains).every(isObject)) ||
      ((line.type === 'entry' || line.type === 'checkpoint') &&
        typeof line.chain === 'string' &&
        Number.isSafeInteger(line.seq)));
  if (!isKnown) throw new AuditFormatError(`line ${number} is none of an audit export`);
  return line;
}

function exportedKey({ keyId, publicKey }: AuditKey, number: number): AuditKey {
  try {
    const key = auditKey(publicKey);
    if (key.keyId === keyId) return key;
  } catch (cause) {
    throw new AuditFormatError(`line ${number}: this is no public key`, { cause });
  }
  throw new AuditFormatError(`line ${number}: the key goes by another one's id`);
}

function trustedKey(pem: string): AuditKey {
  try {
    return auditKey(pem);
  } catch (cause) {
    throw new AuditFormatError(`the key is no Ed25519 public key in PEM: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** @throws AuditFormatError where there is none */
function headsOf(lines: readonly string[]): Heads {
  const kept = new Map<string, Map<number, Checkpoint[]>>();
  let broken = 0;
  for (const text of lines) {
    if (text.trim() === '') continue;
    const head = unlessMalformed(() => JSON.parse(text) as Checkpoint | null);
    if (
      head === null ||
      typeof head.chain !== 'string' ||
      typeof head.hash !== 'string' ||
      !Number.isSafeInteger(head.seq)
    ) {
      broken += 1;
      continue;
    }
    const ofChain = kept.get(head.chain) ?? new Map<number, Checkpoint[]>();
    kept.set(head.chain, ofChain);
    const ofEntry = ofChain.get(head.seq);
    if (ofEntry === undefined) ofChain.set(head.seq, [head]);
    else ofEntry.push(head);
  }
  if (kept.size === 0) throw new AuditFormatError('the heads have no checkpoint among their lines');
  return { kept, broken };
}

/** Null for what is written so that it cannot be looked at, which is no reason to look at nothing else. */
function unlessMalformed<T>(look: () => T): T | null {
  try {
    return look();
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
