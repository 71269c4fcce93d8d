import { createHash } from 'node:crypto';
import type { Json } from '#domain';
import { canonical, canonicalJson } from './canonical-json.js';

/** The chain of what has no tenant. Every other chain is named by its tenant's id. */
export const INSTALLATION = 'installation';

/** What is recorded. Listed, with who does it, in docs/audit.md. */
export const AUDIT_KINDS = [
  'action.created',
  'action.cancelRequested',
  'action.ended',
  'action.resolved',
  'actions.bulkCancelRequested',
  'actions.imported',
  'provider.paused',
  'provider.resumed',
  'queues.changed',
  'subscription.created',
  'subscription.renewed',
  'subscription.removed',
  'webhook.created',
  'webhook.moved',
  'webhook.removed',
  'notification.replayed',
  'session.begun',
  'session.refused',
  'session.tenantChanged',
  'session.ended',
  'session.allEnded',
  'operator.added',
  'operator.changed',
  'operator.passwordChanged',
  'operator.passwordReset',
  'operator.removed',
  'token.issued',
  'application.added',
  'application.changed',
  'application.revoked',
  'application.restored',
  'issuer.keyRotated',
  'issuer.keyRevoked',
  'secrets.rotated',
  'configuration.changed',
  'audit.exported',
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

/** Who did it. */
export interface AuditActor {
  /** Null: somebody at the installation's own machine, by its commands, or nobody who is known. */
  readonly appId: string | null;
  readonly user: string | null;
  /** Network address it came from; null where that is not on record. */
  readonly address: string | null;
}

/** Something somebody did. */
export interface AuditEvent {
  /** {@link INSTALLATION}, or a tenant's id. */
  readonly chain: string;
  /** By the database's clock, ISO 8601 in UTC with milliseconds. */
  readonly at: string;
  readonly kind: AuditKind;
  readonly by: AuditActor;
  /** What it concerns, by ids and names. */
  readonly about: Readonly<Record<string, string>>;
  /** What else is to be known. Never a secret, never the value of a parameter. */
  readonly details: Readonly<Record<string, Json>>;
  /** Where it comes from; each source is in the record once. */
  readonly source: string;
}

/** An event in its place. */
export interface AuditEntry extends AuditEvent {
  /** 1, 2, 3, … in its chain. */
  readonly seq: number;
  /** `hash` of the one before; {@link NOTHING} for the first. */
  readonly prevHash: string;
  /** SHA-256, in hexadecimal, of all the rest as RFC 8785 writes it. */
  readonly hash: string;
}

/** How far a chain goes. */
export interface ChainHead {
  /** How many entries; the number of the last. */
  readonly seq: number;
  readonly hash: string;
}

/** The hash that a first entry follows. */
const NOTHING = '0'.repeat(64);
/** The head of a chain without entries. */
export const EMPTY: ChainHead = { seq: 0, hash: NOTHING };

/** The events as the entries that follow a head, in their order. */
export function entriesAfter(head: ChainHead, events: readonly AuditEvent[]): readonly AuditEntry[] {
  let { seq, hash } = head;
  return events.map(({ chain, at, kind, by, about, details, source }) => {
    seq += 1;
    const { value: content, text } = canonical({
      chain,
      at,
      kind,
      by: { appId: by.appId, user: by.user, address: by.address },
      about,
      details,
      source,
      seq,
      prevHash: hash,
    });
    hash = sha256(text);
    return { ...content, hash };
  });
}

/** What the `hash` of an entry has to be. */
export function hashOf({
  hash: _hash,
  ...content
}: Omit<AuditEntry, 'hash'> & { readonly hash?: string }): string {
  return sha256(canonicalJson(content as unknown as Json));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
