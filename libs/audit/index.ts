export { cancelBeside, eventsOf, type AuditedAction } from './action-events.js';
export { canonicalJson } from './canonical-json.js';
export {
  AuditChainer,
  type AuditChainerOptions,
  type AuditChains,
  type AuditProgress,
  type ChangedAt,
  type ChangeTime,
  type WaitingEvent,
} from './chainer.js';
export { CheckpointSigner, auditKey, type AuditKey, type Checkpoint } from './checkpoint.js';
export { configurationSeen } from './configuration.js';
export {
  AUDIT_KINDS,
  EMPTY,
  INSTALLATION,
  entriesAfter,
  hashOf,
  type AuditActor,
  type AuditEntry,
  type AuditEvent,
  type AuditKind,
  type ChainHead,
} from './entry.js';
export { exportLines, type AuditReader } from './export-lines.js';
export { HeadsFile } from './heads-file.js';
export type { AuditRecorder, NewAuditEvent, RecordedEvent } from './recorder.js';
export { AuditSpool, type Drained } from './spool.js';
export { AuditFormatError, verifyAudit, type AuditVerdict, type BrokenLink } from './verify.js';
