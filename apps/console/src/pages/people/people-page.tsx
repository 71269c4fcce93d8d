import { useQuery } from '@tanstack/react-query';
import { EllipsisVertical, UserPlus, Users } from 'lucide-react';
import { useState } from 'react';
import { operatorsQuery } from '../../api/queries.ts';
import type { Operator, OperatorWithPassword } from '../../api/types.ts';
import { useMay, useSession } from '../../session/session.tsx';
import { Badge } from '../../ui/badge.tsx';
import { Button, IconButton } from '../../ui/button.tsx';
import { Card } from '../../ui/card.tsx';
import { Menu, MenuItem, MenuSeparator } from '../../ui/menu.tsx';
import { Page } from '../../ui/page.tsx';
import { EmptyState, ErrorState, SkeletonLines } from '../../ui/states.tsx';
import { Table } from '../../ui/table.tsx';
import { RelativeTime } from '../../ui/time.tsx';
import { AddPerson } from './add-person.tsx';
import { ChangePerson, type Change } from './change-person.tsx';
import { OneTimePassword } from './one-time-password.tsx';
import styles from './people.module.css';

/** Who may sign in to the tenant with a local account; for administrators. */
export function PeoplePage() {
  const mayManage = useMay('Administrator');
  const { tenant } = useSession();
  const [isAdding, setAdding] = useState(false);
  const [change, setChange] = useState<Change | null>(null);
  const [made, setMade] = useState<OperatorWithPassword | null>(null);
  if (!mayManage) {
    return (
      <Page title="People">
        <Card>
          <EmptyState icon={Users} title="For administrators">
            Your role in this tenant is {tenant.role}. An administrator can see and change who signs in here.
          </EmptyState>
        </Card>
      </Page>
    );
  }
  return (
    <Page
      title="People"
      note={`Local accounts of ${tenant.name ?? tenant.id}`}
      actions={
        <Button variant="primary" onPress={() => setAdding(true)}>
          <UserPlus size={16} aria-hidden />
          Add a person
        </Button>
      }
    >
      <Card isFlush>
        <People onChange={setChange} />
      </Card>
      <AddPerson
        isOpen={isAdding}
        onClose={() => setAdding(false)}
        onAdded={(person) => {
          setAdding(false);
          setMade(person);
        }}
      />
      <ChangePerson change={change} onClose={() => setChange(null)} onPassword={setMade} />
      <OneTimePassword person={made} onClose={() => setMade(null)} />
    </Page>
  );
}

function People({ onChange }: { readonly onChange: (change: Change) => void }) {
  const { user } = useSession();
  const { data: people, error, refetch } = useQuery(operatorsQuery);
  if (people === undefined) {
    return error === null ? (
      <SkeletonLines lines={5} height="2rem" />
    ) : (
      <ErrorState error={error} onRetry={() => void refetch()} />
    );
  }
  if (people.length === 0) {
    return (
      <EmptyState icon={Users} title="Nobody has a local account here">
        People who sign in through an identity provider are managed there and not listed here.
      </EmptyState>
    );
  }
  return (
    <Table
      label="People"
      rows={people}
      rowKey={({ name }) => name}
      columns={[
        {
          id: 'person',
          heading: 'Person',
          cell: (person) => (
            <>
              <span className={styles['person']}>{shownName(person)}</span>
              <span className={styles['sub']}>
                {person.name}
                {person.name === user.name && user.kind === 'local' && ' · you'}
              </span>
            </>
          ),
        },
        {
          id: 'role',
          heading: 'Role',
          cell: ({ role, operates, disabled }) => (
            <span className={styles['badges']}>
              <Badge tone={role === 'Administrator' ? 'info' : 'neutral'}>{role}</Badge>
              {operates && <Badge tone="info">operates the installation</Badge>}
              {disabled && <Badge tone="warning">disabled</Badge>}
            </span>
          ),
        },
        {
          id: 'last',
          isSecondary: true,
          heading: 'Last sign-in',
          cell: ({ lastSignInDateTime }) =>
            lastSignInDateTime === null ? 'never' : <RelativeTime at={lastSignInDateTime} isPast />,
        },
        {
          id: 'created',
          isSecondary: true,
          heading: 'Added',
          cell: ({ createdDateTime }) => <RelativeTime at={createdDateTime} isPast />,
        },
        {
          id: 'change',
          heading: 'Change',
          hideHeading: true,
          isFigure: true,
          cell: (person) => <PersonMenu person={person} onChange={onChange} />,
        },
      ]}
    />
  );
}

function PersonMenu({
  person,
  onChange,
}: {
  readonly person: Operator;
  readonly onChange: (change: Change) => void;
}) {
  return (
    <Menu
      label={`Change ${shownName(person)}`}
      trigger={
        <IconButton label={`Change ${shownName(person)}`} size="small">
          <EllipsisVertical size={16} aria-hidden />
        </IconButton>
      }
    >
      <MenuItem label="Name and role …" onAction={() => onChange({ kind: 'edit', person })} />
      <MenuItem label="Reset password …" onAction={() => onChange({ kind: 'reset', person })} />
      <MenuItem
        label={person.disabled ? 'Enable …' : 'Disable …'}
        onAction={() => onChange({ kind: person.disabled ? 'enable' : 'disable', person })}
      />
      <MenuSeparator />
      <MenuItem label="Remove …" isDanger onAction={() => onChange({ kind: 'remove', person })} />
    </Menu>
  );
}

function shownName({ displayName, name }: Operator): string {
  return displayName === '' ? name : displayName;
}
