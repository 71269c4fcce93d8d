import type { RiposteConfig } from './config-file.js';

const DAY_MS = 86_400_000;

/** For how long finished actions are kept, and where they go then. */
export interface RetentionSettings {
  /** Milliseconds a tenant's finished actions are kept; null: for ever. */
  keepMs(tenantId: string): number | null;
  /** Null: they are removed without an archive. */
  readonly archiveDir: string | null;
}

/** The configured retention; null where nothing is ever removed. A tenant's own `keepDays` goes before the general one. */
export function retentionOf({ retention }: RiposteConfig): RetentionSettings | null {
  if (retention === undefined) return null;
  const { keepDays, archiveDir, tenants } = retention;
  const own = new Map(
    Object.entries(tenants).map(([tenantId, rule]) => [tenantId.toLowerCase(), rule.keepDays]),
  );
  if (keepDays === undefined && own.size === 0) return null;
  return {
    keepMs(tenantId) {
      const days = own.get(tenantId.toLowerCase()) ?? keepDays;
      return days === undefined ? null : days * DAY_MS;
    },
    archiveDir: archiveDir ?? null,
  };
}
