import type { Role } from '../../api/types.ts';
import type { Option } from '../../ui/select.tsx';

/** The roles, with what each may do. */
export const ROLES: readonly (Option & { readonly id: Role })[] = [
  { id: 'Viewer', label: 'Viewer', note: 'sees everything of the tenant' },
  { id: 'Operator', label: 'Operator', note: 'and asks for actions, cancels and undoes them' },
  { id: 'Administrator', label: 'Administrator', note: 'and manages the people of the tenant' },
];

/** The role of that id. */
export function roleOf(id: string): Role {
  return ROLES.find((role) => role.id === id)?.id ?? 'Viewer';
}
