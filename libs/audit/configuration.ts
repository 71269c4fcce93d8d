import { createHash } from 'node:crypto';
import type { Json } from '#domain';
import { canonicalJson } from './canonical-json.js';
import { INSTALLATION } from './entry.js';
import type { NewAuditEvent } from './recorder.js';

/**
 * The configuration that a process starts with, for the record: what tells it from another one, and nothing of what is
 * in it. It holds references to secrets, no secrets.
 *
 * @param config with its defaults; of two with the same meaning the hash is the same
 * @param where the process
 */
export function configurationSeen(
  process: 'api' | 'worker',
  config: { readonly providers: readonly { readonly id: string }[] },
  where: string,
): { readonly sha256: string; readonly event: NewAuditEvent } {
  // Through JSON: what YAML has besides (`.nan`) counts for null.
  const sha256 = createHash('sha256')
    .update(canonicalJson(JSON.parse(JSON.stringify(config)) as Json))
    .digest('hex');
  return {
    sha256,
    event: {
      chain: INSTALLATION,
      kind: 'configuration.changed',
      by: { appId: null, user: null, address: null },
      about: { process, where },
      details: { sha256, providers: config.providers.map(({ id }) => id) },
    },
  };
}
