import {
  Building2,
  CircleHelp,
  LayoutDashboard,
  ListChecks,
  Plus,
  Users,
  type LucideIcon,
} from 'lucide-react';
import type { Role } from '../api/types.ts';

/** A page that the shell leads to. */
export interface Destination {
  readonly href: '/' | '/actions' | '/actions/new' | '/inbox' | '/providers' | '/people';
  readonly label: string;
  readonly icon: LucideIcon;
  /** The letter after `g`, or alone with `isDirect`. */
  readonly key: string;
  readonly isDirect?: true;
  /** Who it is for; everybody where it is absent. */
  readonly role?: Role;
}

export const DESTINATIONS: readonly Destination[] = [
  { href: '/', label: 'Overview', icon: LayoutDashboard, key: 'o' },
  { href: '/actions', label: 'Actions', icon: ListChecks, key: 'a' },
  { href: '/actions/new', label: 'New action', icon: Plus, key: 'n', isDirect: true, role: 'Operator' },
  { href: '/inbox', label: 'Inbox', icon: CircleHelp, key: 'i' },
  { href: '/providers', label: 'Providers', icon: Building2, key: 'p' },
  { href: '/people', label: 'People', icon: Users, key: 'u', role: 'Administrator' },
];
