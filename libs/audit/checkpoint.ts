import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { canonicalJson } from './canonical-json.js';
import type { ChainHead } from './entry.js';

/** Says, signed, that a chain had so many entries at a time, the last with this hash. */
export interface Checkpoint extends ChainHead {
  readonly chain: string;
  /** By the database's clock, ISO 8601. */
  readonly at: string;
  readonly keyId: string;
  /** Ed25519 (RFC 8032), base64. */
  readonly signature: string;
}

/** A key that checkpoints are verified with. */
export interface AuditKey {
  /** The first 32 hexadecimal digits of the SHA-256 of the key in DER. */
  readonly keyId: string;
  /** SubjectPublicKeyInfo in PEM. */
  readonly publicKey: string;
}

/** RFC 8410: what precedes the 32 bytes of a private Ed25519 key in PKCS #8. */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Signs checkpoints. */
export class CheckpointSigner {
  readonly #private: KeyObject;
  readonly key: AuditKey;

  /** @param seed the 32 bytes of the private key */
  constructor(seed: Buffer) {
    this.#private = createPrivateKey({
      key: Buffer.concat([PKCS8_ED25519, seed]),
      format: 'der',
      type: 'pkcs8',
    });
    this.key = keyOf(createPublicKey(this.#private));
  }

  sign(chain: string, { seq, hash }: ChainHead, at: Date): Checkpoint {
    const said = { chain, seq, hash, at: at.toISOString(), keyId: this.key.keyId };
    return { ...said, signature: sign(null, signedText(said), this.#private).toString('base64') };
  }
}

/**
 * The key of a PEM.
 * @throws Error for what is no public Ed25519 key
 */
export function auditKey(pem: string): AuditKey {
  const key = createPublicKey(pem);
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('it is no Ed25519 key');
  return keyOf(key);
}

/** True when whoever has the private half of the key signed it. */
export function isSignedBy(checkpoint: Checkpoint, { publicKey }: AuditKey): boolean {
  return verify(
    null,
    signedText(checkpoint),
    createPublicKey(publicKey),
    Buffer.from(checkpoint.signature, 'base64'),
  );
}

function keyOf(key: KeyObject): AuditKey {
  const der = key.export({ format: 'der', type: 'spki' });
  return {
    keyId: createHash('sha256').update(der).digest('hex').slice(0, 32),
    publicKey: key.export({ format: 'pem', type: 'spki' }).toString(),
  };
}

/** Names what is signed, so that the signature can stand for nothing else. */
function signedText({ chain, seq, hash, at, keyId }: Omit<Checkpoint, 'signature'>): Buffer {
  return Buffer.from(canonicalJson({ type: 'riposte-audit-checkpoint', chain, seq, hash, at, keyId }));
}
