import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Form } from 'react-aria-components/Form';
import { request } from '../../api/client.ts';
import { operatorsQuery } from '../../api/queries.ts';
import type { Operator, OperatorWithPassword } from '../../api/types.ts';
import { Banner } from '../../ui/banner.tsx';
import { ConfirmDialog, Dialog } from '../../ui/dialog.tsx';
import { TextField } from '../../ui/field.tsx';
import { Select } from '../../ui/select.tsx';
import { toast } from '../../ui/toast.tsx';
import { DialogActions } from './add-person.tsx';
import styles from './people.module.css';
import { ROLES, roleOf } from './roles.ts';

/** What is about to be done to whom. */
export interface Change {
  readonly kind: 'edit' | 'reset' | 'disable' | 'enable' | 'remove';
  readonly person: Operator;
}

/** Asks before it changes an account, says what that will mean, and does it. */
export function ChangePerson({
  change,
  onClose,
  onPassword,
}: {
  /** Null: nothing is about to be done. */
  readonly change: Change | null;
  readonly onClose: () => void;
  readonly onPassword: (person: OperatorWithPassword) => void;
}) {
  const queries = useQueryClient();
  if (change === null) return null;
  const { kind, person } = change;
  const { name } = person;
  const path = `/api/v1/operators/${encodeURIComponent(name)}`;
  const done = async (said: string): Promise<void> => {
    toast(said);
    await queries.invalidateQueries(operatorsQuery);
  };
  switch (kind) {
    case 'edit':
      return (
        <Dialog title={`Change ${name}`} isOpen onClose={onClose}>
          <EditForm person={person} path={path} onClose={onClose} />
        </Dialog>
      );
    case 'reset':
      return (
        <ConfirmDialog
          title={`Reset the password of ${name}?`}
          isOpen
          onClose={onClose}
          confirm="Reset password"
          onConfirm={async () =>
            onPassword(await request<OperatorWithPassword>(`${path}/reset-password`, { method: 'POST' }))
          }
        >
          <p>
            The current password stops working and all sessions of {name} end. The new one is shown to you
            once; {name} must choose another at the next sign-in.
          </p>
        </ConfirmDialog>
      );
    case 'disable':
      return (
        <ConfirmDialog
          title={`Disable ${name}?`}
          isOpen
          onClose={onClose}
          confirm={`Disable ${name}`}
          isDangerous
          onConfirm={async () => {
            await request(path, { method: 'PATCH', body: { disabled: true } });
            await done(`${name} is disabled.`);
          }}
        >
          <p>
            All sessions of {name} end at once and {name} can no longer sign in. Actions already requested
            continue.
          </p>
        </ConfirmDialog>
      );
    case 'enable':
      return (
        <ConfirmDialog
          title={`Enable ${name}?`}
          isOpen
          onClose={onClose}
          confirm={`Enable ${name}`}
          onConfirm={async () => {
            await request(path, { method: 'PATCH', body: { disabled: false } });
            await done(`${name} can sign in again.`);
          }}
        >
          <p>
            {name} can sign in again with the role {person.role} and the previous password.
          </p>
        </ConfirmDialog>
      );
    case 'remove':
      return (
        <ConfirmDialog
          title={`Remove ${name}?`}
          isOpen
          onClose={onClose}
          confirm={`Remove ${name}`}
          isDangerous
          onConfirm={async () => {
            await request(path, { method: 'DELETE' });
            await done(`${name} was removed.`);
          }}
        >
          <p>
            {name} loses access to this tenant, and sessions in it end at once. Past actions keep the name on
            record.
          </p>
        </ConfirmDialog>
      );
  }
}

function EditForm({
  person,
  path,
  onClose,
}: {
  readonly person: Operator;
  readonly path: string;
  readonly onClose: () => void;
}) {
  const queries = useQueryClient();
  const [displayName, setDisplayName] = useState(person.displayName);
  const [role, setRole] = useState(person.role);
  const save = useMutation({
    mutationFn: () =>
      request<Operator>(path, { method: 'PATCH', body: { displayName: displayName.trim(), role } }),
    async onSuccess() {
      toast(`${person.name} was updated.`);
      onClose();
      await queries.invalidateQueries(operatorsQuery);
    },
  });
  return (
    <Form
      className={styles['form'] ?? ''}
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      {save.isError && <Banner tone="danger">{save.error.message}</Banner>}
      <TextField
        label="Display name"
        autoComplete="off"
        autoFocus
        value={displayName}
        onChange={setDisplayName}
      />
      <Select
        label="Role"
        options={ROLES}
        value={role}
        onChange={(id) => setRole(roleOf(id))}
        description={
          role === person.role
            ? undefined
            : `It takes effect at once and ends the sessions of ${person.name}.`
        }
      />
      <DialogActions onClose={onClose} submit="Save" isPending={save.isPending} />
    </Form>
  );
}
