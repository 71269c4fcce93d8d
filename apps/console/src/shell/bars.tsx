import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import {
  ArrowUpRight,
  BookOpen,
  ChevronsUpDown,
  Layers,
  LogOut,
  MonitorX,
  UserRound,
  Users,
} from 'lucide-react';
import { Button } from 'react-aria-components/Button';
import { overviewQuery } from '../api/queries.ts';
import type { LiveState } from '../live/events.ts';
import { useLiveState } from '../live/live.tsx';
import { signOut, switchTenant, useMay, useSession } from '../session/session.tsx';
import { count } from '../ui/format.ts';
import { Menu, MenuGroup, MenuItem, MenuSeparator } from '../ui/menu.tsx';
import { toast } from '../ui/toast.tsx';
import { Mark } from './mark.tsx';
import { DESTINATIONS, type Destination } from './navigation.ts';
import styles from './shell.module.css';

/** At the left of a wide screen. */
export function Sidebar() {
  const { operates } = useSession();
  return (
    <aside className={styles['sidebar']}>
      <Brand />
      <TenantMenu />
      <nav className={styles['nav']} aria-label="Pages">
        {useDestinations().map((destination) => (
          <PageLink key={destination.href} destination={destination} />
        ))}
      </nav>
      <div className={styles['foot']}>
        <nav className={styles['nav']} aria-label="Outside the console">
          {operates && (
            <a href="/ops/queues" className={styles['link']}>
              <Layers size={16} aria-hidden />
              Queues
              <ArrowUpRight size={14} aria-hidden className={styles['outside']} />
            </a>
          )}
          <a href="/docs" className={styles['link']}>
            <BookOpen size={16} aria-hidden />
            API reference
            <ArrowUpRight size={14} aria-hidden className={styles['outside']} />
          </a>
        </nav>
        <LiveIndicator />
        <AccountMenu />
      </div>
    </aside>
  );
}

/** At the top of a narrow screen. */
export function TopBar() {
  return (
    <header className={styles['topbar']}>
      <Brand isShort />
      <TenantMenu />
      <LiveIndicator isShort />
      <AccountMenu isShort />
    </header>
  );
}

/** At the bottom of a narrow screen, under the thumb. */
export function BottomBar() {
  return (
    <nav className={styles['bottombar']} aria-label="Pages">
      {useDestinations()
        .filter(({ href }) => href !== '/people')
        .map((destination) => (
          <PageLink key={destination.href} destination={destination} />
        ))}
    </nav>
  );
}

function Brand({ isShort = false }: { readonly isShort?: boolean }) {
  return (
    <Link to="/" className={styles['brand'] ?? ''} aria-label="Riposte, go to the overview">
      <Mark />
      {!isShort && 'Riposte'}
    </Link>
  );
}

function PageLink({ destination: { href, label, icon: Icon } }: { readonly destination: Destination }) {
  return (
    <Link
      to={href}
      className={styles['link'] ?? ''}
      activeOptions={{ exact: href !== '/providers', includeSearch: false }}
    >
      <Icon size={18} strokeWidth={1.9} aria-hidden />
      {label}
      {href === '/inbox' && <InboxCount />}
    </Link>
  );
}

/** How many outcomes nobody has resolved yet. */
function InboxCount() {
  const { data } = useQuery({ ...overviewQuery('1h'), refetchInterval: 60_000 });
  const unresolved = data?.now.unresolved ?? 0;
  if (unresolved === 0) return null;
  return (
    <span className={styles['count']}>
      {count(unresolved)}
      <span className="visually-hidden"> unresolved</span>
    </span>
  );
}

function TenantMenu() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { tenant, tenants } = useSession();
  const words = (
    <span className={styles['tenantWords']}>
      <span className={styles['tenantName']}>{tenant.name ?? tenant.id}</span>
      <span className={styles['tenantRole']}>{tenant.role}</span>
    </span>
  );
  const choose = async (id: string): Promise<void> => {
    if (id === tenant.id) return;
    try {
      await switchTenant(queries, id);
      await navigate({ to: '/' });
    } catch (error) {
      toast(`The tenant was not changed. ${messageOf(error)}`, 'danger');
    }
  };
  return (
    <Menu
      label="Tenants"
      placement="bottom start"
      trigger={
        <Button
          className={styles['tenant'] ?? ''}
          aria-label={`Tenant ${tenant.name ?? tenant.id}, as ${tenant.role}`}
        >
          {words}
          <ChevronsUpDown size={14} aria-hidden />
        </Button>
      }
    >
      <MenuGroup title="Tenant">
        {tenants.map(({ id, name, role }) => (
          <MenuItem
            key={id}
            id={id}
            label={name ?? id}
            note={name === null ? role : `${role} · ${id}`}
            isCurrent={id === tenant.id}
            onAction={() => void choose(id)}
          />
        ))}
      </MenuGroup>
    </Menu>
  );
}

function AccountMenu({ isShort = false }: { readonly isShort?: boolean }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { user, operates, version } = useSession();
  const mayManage = useMay('Administrator');
  const name = user.displayName === '' ? user.name : user.displayName;
  const leave = async (everywhere: boolean): Promise<void> => {
    try {
      await signOut(queries, everywhere);
      await navigate({ to: '/sign-in' });
    } catch (error) {
      toast(`You are still signed in. ${messageOf(error)}`, 'danger');
    }
  };
  return (
    <Menu
      label="Account"
      placement={isShort ? 'bottom end' : 'top start'}
      trigger={
        <Button className={styles['person'] ?? ''} aria-label={`Account of ${name}`}>
          <span className={styles['initials']} aria-hidden>
            {initialsOf(name)}
          </span>
          {!isShort && (
            <span className={styles['tenantWords']}>
              <span className={styles['tenantName']}>{name}</span>
              <span className={styles['tenantRole']}>Riposte {version}</span>
            </span>
          )}
        </Button>
      }
    >
      <MenuItem label="Account and appearance" icon={<UserRound size={16} aria-hidden />} href="/account" />
      {isShort && mayManage && (
        <MenuItem label="People" icon={<Users size={16} aria-hidden />} href="/people" />
      )}
      {isShort && operates && (
        <MenuItem label="Queues" icon={<Layers size={16} aria-hidden />} href="/ops/queues" />
      )}
      {isShort && <MenuItem label="API reference" icon={<BookOpen size={16} aria-hidden />} href="/docs" />}
      <MenuSeparator />
      <MenuItem label="Sign out" icon={<LogOut size={16} aria-hidden />} onAction={() => void leave(false)} />
      <MenuItem
        label="Sign out everywhere"
        note="Ends all your sessions, on every device"
        icon={<MonitorX size={16} aria-hidden />}
        onAction={() => void leave(true)}
      />
    </Menu>
  );
}

const LIVE: Readonly<Record<LiveState, string>> = {
  connecting: 'Connecting …',
  live: 'Live',
  polling: 'Updating every few seconds',
  offline: 'No connection',
};

function LiveIndicator({ isShort = false }: { readonly isShort?: boolean }) {
  const state = useLiveState();
  return (
    <p className={styles['live']} role="status" title={isShort ? LIVE[state] : ''}>
      <span className={styles['dot']} data-state={state} aria-hidden />
      <span className={isShort ? 'visually-hidden' : ''}>
        <span className="visually-hidden">Updates: </span>
        {LIVE[state]}
      </span>
    </p>
  );
}

function useDestinations(): readonly Destination[] {
  const may = { Viewer: true, Operator: useMay('Operator'), Administrator: useMay('Administrator') };
  return DESTINATIONS.filter(({ role = 'Viewer' }) => may[role]);
}

function initialsOf(name: string): string {
  const words = name.split(/[\s._@-]+/).filter((word) => word !== '');
  return [words[0], words[1]].map((word) => word?.[0]?.toUpperCase() ?? '').join('');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
