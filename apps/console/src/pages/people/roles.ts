import type { Role } from '../../api/types.ts';
import type { Option } from '../../ui/select.tsx';

/** The roles, with what each may do. */
export const ROLES: readonly (Option & { readonly id: Role })[] = [
  { id: 'Viewer', label: 'Viewer', note: 'can see everything in the tenant' },
  { id: 'Operator', label: 'Operator', note: 'can also request, cancel and undo actions' },
  { id: 'Administrator', label: 'Administrator', note: 'can also manage the tenant’s people' },
];

/** The role of that id. */
export function roleOf(id: string): Role {
  return ROLES.find((role) => role.id === id)?.id ?? 'Viewer';
}
