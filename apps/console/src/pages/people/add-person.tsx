import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Form } from 'react-aria-components/Form';
import { request } from '../../api/client.ts';
import { operatorsQuery } from '../../api/queries.ts';
import type { OperatorWithPassword, Role } from '../../api/types.ts';
import { Banner } from '../../ui/banner.tsx';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { TextField } from '../../ui/field.tsx';
import { Select } from '../../ui/select.tsx';
import styles from './people.module.css';
import { ROLES, roleOf } from './roles.ts';

/** Makes a local account. The server gives it a password, which is shown once. */
export function AddPerson({
  isOpen,
  onClose,
  onAdded,
}: {
  readonly isOpen: boolean;
  readonly onClose: () => void;
  readonly onAdded: (person: OperatorWithPassword) => void;
}) {
  return (
    <Dialog title="Add a person" isOpen={isOpen} onClose={onClose}>
      <AddForm onClose={onClose} onAdded={onAdded} />
    </Dialog>
  );
}

function AddForm({
  onClose,
  onAdded,
}: {
  readonly onClose: () => void;
  readonly onAdded: (person: OperatorWithPassword) => void;
}) {
  const queries = useQueryClient();
  const [name, setName] = useState('');
  const [displayName, setDisplayName] = useState('');
  const [role, setRole] = useState<Role>('Operator');
  const [isTried, setTried] = useState(false);
  const add = useMutation({
    mutationFn: () =>
      request<OperatorWithPassword>('/api/v1/operators', {
        method: 'POST',
        body: {
          name: name.trim(),
          displayName: displayName.trim() === '' ? name.trim() : displayName.trim(),
          role,
        },
      }),
    async onSuccess(person) {
      onAdded(person);
      await queries.invalidateQueries(operatorsQuery);
    },
  });
  return (
    <Form
      className={styles['form'] ?? ''}
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (name.trim() !== '') add.mutate();
      }}
    >
      {add.isError && <Banner tone="danger">{add.error.message}</Banner>}
      <TextField
        label="Sign-in name"
        description="For example ana.ruiz. It cannot be changed later."
        autoComplete="off"
        autoFocus
        isRequired
        value={name}
        onChange={setName}
        errorMessage={isTried && name.trim() === '' ? 'Type a name.' : undefined}
      />
      <TextField
        label="Display name"
        description="Optional. Shown in place of the sign-in name."
        autoComplete="off"
        value={displayName}
        onChange={setDisplayName}
      />
      <Select label="Role" options={ROLES} value={role} onChange={(id) => setRole(roleOf(id))} />
      <DialogActions onClose={onClose} submit="Add" isPending={add.isPending} />
    </Form>
  );
}

/** The buttons of a form in a dialog. */
export function DialogActions({
  onClose,
  submit,
  isPending,
}: {
  readonly onClose: () => void;
  readonly submit: string;
  readonly isPending: boolean;
}) {
  return (
    <div className={styles['buttons']}>
      <Button onPress={onClose} isDisabled={isPending}>
        Cancel
      </Button>
      <Button type="submit" variant="primary" isPending={isPending}>
        {submit}
      </Button>
    </div>
  );
}
