import { ROLES, type Role } from '#domain';
import type { Identity } from './trusted-issuer.js';

/** Which of our roles an issuer's callers have. */
export class RoleRules {
  readonly #mapping: ReadonlyMap<string, readonly Role[]>;
  readonly #operatorTenants: ReadonlySet<string>;

  /**
   * @param mapping the issuer's role names to ours; null: it uses our names. Names that are not in it count for nothing
   * @param operatorTenants in small letters. `Riposte.Operator` sees every tenant's queues, and whoever administers a
   * tenant gives its applications their roles: in any other tenant the role counts for nothing
   */
  constructor(mapping: ReadonlyMap<string, readonly Role[]> | null, operatorTenants: ReadonlySet<string>) {
    this.#mapping = mapping ?? new Map(ROLES.map((role) => [role, [role]]));
    this.#operatorTenants = operatorTenants;
  }

  /** The identity with our roles in place of the issuer's. */
  applyTo(identity: Identity): Identity {
    const roles = new Set(identity.roles.flatMap((name) => this.#mapping.get(name) ?? []));
    if (!this.#operatorTenants.has(identity.tenantId)) roles.delete('Riposte.Operator');
    return { ...identity, roles: [...roles] };
  }
}
